/** What stands for a payload that could not be read. Pure: workflows recognise it, too. */
const mark = 'cutover.dev/unreadable';

/** A payload of JSON that says why. */
export const unreadable = (why: string): { metadata: { encoding: Uint8Array }; data: Uint8Array } => ({
  metadata: { encoding: new TextEncoder().encode('json/plain') },
  data: new TextEncoder().encode(JSON.stringify({ [mark]: why })),
});

/** @returns why a value could not be read; undefined when it could */
export const whyUnreadable = (value: unknown): string | undefined =>
  value !== null && typeof value === 'object' && mark in value
    ? String((value as Record<string, unknown>)[mark])
    : undefined;

/** Of arguments: why the first of them that could not be read could not. */
export const firstUnreadable = (values: readonly unknown[]): string | undefined =>
  values.map(whyUnreadable).find((why) => why !== undefined);
