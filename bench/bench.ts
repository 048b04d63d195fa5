import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { bundleWorkflowCode } from '@temporalio/worker';
import { pino } from 'pino';
import { connect } from '../src/temporal/connect.ts';
import { startDevServer } from '../src/temporal/dev-server.ts';
import { createWorker, installRuntime } from '../src/temporal/worker.ts';
import { cpuSeconds, peakRssMb, percentile, readRun, round, type Run } from './measure.ts';

/**
 * What the engine costs: a simulated cluster without latency is migrated with the CLI, server and worker that a user
 * runs, and in the same run, at the same concurrency, a bare workflow of as many no-op activities a node.
 * Overhead of a node = wall time of its workflow less the time inside its activities, both from Temporal's history.
 * Prints progress on stderr, with the CPU seconds of each process (Linux), which tell more than the clock where others work
 * beside it, and ends with one JSON line on stdout. `bench.ts 50:5` runs one size: 50 nodes, 5 at a time; with
 * `--preflight` it ends after preflight, which it measures in any case.
 */
const preflightOnly = process.argv.includes('--preflight');
const written = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const sizes = (written.length > 0 ? written : ['50:5', '500:25']).map((size) => {
  const [nodes = 50, concurrency = 5] = size.split(':').map(Number);
  return { nodes, concurrency };
});
const root = fileURLToPath(new URL('..', import.meta.url));
const log = pino({ level: 'warn' }, pino.destination(2));
const say = (line: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
installRuntime(log);

const results = [];
for (const size of sizes) results.push(await measure(size));
console.log(JSON.stringify({ sizes: results }));
process.exit(0);

async function measure({ nodes, concurrency }: { nodes: number; concurrency: number }) {
  const home = mkdtempSync(join(tmpdir(), 'cutover-bench-'));
  const children: ChildProcess[] = [];
  const server = await startDevServer({ dataDirectory: '', ui: false, log });
  const { client, connection } = await connect({ address: server.address, namespace: 'default' });
  const env = { ...process.env, CUTOVER_HOME: home, TEMPORAL_ADDRESS: server.address, CUTOVER_LOG_LEVEL: 'error' };
  try {
    say(`${nodes} nodes, ${concurrency} at a time: starting the simulated cluster, server and worker`);
    const cluster = start(children, process.execPath, [join(root, 'bench/cluster.ts'), `bench-${nodes}`], env);
    const { kubeconfig, sshConfig } = JSON.parse(await firstLine(cluster)) as { kubeconfig: string; sshConfig: string };
    const api = start(children, join(root, 'bin/cutover'), ['server', '--port', '0'], env);
    const worker = start(children, join(root, 'bin/cutover'), ['worker'], env);

    const planFile = join(home, 'plan.yaml');
    writeFileSync(planFile, planOf({ kubeconfig, sshConfig, concurrency }));
    const plan = await patiently(
      () => cutover<{ hash: string }>(env, ['plan', '-f', planFile, '-o', 'json']),
      'the server answers',
    );
    const preflightStarted = performance.now();
    const { checks } = cutover<{ checks: { id: string; verdict: string; message: string }[] }>(env, [
      'preflight',
      plan.hash,
      '-o',
      'json',
    ]);
    const preflightSeconds = round((performance.now() - preflightStarted) / 1000);
    const stopping = checks.filter(({ verdict }) => verdict !== 'pass');
    say(
      `preflight: ${checks.length} checks in ${preflightSeconds} s; ${stopping.map(({ id, message }) => `${id}: ${message}`).join('; ')}`,
    );
    if (preflightOnly) return { nodes, preflightSeconds };

    const { migration: id } = cutover<{ migration: string }>(env, [
      'launch',
      plan.hash,
      '--reason',
      'bench',
      '-o',
      'json',
    ]);
    const costs = (): string =>
      Object.entries({ worker: worker.pid!, server: api.pid!, cluster: cluster.pid!, temporal: server.pid })
        .map(([name, pid]) => `${name} ${round(cpuSeconds(pid), 0)} s`)
        .join(', ');
    await follow(env, id, nodes, costs);

    const runs = await runsOf(client, ':node:');
    const others = await runsOf(client, '', ':node:');
    const activitiesPerNode = Math.round(
      percentile(
        runs.map(({ activities }) => activities),
        0.5,
      ),
    );
    const workerRssMb = peakRssMb(worker.pid!);
    stopAll(children);

    say(`the floor: ${nodes} bare workflows of ${activitiesPerNode} no-op activities`);
    const bare = await floor(client, server.address, { nodes, concurrency, activities: activitiesPerNode });
    const overhead = runs.map(({ wallMs, insideMs }) => wallMs - insideMs);
    const floorMs = bare.map(({ wallMs, insideMs }) => wallMs - insideMs);
    const minutes =
      (Math.max(...runs.map(({ closedAt }) => closedAt)) - Math.min(...runs.map(({ startedAt }) => startedAt))) /
      60_000;
    const result = {
      nodes,
      concurrency,
      preflightSeconds,
      activitiesPerNode,
      overheadMsPerNode: { p50: round(percentile(overhead, 0.5)), p95: round(percentile(overhead, 0.95)) },
      floorMsPerNode: { p50: round(percentile(floorMs, 0.5)), p95: round(percentile(floorMs, 0.95)) },
      overheadRatio: round(percentile(overhead, 0.5) / percentile(floorMs, 0.5), 2),
      eventsPerNode: percentile(
        runs.map(({ events }) => events),
        0.5,
      ),
      largestHistory: Math.max(...[...runs, ...others].map(({ events }) => events)),
      workerRssMb,
      nodesPerMinute: round(runs.length / minutes),
    };
    say(JSON.stringify(result));
    return result;
  } finally {
    stopAll(children);
    await connection.close();
    await server.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Runs the bare workflow once for each node, so many at a time, on a worker of the same settings. */
async function floor(
  client: Client,
  address: string,
  { nodes, concurrency, activities }: { nodes: number; concurrency: number; activities: number },
): Promise<Run[]> {
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('bare-workflow.ts', import.meta.url)),
    logger: { ...console, log: () => {}, trace: () => {}, debug: () => {}, info: () => {} },
  });
  const taskQueue = `bare-${nodes}`;
  const { worker, connection } = await createWorker({
    address,
    namespace: 'default',
    activities: { noop: async () => {} },
    identity: 'bare',
    taskQueue,
    workflowBundle,
  });
  const running = worker.run();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < nodes)
      await client.workflow.execute('bareNode', {
        taskQueue,
        workflowId: `bare:${nodes}:${next++}`,
        args: [{ activities }],
      });
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const runs = await Promise.all(
    Array.from({ length: nodes }, (_, index) => readRun(client, `bare:${nodes}:${index}`)),
  );
  worker.shutdown();
  await running;
  await connection.close();
  return runs;
}

