import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError } from 'commander';
import type { Register } from '../command.ts';
import { appendScreen, terminalScreen } from '../live.ts';
import { nonNegative } from '../numbers.ts';
import { printDocument } from '../output.ts';
import { trafficLines } from '../demo/traffic-lines.ts';
import { clip } from '../style.ts';

interface Options {
  directory?: string;
  speed?: number;
  seed?: number;
}

/** Between two looks at the counters, in ms: on a terminal, and in a log. */
const onTerminalMs = 1_000;
const inLogMs = 10_000;

const shipped = (): string[] =>
  readdirSync(new URL('../../simulator/scenarios/', import.meta.url)).flatMap((file) =>
    file.endsWith('.yaml') ? [file.slice(0, -'.yaml'.length)] : [],
  );

export const simulate: Register = (command, cli) => {
  command
    .argument('[scenario]', `a scenario by name (${shipped().join(', ')}) or the path of a YAML file`, 'six-nodes')
    .option(
      '--directory <path>',
      'where kubeconfig, SSH config, known_hosts and the client key go; a new temporary folder otherwise',
    )
    .option('--speed <factor>', 'simulated seconds in a real one', positive)
    .option('--seed <number>', 'of everything that is left to chance', nonNegative)
    .action(async (scenario: string, options: Options) => {
      const [{ startSimulation }, { untilStopped }] = await Promise.all([
        import('../../simulator/simulate.ts'),
        import('../signals.ts'),
      ]);
      cli.say(`starting ${scenario}`);
      const own = options.directory === undefined;
      const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'cutover-simulator-'));
      const simulation = await startSimulation(scenario, { ...options, directory });
      const { stopped, forget } = untilStopped();
      // As a child of the demo: it ends with its parent.
      process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
      try {
        const { kubeconfig, sshConfig, server, control } = simulation;
        const nodes = [...simulation.nodes.keys()];
        if (cli.options.output === 'json' || cli.options.output === 'yaml')
          await printDocument(cli, { server, kubeconfig, sshConfig, control, nodes });
        else
          cli.print([
            `server      ${server}`,
            `kubeconfig  ${kubeconfig}`,
            `ssh config  ${sshConfig}`,
            `control     ${control}  (GET /traffic, POST /faults, DELETE /faults)`,
            '',
            'In another terminal:',
            `  export KUBECONFIG=${kubeconfig}`,
            '  kubectl get nodes -o wide',
            '  kubectl get pods -A --watch',
            `  ssh -F ${sshConfig} ${nodes.at(-1)} ip link`,
            `  curl -d '{"name":"vxlan-blocked","nodes":["${nodes.at(-1)}"],"when":"always"}' ${control}/faults`,
            '',
            'To migrate it: put kubeconfig and SSH config into a copy of plans/flannel-to-calico.yaml (spec.cluster.kubeconfig, spec.access.ssh.configFile).',
            '^C stops it.',
            '',
          ]);
        const ended = new AbortController();
        void stopped.then(() => ended.abort());
        const terminal = cli.stdout.isTTY === true;
        const screen = terminal ? terminalScreen(cli.stdout) : appendScreen((text) => process.stderr.write(text));
        while (!ended.signal.aborted) {
          const lines = trafficLines(simulation.traffic(), terminal ? cli.style : cli.errorStyle);
          const shown = terminal ? lines : lines.slice(-1);
          screen.show(() =>
            shown.map((text, index) => ({
              key: String(index),
              text: clip(text, terminal ? (cli.stdout.columns ?? 80) : Infinity),
            })),
          );
          await sleep(terminal ? onTerminalMs : inLogMs, undefined, { signal: ended.signal }).catch(() => undefined);
        }
        screen.end();
      } finally {
        forget();
        await simulation.stop();
        if (own) rmSync(directory, { recursive: true, force: true });
        if (process.connected) process.disconnect();
      }
    });
};

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}
