import type { Register } from '../command.ts';

/** Below the heartbeat timeout of steps, 15 s. */
const orphanMs = 10_000;

export const worker: Register = (command, cli) => {
  command
    .addHelpText(
      'after',
      '\nNeeds a Temporal server (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE) and the database of the server (CUTOVER_HOME). Any number may run.',
    )
    .action(async () => {
      const [{ runWorker }, { temporalAddressFromEnv }, { temporalKeys }, { createLog }, { makeHome }] =
        await Promise.all([
          import('../run-worker.ts'),
          import('../../temporal/connect.ts'),
          import('../../temporal/keys.ts'),
          import('../log.ts'),
          import('../../server/home.ts'),
        ]);
      const log = createLog('worker', { env: cli.env });
      makeHome(cli.home, (sentence) => log.warn(sentence));
      const end = new AbortController();
      process.once('SIGINT', () => end.abort());
      process.once('SIGTERM', () => end.abort());
      // As a child of `cutover up` or of the demo: without the parent there is nobody left to stop it.
      process.once('disconnect', () => {
        end.abort();
        // With the parent its Temporal server is gone, too, and nobody hears how a step ended: no worker may still be at
        // a step when, a heartbeat timeout later, another one gets it.
        setTimeout(() => process.exit(1), orphanMs).unref();
      });
      await runWorker({
        temporal: { ...temporalAddressFromEnv(cli.env), keys: temporalKeys(cli.home.directory, cli.env) },
        database: cli.home.database,
        log,
        signal: end.signal,
        onReady: () => {
          log.info('the worker takes work');
          process.send?.('ready');
        },
      });
      if (process.connected) process.disconnect();
    });
};
