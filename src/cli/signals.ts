/** Resolves with the first SIGINT or SIGTERM, and calls back at each further one. */
export function untilStopped(onAgain: () => void = () => undefined): {
  stopped: Promise<NodeJS.Signals>;
  forget(): void;
} {
  const first = Promise.withResolvers<NodeJS.Signals>();
  let count = 0;
  const listener = (signal: NodeJS.Signals): void => {
    if (count++ === 0) first.resolve(signal);
    else onAgain();
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    stopped: first.promise,
    forget: () => {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}
