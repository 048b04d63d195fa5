import type { Register } from '../command.ts';
import { defaultPort } from '../cli.ts';
import { port } from '../numbers.ts';
import { tlsOf, type ListenFlags } from '../listen-flags.ts';

export const server: Register = (command, cli) => {
  command
    .option('--port <port>', 'listen on this port; 0 takes any free one', port, defaultPort)
    .option('--host <address>', 'listen on this address; other machines should only reach it with TLS', '127.0.0.1')
    .option('--tls-cert <file>', 'certificate in PEM, with --tls-key: the port speaks HTTPS')
    .option('--tls-key <file>', 'its key in PEM')
    .option('--server-name <name...>', 'a DNS name by which clients reach the server; others are refused')
    .addHelpText(
      'after',
      '\nNeeds a Temporal server (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE) and the database of the workers (CUTOVER_HOME).',
    )
    .action(async (options: ListenFlags) => {
      const [
        { checks },
        home,
        { createPlanner },
        { startServer },
        { temporalControl },
        { openStore },
        { keepOutside, parseOutside },
        temporal,
        { temporalKeys },
        { createLog },
        { untilStopped },
        { cutoverVersion },
      ] = await Promise.all([
        import('../../checks/index.ts'),
        import('../../server/home.ts'),
        import('../../server/planning.ts'),
        import('../../server/serve.ts'),
        import('../../server/temporal-control.ts'),
        import('../../store/sqlite.ts'),
        import('../../store/outside.ts'),
        import('../../temporal/connect.ts'),
        import('../../temporal/keys.ts'),
        import('../log.ts'),
        import('../signals.ts'),
        import('../version.ts'),
      ]);
      const tls = tlsOf(options);
      const log = createLog('server', { env: cli.env });
      home.makeHome(cli.home, (sentence) => log.warn(sentence));
      const token = home.ensureToken(cli.home, cli.env);
      const address = { ...temporal.temporalAddressFromEnv(cli.env), keys: temporalKeys(cli.home.directory, cli.env) };
      const { connection } = await temporal.connect(address);
      const store = openStore(cli.home.database, { env: cli.env, say: (sentence) => log.warn(sentence) });
      const anchor = parseOutside(cli.env['CUTOVER_ANCHOR']);
      const outside = anchor && keepOutside(store, anchor, { log });
      const running = await startServer(
        {
          store,
          control: temporalControl(connection, address),
          planner: createPlanner(checks.map(({ id }) => id)),
          token,
          ...(options.serverName === undefined ? {} : { names: options.serverName }),
          version: cutoverVersion(),
          log,
          ...(outside && { outside }),
        },
        { port: options.port, host: options.host, ...tls, socket: cli.home.socket },
      );
      home.writeServerFile(cli.home, { url: running.url, socket: running.socket, pid: process.pid });
      log.info({ url: running.url, temporal: address.address, home: cli.home.directory }, 'the server listens');
      const { stopped, forget } = untilStopped();
      await stopped;
      forget();
      await running.stop();
      await connection.close();
      await outside?.stop();
      store.close();
    });
};