/** Every closed run of a workflow whose id holds `part` (and not `without`). */
async function runsOf(client: Client, part: string, without?: string): Promise<Run[]> {
  const runs: Run[] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    if (workflowId.includes(part) && !(without && workflowId.includes(without)))
      runs.push(await readRun(client, workflowId, runId));
  }
  return runs;
}

async function follow(env: NodeJS.ProcessEnv, id: string, nodes: number, costs: () => string): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const { state, counts, pause } = cutover<{
      state: string;
      counts: { migrated: number };
      pause: { reason: string } | null;
    }>(env, ['status', id, '-o', 'json']);
    say(`${state}: ${counts.migrated} of ${nodes} nodes migrated${pause ? ` (${pause.reason})` : ''}; CPU: ${costs()}`);
    if (state === 'completed') return;
    if (['aborted', 'rolled-back', 'failed', 'paused'].includes(state)) throw new Error(`the migration is ${state}`);
  }
}

function cutover<T>(env: NodeJS.ProcessEnv, args: string[]): T {
  const { stdout, stderr, status } = spawnSync(join(root, 'bin/cutover'), args, {
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`cutover ${args.join(' ')}: ${stderr.trim()}`);
  return JSON.parse(stdout) as T;
}

async function patiently<T>(attempt: () => T, what: string, timeoutMs = 120_000): Promise<T> {
  for (const until = Date.now() + timeoutMs; ;) {
    try {
      return attempt();
    } catch (error) {
      if (Date.now() > until) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

function start(children: ChildProcess[], program: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

function stopAll(children: ChildProcess[]): void {
  for (const child of children.splice(0)) child.kill('SIGTERM');
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the simulated cluster ended with ${code}`)));
  });
}

function planOf({
  kubeconfig,
  sshConfig,
  concurrency,
}: {
  kubeconfig: string;
  sshConfig: string;
  concurrency: number;
}): string {
  const { sha256 } = /sha256: (?<sha256>[0-9a-f]{64})/.exec(
    readFileSync(join(root, 'plans/flannel-to-calico.yaml'), 'utf8'),
  )!.groups as { sha256: string };
  return `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata: { name: bench }
spec:
  cluster: { kubeconfig: ${kubeconfig} }
  access: { ssh: { configFile: ${sshConfig} } }
  stages:
    - route: flannel-to-calico
      with: { manifests: { path: ${join(root, 'plans/manifests/calico')}, sha256: ${sha256} } }
  strategy:
    waves: [{ name: all, nodes: rest }]
    maxUnavailable: ${concurrency}
    maxUnavailablePerZone: ${concurrency}
    nodeSoak: 0s
  acknowledge:
    - { id: versions, reason: the bundle is what the simulator models }
    - { id: coredns, reason: nobody resolves names there }
`;
}
