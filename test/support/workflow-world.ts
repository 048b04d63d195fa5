import { randomUUID } from 'node:crypto';
import type { Client, Connection, WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { pino } from 'pino';
import type { Evidence, LoadedWave, PlanOutline, VerbInput, VerbResult } from '../../activities/types.ts';
import type { GateSpec, Step } from '../../src/plan/types.ts';
import type { RecordInput } from '../../src/store/types.ts';
import type { PayloadKey } from '../../src/temporal/codec.ts';
import { connect } from '../../src/temporal/connect.ts';
import { startDevServer, type DevServer } from '../../src/temporal/dev-server.ts';
import { clusterWorkflowId } from '../../src/temporal/ids.ts';
import { bundleWorkflows, createWorker, installRuntime } from '../../src/temporal/worker.ts';
import type { MigrateClusterInput } from '../../workflows/messages.ts';

/** A real Temporal server and worker with activities that keep a journal instead of touching a cluster. */
export interface World {
  taskQueue: string;
  client: Client;
  connection: Connection;
  /** What verbs did, in order: `worker-1 forward cordon`, `cluster forward label-nodes`, `worker-1 back cordon/node.restoreCordon`. */
  journal: string[];
  records: RecordInput[];
  outline: PlanOutline;
  waves: Map<string, LoadedWave>;
  /** Answers before a verb "works": throw to fail it, wait to hold it. */
  onVerb: (input: VerbInput, verb: string) => Promise<void> | void;
  evidence: () => Evidence | Promise<Evidence>;
  /** What the record says of the nodes of a wave that was ended outside of Cutover. */
  awaitNodes: () => Promise<string[]>;
  start(overrides?: Partial<MigrateClusterInput>): Promise<WorkflowHandle>;
  clusterUid: string;
  stop(): Promise<void>;
  restartWorker(): Promise<void>;
}

export const testKeys: PayloadKey[] = [{ id: 'test', secret: Buffer.alloc(32, 7) }];
const keysOf = ({ keys }: { keys?: PayloadKey[] }) => (keys ? { keys } : {});

const quiet = pino({ level: 'silent' });

export const verbs = [
  'node.a',
  'node.b',
  'node.c',
  'node.undoA',
  'node.undoB',
  'node.undoC',
  'node.check',
  'cluster.prepare',
  'cluster.unprepare',
  'cluster.finalize',
];

export const nodeSteps: Step[] = [
  { id: 'a', title: 'Do a', verb: 'node.a', undo: [{ verb: 'node.undoA' }], attempts: 1 },
  { id: 'b', title: 'Do b', verb: 'node.b', undo: [{ verb: 'node.undoB' }], attempts: 1, inOneGo: true },
  { id: 'c', title: 'Do c', verb: 'node.c', undo: [{ verb: 'node.undoC' }], attempts: 1 },
];

export const gate = (overrides: Partial<GateSpec> = {}): GateSpec => ({
  id: 'after-canary',
  approvals: 1,
  approvers: [],
  requesterMayApprove: false,
  soakSeconds: 0,
  checks: ['pod-to-pod'],
  timeoutSeconds: 0,
  onTimeout: 'hold',
  ...overrides,
});

let shared: Promise<{ server: DevServer; bundle: Awaited<ReturnType<typeof bundleWorkflows>> }> | undefined;

/** One dev server in memory for each test file. */
export const temporal = () =>
  (shared ??= (async () => (
    installRuntime(quiet),
    { server: await startDevServer({ dataDirectory: '', ui: false, log: quiet }), bundle: await bundleWorkflows(quiet) }
  ))());

export async function stopTemporal(): Promise<void> {
  await (await shared)?.server.stop();
  shared = undefined;
}

export async function createWorld(
  options: {
    waves?: { id: string; nodes: string[]; gate?: GateSpec; adopted?: true }[];
    strategy?: Partial<LoadedWave['strategy']>;
    finalizeGate?: GateSpec;
    /** As an installation has them; without, everything is plain and can be recorded. */
    keys?: PayloadKey[];
  } = {},
): Promise<World> {
  const { server, bundle } = await temporal();
  const { client, connection } = await connect({ address: server.address, namespace: 'default', ...keysOf(options) });
  const strategy: LoadedWave['strategy'] = {
    maxUnavailable: 1,
    maxUnavailablePerZone: 1,
    failureBudget: 1,
    onFailure: 'rollback',
    nodeAttempts: 2,
    nodeSoakSeconds: 0,
    ...options.strategy,
  };
  const waves = options.waves ?? [
    { id: 'canary', nodes: ['worker-1'], gate: gate() },
    { id: 'rest', nodes: ['worker-2', 'worker-3'] },
  ];
  const taskQueue = `test-${randomUUID()}`;
  const clusterUid = randomUUID();
  const verbBody =
    (verb: string) =>
    async (input: VerbInput): Promise<VerbResult> => {
      await world.onVerb(input, verb);
      const undo = input.step.direction === 'back' ? `/${verb}` : '';
      world.journal.push(`${input.place.node ?? 'cluster'} ${input.step.direction} ${input.step.id}${undo}`);
      return { changed: true, summary: 'done', checks: [] };
    };
  const activities = {
    ...Object.fromEntries(verbs.map((verb) => [verb, verbBody(verb)])),
    record: async (input: RecordInput) => {
      if (!world.records.some(({ key }) => key === input.key)) world.records.push(input);
    },
    loadOutline: async () => world.outline,
    loadWave: async ({ wave }: { wave: string }) => world.waves.get(wave)!,
    gatherEvidence: async () => world.evidence(),
    awaitNodes: async () => world.awaitNodes(),
  };
  const makeWorker = async () => {
    const made = await createWorker({
      address: server.address,
      namespace: 'default',
      ...keysOf(options),
      activities,
      identity: 'test',
      taskQueue,
      workflowBundle: bundle,
    });
    return { ...made, done: made.worker.run() };
  };
  let running = await makeWorker();
  const stopWorker = async (): Promise<void> => {
    running.worker.shutdown();
    await running.done;
    await running.connection.close();
  };
  const world: World = {
    taskQueue,
    client,
    connection,
    clusterUid,
    journal: [],
    records: [],
    outline: {
      name: 'test',
      strategy,
      stages: [
        {
          id: '1-test',
          route: 'test',
          prepare: [
            {
              id: 'prepare',
              title: 'Prepare',
              verb: 'cluster.prepare',
              undo: [{ verb: 'cluster.unprepare' }],
              attempts: 1,
            },
          ],
          finalize: [
            { id: 'finalize', title: 'Finalize', verb: 'cluster.finalize', pointOfNoReturn: true, attempts: 1 },
          ],
          waves: waves.map(({ id, nodes, gate: spec, adopted }) => ({
            id,
            nodes: nodes.length,
            ...(adopted ? { adopted } : {}),
            ...(spec ? { gate: spec } : {}),
          })),
          ...(options.finalizeGate ? { finalizeGate: options.finalizeGate } : {}),
        },
      ],
    },
    waves: new Map(
      waves.map(({ id, nodes }) => [
        id,
        {
          nodes: nodes.map((name, index) => ({ name, zone: `zone-${index % 3}` })),
          steps: nodeSteps,
          verifyRollback: ['pod-to-pod'],
          strategy,
        },
      ]),
    ),
    onVerb: () => {},
    awaitNodes: async () => [],
    evidence: () => ({ checks: [], digest: 'd'.repeat(64), verdict: 'pass', at: new Date().toISOString() }),
    start: (overrides = {}) =>
      client.workflow.start('migrateCluster', {
        taskQueue,
        workflowId: clusterWorkflowId(clusterUid),
        workflowIdConflictPolicy: 'FAIL',
        args: [
          {
            migration: `test-${clusterUid.slice(0, 6)}`,
            planHash: 'p'.repeat(64),
            clusterUid,
            requester: 'ana',
            ...overrides,
          } satisfies MigrateClusterInput,
        ],
      }),
    stop: async () => {
      await stopWorker();
      await connection.close();
    },
    restartWorker: async () => {
      await stopWorker();
      running = await makeWorker();
    },
  };
  return world;
}

export const failure = (type: string, message = type): ApplicationFailure =>
  ApplicationFailure.create({ type, message, nonRetryable: true });

export const act = (actor: string, reason = 'because') => ({ actor, reason, at: new Date().toISOString() });
