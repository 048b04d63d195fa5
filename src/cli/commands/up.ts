import type { Register } from '../command.ts';
import { defaultPort } from '../cli.ts';
import { port } from '../numbers.ts';
import { printDocument } from '../output.ts';

interface Options {
  port: number;
  host: string;
  temporalPort: number;
  temporalUi?: boolean;
}

export const up: Register = (command, cli) => {
  command
    .option('--port <port>', 'of the server; 0 takes any free one', port, defaultPort)
    .option('--host <address>', 'the server listens on it, besides its Unix socket', '127.0.0.1')
    .option('--temporal-port <port>', "of Temporal's dev server; 0 takes any free one", port, 0)
    .option('--temporal-ui', "also start Temporal's own UI, which every user of this machine reaches")
    .addHelpText(
      'after',
      '\nEverything lives in CUTOVER_HOME (~/.local/state/cutover). With TEMPORAL_ADDRESS that Temporal server is used and none is started.\nCUTOVER_LOG_LEVEL: debug, info, warn, error.',
    )
    .action(async (options: Options) => {
      const [{ startParts }, { takeHome }, { createLog }, { untilStopped }] = await Promise.all([
        import('../parts.ts'),
        import('../lock.ts'),
        import('../log.ts'),
        import('../signals.ts'),
      ]);
      const release = takeHome(cli.home, (sentence) => cli.say(sentence));
      const log = createLog('cutover', { env: cli.env });
      let stop = (): Promise<void> => Promise.resolve();
      const { stopped, forget } = untilStopped(() => void stop());
      try {
        const starting = startParts({
          directory: cli.home.directory,
          ...options,
          env: cli.env,
          log,
          say: (sentence) => log.warn(sentence),
        });
        // ^C while Temporal is being built or started: nothing runs yet that has to be ended in order.
        const parts = await Promise.race([starting, stopped]);
        if (typeof parts === 'string') {
          cli.say('stopping');
          await starting.then(
            (late) => late.stop(),
            () => undefined,
          );
          return;
        }
        stop = parts.stop;
        const addresses = {
          server: parts.url,
          socket: parts.socket,
          temporal: parts.temporal.address,
          temporalUi: parts.temporalUi,
          home: cli.home.directory,
        };
        if (cli.options.output === 'json' || cli.options.output === 'yaml') await printDocument(cli, addresses);
        else
          cli.print([
            `server    ${parts.url}  (API: ${parts.url}/openapi.json)`,
            ...(parts.socket === '' ? [] : [`socket    ${parts.socket}  (what the CLI uses)`]),
            `temporal  ${parts.temporal.address}${parts.temporalUi === '' ? '' : `  (UI: ${parts.temporalUi})`}`,
            `home      ${cli.home.directory}`,
            'ready; next, in another terminal: cutover plan -f plan.yaml   (^C stops everything here, migrations go on at the next start)',
          ]);
        await Promise.race([stopped, parts.broken]);
        cli.say('stopping: steps in flight get half a minute to end; ^C again does not wait');
      } finally {
        await stop();
        forget();
        release();
      }
    });
};
