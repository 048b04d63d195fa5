/**
 * Polls until `probe` answers something true; for states that no call can await. Every 50 ms at first and every 250 ms once it
 * takes long: who waits may not take the processor from what is waited for.
 */
export async function until<T>(probe: () => T | Promise<T>, what: string, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const start = Date.now();
  for (;;) {
    const found = await probe();
    if (found) return found;
    const passed = Date.now() - start;
    if (passed > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(250, 50 + passed / 40)));
  }
}
