import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CutoverError } from '../../errors.ts';
import type { TrafficReport } from '../../simulator/types.ts';

interface Described {
  server: string;
  kubeconfig: string;
  sshConfig: string;
  nodes: string[];
}

export interface SimulationProcess extends Described {
  traffic(): Promise<TrafficReport>;
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

/**
 * `cutover simulate` as a child: the cluster is another process at the other end of real sockets.
 * @throws CutoverError Internal when it does not come up
 */
export async function startSimulationProcess(
  scenario: string,
  directory: string,
  logFile: string,
  env: NodeJS.ProcessEnv,
): Promise<SimulationProcess> {
  // A process group of its own: ^C reaches the demo, which ends things in the right order.
  const child = spawn(process.execPath, [main, 'simulate', scenario, '--directory', directory, '-o', 'json'], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', openSync(logFile, 'a', 0o600), 'ipc'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const described = new Promise<string>((resolve) => {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n}\n')) resolve(text);
    });
  });
  const text = await Promise.race([
    described,
    exited.then((code) => {
      throw new CutoverError('Internal', `the simulated cluster did not start (exit code ${code})`, {
        remedy: `read ${logFile}`,
      });
    }),
  ]);
  const { control, server, kubeconfig, sshConfig, nodes } = JSON.parse(text) as Described & { control: string };
  return {
    server,
    kubeconfig,
    sshConfig,
    nodes,
    traffic: async () => (await fetch(`${control}/traffic`)).json() as Promise<TrafficReport>,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
