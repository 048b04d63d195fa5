import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApi } from '../../src/cli/client.ts';
import { cutoverHome, readServerFile, readToken } from '../../src/server/home.ts';
import type { Scenario } from '../../src/simulator/scenario/scenario.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { Simulation } from '../../src/simulator/types.ts';
import type { GateView, MigrationView } from '../../src/store/views.ts';
import { until } from './until.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bundle = /sha256: ([0-9a-f]{64})/.exec(readFileSync(join(root, 'plans/flannel-to-calico.yaml'), 'utf8'))![1]!;

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** How a cluster is reached: what a plan says about it. */
export interface Access {
  kubeconfig: string;
  sshConfig: string;
}

/** An installation of Cutover beside a cluster, used only as a user would: through the CLI and, for its state, the API. */
export interface Installation {
  home: string;
  env: NodeJS.ProcessEnv;
  /** Runs `cutover …` to its end. */
  cutover(...args: string[]): Promise<Ran>;
  /** The same with `-o json`, parsed. @throws when it exits with anything but 0 */
  json<T>(...args: string[]): Promise<T>;
  /** Of the newest migration. Over HTTP: what is asked again and again may not take the processor from what is tested. */
  status(): Promise<MigrationView>;
  /** Writes a plan file and answers its path. `change` edits the text. */
  planFile(change?: (yaml: string) => string): string;
  /** Plan and launch. @returns the id of the migration */
  launch(change?: (yaml: string) => string): Promise<string>;
  /** Resolves with the view once the migration is in that state. */
  reach(state: MigrationView['state'], timeoutMs?: number): Promise<MigrationView>;
  /** 0 between two. */
  pidOf(part: 'worker' | 'temporal'): number;
  /** As a power cut: server, worker and Temporal are killed, and what they wrote stays. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** A simulated cluster, and an installation beside it. */
export async function install(
  scenario: string | Scenario,
  options: { speed?: number; home?: string } = {},
): Promise<Installation & { simulation: Simulation }> {
  const simulation = await startSimulation(scenario, options);
  const installation = await installBeside(simulation, options.home);
  return {
    ...installation,
    simulation,
    stop: async () => {
      await installation.stop();
      await simulation.stop();
    },
  };
}

/** @param home of an installation that was killed, which comes back */
export async function installBeside(
  access: Access,
  home = mkdtempSync(join(tmpdir(), 'cutover-installation-')),
): Promise<Installation> {
  const { TEMPORAL_ADDRESS: _own, ...rest } = process.env;
  const env: NodeJS.ProcessEnv = { ...rest, CUTOVER_HOME: home, CUTOVER_ACTOR: 'ana', NO_COLOR: '1' };
  const up = spawn(join(root, 'bin/cutover'), ['up', '--port', '0'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [up.stdout, up.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => void (log += text));
  await until(
    () => log.includes('ready; next') || (up.exitCode !== null && `ended: ${log}`),
    `cutover up: ${log}`,
    120_000,
  );
  if (up.exitCode !== null) throw new Error(`cutover up ended: ${log}`);

  const cutover = (...args: string[]): Promise<Ran> => runCutover(args, env);
  const json = async <T>(...args: string[]): Promise<T> => {
    const { code, stdout, stderr } = await cutover(...args, '-o', 'json');
    if (code !== 0) throw new Error(`cutover ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as T;
  };
  const planFile = (change: (yaml: string) => string = (yaml) => yaml): string => {
    const path = join(home, `plan-${Math.random().toString(36).slice(2, 8)}.yaml`);
    writeFileSync(path, change(planText(access)));
    return path;
  };
  const status = async (): Promise<MigrationView> => {
    const at = cutoverHome(env);
    const url = readServerFile(at)?.url ?? '';
    const api = createApi({ url, token: readToken(at, env), actor: 'ana', timeoutMs: 30_000 });
    return api.get<MigrationView>('/v1/migrations/latest');
  };
  return {
    home,
    env,
    cutover,
    json,
    planFile,
    status,
    launch: async (change) => {
      const { hash } = await json<{ hash: string }>('plan', '-f', planFile(change));
      const { migration: id } = await json<{ migration: string }>('launch', hash, '--reason', 'test');
      return id;
    },
    reach: async (state, timeoutMs = 240_000) => {
      let last: MigrationView | undefined;
      await until(async () => (last = await status()).state === state, `state ${state}`, timeoutMs).catch(
        (error: unknown) => {
          throw new Error(
            `${String(error)}; last: ${JSON.stringify({ state: last?.state, pause: last?.pause, nodes: last && nodesOf(last).map(({ name, state: of, message }) => [name, of, message]) })}`,
          );
        },
      );
      return last!;
    },
    pidOf: (part) => childOf(up.pid!, part === 'worker' ? / worker$/ : /start-dev/),
    kill: async () => {
      const parts = [childOf(up.pid!, / worker$/), childOf(up.pid!, /start-dev/)].filter((pid) => pid !== 0);
      const gone = new Promise((resolve) => up.once('exit', resolve));
      up.kill('SIGKILL');
      for (const pid of parts) process.kill(pid, 'SIGKILL');
      await gone;
    },
    stop: async () => {
      await ended(up);
      // What is mounted there is for whoever mounted it.
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

export const nodesOf = ({ stages }: MigrationView) =>
  stages.flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes));

/** Runs the CLI as a process of its own. */
export function runCutover(args: string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const child = spawn(join(root, 'bin/cutover'), args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** The child of that process whose command line matches; the process table is the only one who knows after a restart. */
function childOf(parent: number, command: RegExp): number {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
  const found = children.find((pid) =>
    command.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()),
  );
  return found ?? 0;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  const force = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await exit;
  clearTimeout(force);
}

/** All nodes in one wave without a gate. */
export const oneWave = (yaml: string): string =>
  yaml.replace(/ {4}waves:[\s\S]*?nodes: rest\n/, '    waves:\n      - name: all\n        nodes: rest\n');

/** The gate, once it is open. */
export async function openGate(
  { status, json }: Pick<Installation, 'status' | 'json'>,
  gate: string,
  timeoutMs = 300_000,
): Promise<GateView> {
  await until(async () => (await status()).openGate?.id === gate, `gate ${gate} opens`, timeoutMs);
  return json<GateView>('gates', gate);
}

/** Ben approves the gate, once it is open, by the evidence that it shows. @returns what he saw. @throws when he is refused */
export async function approveGate(
  installation: Pick<Installation, 'status' | 'json' | 'cutover'>,
  gate: string,
  timeoutMs?: number,
): Promise<GateView> {
  for (let again = 0; ; again++) {
    const view = await openGate(installation, gate, timeoutMs);
    const digest = `sha256:${view.evidence.digest}`;
    const decision = ['approve', gate, '--as', 'ben', '--evidence', digest, '--reason', 'seen'];
    const { code, stderr } = await installation.cutover(...decision);
    if (code === 0) return view;
    // Evidence that blocks is taken again by itself, also between reading and deciding: he reads once more.
    if (again < 2 && stderr.includes('is now')) continue;
    const blocks = view.evidence.checks.filter(({ verdict }) => verdict === 'block');
    throw new Error(
      `cutover approve ${gate}: ${stderr}${blocks.map(({ id, message }) => `${id}: ${message}`).join('; ')}`,
    );
  }
}

/** Captures take a minute each: only those tests have them that are about them. */
const noCapture = '  capture: { skip: true }\n';
export const withCapture = (yaml: string): string => yaml.replace(noCapture, '');

const planText = ({ kubeconfig, sshConfig }: Access): string => `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata:
  name: test
spec:
  cluster:
    kubeconfig: ${kubeconfig}
  access:
    ssh:
      configFile: ${sshConfig}
  stages:
    - route: flannel-to-calico
      with:
        manifests:
          path: ${join(root, 'plans/manifests/calico')}
          sha256: ${bundle}
  strategy:
    waves:
      - name: canary
        nodes: 1
        gate:
          approvals: 1
      - name: rest
        nodes: rest
    maxUnavailable: 1
    failureBudget: 2
    nodeAttempts: 2
    nodeSoak: 0s
  drain:
    timeout: 60s
    retry: 1s
  probe:
    hostPort: 18180
${noCapture}  acknowledge:
    - { id: versions, reason: the bundle is what the simulator models }
`;
