import { describe, expect, it } from 'vitest';
import type { CheckResult } from '../../src/checks/types.ts';
import { compilePlan } from '../../src/plan/compile.ts';
import { validatePlan } from '../../src/plan/load.ts';
import { chained, genesis } from '../../src/store/chain.ts';
import { projectGates } from '../../src/store/gate-views.ts';
import { nodeHistory } from '../../src/store/node-views.ts';
import { createProjection, migrationsIn, projectMigration, summaryOf } from '../../src/store/projections.ts';
import type { AuditRecord, RecordInput, RecordKind } from '../../src/store/types.ts';
import { clusterFacts, planOf } from '../plan/facts.ts';

const { plan } = compilePlan(
  validatePlan(
    planOf({
      strategy: {
        waves: [
          { name: 'canary', nodes: ['worker-1'], gate: { approvals: 2, soak: '5m', timeout: '1h' } },
          { name: 'rest', nodes: ['worker-2', 'worker-3'] },
        ],
      },
    }),
  ),
  clusterFacts({ zones: { a: 3 }, controlPlanes: 0 }),
  '/plans',
);
const stage = '1-flannel-to-calico';
const start = Date.UTC(2026, 0, 1);
const at = (second: number): string => new Date(start + second * 1000).toISOString();

/** Writes a story as a chain of records, one every ten seconds. */
function story(tell: (write: (kind: RecordKind, fields?: Partial<RecordInput>) => void) => void): AuditRecord[] {
  const records: AuditRecord[] = [];
  tell((kind, fields = {}) => {
    const number = records.length;
    records.push(
      chained(
        {
          key: `k${number}`,
          kind,
          at: at(number * 10),
          actor: 'workflow',
          migration: 'move-1',
          planHash: 'ab'.repeat(32),
          ...fields,
        },
        records.at(-1) ?? genesis,
      ),
    );
  });
  return records;
}

type Write = Parameters<Parameters<typeof story>[0]>[0];

const begin = (write: Write): void => {
  write('migration.requested', { actor: 'ana', reason: 'the old network goes' });
  write('migration.started', { actor: 'ana', message: 'flannel-to-calico' });
};

const step = (write: Write, node: string | undefined, id: string, fields: Partial<RecordInput> = {}): void => {
  const place: Partial<RecordInput> = {
    stage,
    step: id,
    direction: 'forward',
    attempt: 1,
    nodeAttempt: 1,
    actor: 'worker:w1',
    ...(node ? { node, wave: node === 'worker-1' ? 'canary' : 'rest' } : {}),
    ...fields,
  };
  const { outcome: _outcome, error: _error, checks: _checks, durationMs: _duration, ...began } = place;
  write('step.began', { message: `title of ${id}`, ...began });
  write('step.ended', { outcome: 'ok', durationMs: 10_000, message: `${id} done`, ...place });
};

const blocking: CheckResult = {
  id: 'path-mtu',
  layer: 'pod-network',
  title: 'Full-size packets arrive',
  verdict: 'block',
  message: 'packets above 1400 bytes are lost',
  evidence: null,
};
const passing: CheckResult = { ...blocking, id: 'dns', verdict: 'pass', message: 'fine' };

const openGate = (write: Write, fields: Partial<RecordInput> = {}): void =>
  write('gate.opened', {
    stage,
    wave: 'canary',
    outcome: 'pass',
    checks: [passing],
    evidenceDigest: 'ee'.repeat(32),
    evidence: {
      gate: 'after-canary',
      spec: { ...plan.stages[0]!.waves[0]!.gate },
      openedAt: at(100),
      soakUntil: at(400),
      expiresAt: at(3700),
    },
    ...fields,
  });

const migrateCanary = (write: Write): void => {
  write('wave.started', { stage, wave: 'canary', direction: 'forward' });
  step(write, 'worker-1', 'cordon');
  write('node.ended', {
    stage,
    wave: 'canary',
    node: 'worker-1',
    nodeAttempt: 1,
    outcome: 'migrated',
    message: 'on the new network',
  });
  write('wave.ended', { stage, wave: 'canary', direction: 'forward', outcome: 'done' });
};

const nodeOf = (records: AuditRecord[], name: string) => {
  const nodes = projectMigration(records, plan, start).stages[0]!.waves.flatMap((wave) => wave.nodes);
  return nodes.find((node) => node.name === name)!;
};
const stateOf = (tell: (write: Write) => void): string => projectMigration(story(tell), plan, start).state;

describe('the state of a migration', () => {
  it.each<[string, (write: Write) => void]>([
    ['requested', (write) => write('migration.requested', { actor: 'ana' })],
    ['preparing', begin],
    ['migrating', (write) => (begin(write), write('wave.started', { stage, wave: 'canary' }))],
    ['at-gate', (write) => (begin(write), migrateCanary(write), openGate(write))],
    [
      'migrating',
      (write) => (
        begin(write),
        migrateCanary(write),
        openGate(write),
        write('gate.closed', { stage, wave: 'canary', outcome: 'passed', evidence: { gate: 'after-canary' } })
      ),
    ],
    [
      'pausing',
      (write) => (
        begin(write),
        write('wave.started', { stage, wave: 'canary' }),
        write('pause.requested', { actor: 'bob', reason: 'lunch', outcome: 'node' })
      ),
    ],
    [
      'paused',
      (write) => (
        begin(write),
        write('pause.requested', { actor: 'bob', outcome: 'now' }),
        write('pause.took-effect', { actor: 'bob', outcome: 'now' })
      ),
    ],
    [
      'preparing',
      (write) => (begin(write), write('pause.took-effect', { actor: 'bob' }), write('resumed', { actor: 'bob' })),
    ],
    [
      'rolling-back',
      (write) => (begin(write), migrateCanary(write), write('rollback.requested', { actor: 'bob', outcome: 'all' })),
    ],
    [
      'rolling-back',
      (write) => (
        begin(write),
        write('pause.took-effect'),
        write('wave.started', { stage, wave: 'canary', direction: 'back' })
      ),
    ],
    ['aborting', (write) => (begin(write), write('abort.requested', { actor: 'bob' }))],
    ['finalizing', (write) => (begin(write), migrateCanary(write), step(write, undefined, 'delete-flannel'))],
    ['completed', (write) => (begin(write), write('migration.ended', { outcome: 'completed' }))],
    [
      'aborted',
      (write) => (
        begin(write),
        write('pause.took-effect'),
        write('abort.requested'),
        write('migration.ended', { outcome: 'aborted' })
      ),
    ],
  ])('is %s', (expected, tell) => {
    expect(stateOf(tell)).toBe(expected);
  });

  it('says who took the cluster over, until it is held again', () => {
    const lostLease = (tell: (write: Write) => void): string => projectMigration(story(tell), plan, start).lostLease;
    const lost = (write: Write): void => {
      begin(write);
      write('lease.lost', { message: 'm-2 took this cluster over' });
    };

    expect(lostLease(lost)).toBe('m-2 took this cluster over');
    expect(lostLease((write) => (lost(write), write('lease.held')))).toBe('');
  });

  it('never looks as if it moved while it is paused at a gate', () => {
    expect(
      stateOf(
        (write) => (begin(write), openGate(write), write('pause.took-effect', { actor: 'bob', outcome: 'wave' })),
      ),
    ).toBe('paused');
  });

  it('says since when, who asked for it and why', () => {
    const view = projectMigration(
      story((write) => (begin(write), write('pause.requested', { actor: 'bob', reason: 'lunch', outcome: 'wave' }))),
      plan,
      start,
    );

    expect(view).toMatchObject({
      id: 'move-1',
      requester: 'ana',
      reason: 'the old network goes',
      since: at(20),
      pause: { actor: 'bob', reason: 'lunch', scope: 'wave', tookEffect: false },
    });
  });
});

describe('a node', () => {
  const running = (write: Write): void => (begin(write), write('wave.started', { stage, wave: 'canary' }));

  it('is pending until its first step begins, and then shows that step', () => {
    expect(nodeOf(story(running), 'worker-1').state).toBe('pending');

    const records = story(
      (write) => (
        running(write),
        write('step.began', {
          stage,
          wave: 'canary',
          node: 'worker-1',
          step: 'evict',
          direction: 'forward',
          attempt: 2,
          nodeAttempt: 1,
        })
      ),
    );
    expect(nodeOf(records, 'worker-1')).toMatchObject({
      state: 'running',
      stepId: 'evict',
      step: 'Move the pods away, within budgets',
      stepSince: at(30),
      attempt: 2,
      nodeAttempt: 1,
    });
  });

  it('rolls back, tries again and passes: one failure, one rollback, two attempts', () => {
    const records = story((write) => {
      running(write);
      step(write, 'worker-1', 'probe', {
        outcome: 'failed',
        error: { type: 'ChecksFailed', message: 'path-mtu blocks', remedy: 'set the MTU' },
        checks: [blocking],
      });
      step(write, 'worker-1', 'swap', { direction: 'back' });
      step(write, 'worker-1', 'cordon', { direction: 'back' });
      step(write, 'worker-1', 'probe', { nodeAttempt: 2 });
      write('node.ended', {
        stage,
        wave: 'canary',
        node: 'worker-1',
        nodeAttempt: 2,
        outcome: 'migrated',
        message: 'on the new network',
      });
    });

    expect(nodeOf(records, 'worker-1')).toMatchObject({
      state: 'migrated',
      nodeAttempt: 2,
      rollbacks: 1,
      message: 'on the new network',
      endedAt: at(110),
    });
    expect(projectMigration(records, plan, start)).toMatchObject({
      failures: 1,
      counts: { nodes: 3, migrated: 1, pending: 2 },
    });
  });

  it('does not count a step that Temporal tried again by itself as a failure', () => {
    const records = story((write) => {
      running(write);
      step(write, 'worker-1', 'swap', { outcome: 'failed', error: { type: 'VerbFailed', message: 'ssh went away' } });
      step(write, 'worker-1', 'swap', { attempt: 2 });
    });

    expect(projectMigration(records, plan, start).failures).toBe(0);
  });

  it('waits for a person with the error and its remedy, and counts that as one failure', () => {
    const error = { type: 'DrainBlocked', message: 'pay/api needs 3 healthy, has 3', remedy: 'scale it up' };
    const records = story((write) => {
      running(write);
      step(write, 'worker-1', 'evict', { outcome: 'failed', error });
      write('node.waiting', { stage, wave: 'canary', node: 'worker-1', nodeAttempt: 1, message: 'waits', error });
    });

    expect(nodeOf(records, 'worker-1')).toMatchObject({
      state: 'waiting',
      message: error.message,
      remedy: error.remedy,
    });
    expect(projectMigration(records, plan, start)).toMatchObject({ failures: 1, counts: { waiting: 1, inFlight: 0 } });
  });

  it('goes on when a person says so', () => {
    const records = story(
      (write) => (
        running(write),
        write('node.waiting', { stage, wave: 'canary', node: 'worker-1' }),
        write('node.resumed', {
          stage,
          wave: 'canary',
          node: 'worker-1',
          actor: 'bob',
          outcome: 'retry',
          reason: 'scaled up',
        })
      ),
    );

    expect(nodeOf(records, 'worker-1')).toMatchObject({ state: 'running', message: 'bob: retry, scaled up' });
  });
});

describe('a wave', () => {
  it('is done when its nodes are on the new network, also after a second run for what was left', () => {
    const first = story(
      (write) => (
        begin(write),
        write('wave.started', { stage, wave: 'canary' }),
        write('node.ended', { stage, wave: 'canary', node: 'worker-1', outcome: 'skipped' }),
        write('wave.ended', { stage, wave: 'canary', outcome: 'incomplete' })
      ),
    );
    const both = story((write) => {
      begin(write);
      write('wave.started', { stage, wave: 'canary' });
      write('node.ended', { stage, wave: 'canary', node: 'worker-1', outcome: 'skipped' });
      write('wave.ended', { stage, wave: 'canary', outcome: 'incomplete' });
      migrateCanary(write);
    });

    expect(projectMigration(first, plan, start).stages[0]!.waves[0]!.state).toBe('incomplete');
    expect(projectMigration(both, plan, start).stages[0]!.waves[0]!.state).toBe('done');
  });

  it('is rolled back when it was taken back', () => {
    const records = story((write) => {
      begin(write);
      migrateCanary(write);
      write('wave.started', { stage, wave: 'canary', direction: 'back' });
      step(write, 'worker-1', 'swap', { direction: 'back' });
      write('node.ended', { stage, wave: 'canary', node: 'worker-1', outcome: 'rolled-back' });
      write('wave.ended', { stage, wave: 'canary', direction: 'back', outcome: 'done' });
    });

    const [wave] = projectMigration(records, plan, start).stages[0]!.waves;
    expect(wave).toMatchObject({ state: 'rolled-back', nodes: [{ name: 'worker-1', state: 'rolled-back' }] });
  });
});

describe('a gate', () => {
  const upToGate = (write: Write): void => (begin(write), migrateCanary(write), openGate(write));
  const approve = (write: Write, actor: string, fields: { evidenceDigest?: string } = {}): void =>
    write('gate.decided', {
      ...fields,
      stage,
      wave: 'canary',
      actor,
      outcome: 'approve',
      reason: 'looks right',
      evidence: { gate: 'after-canary' },
    });

  it('shows its evidence, who approved, what it still needs, and what happens without a decision', () => {
    const [gate] = projectGates(
      story((write) => (upToGate(write), approve(write, 'bob'))),
      plan,
    );

    expect(gate).toMatchObject({
      id: 'after-canary',
      state: 'open',
      stage,
      wave: 'canary',
      soakUntil: at(400),
      expiresAt: at(3700),
      evidence: { digest: 'ee'.repeat(32), verdict: 'pass', checks: [passing] },
      decisions: [{ actor: 'bob', verdict: 'approve', reason: 'looks right' }],
      needs: ['1 more approval, not from ana, who launched it', `its soak, until ${at(400).slice(0, 19)}Z`],
      atTimeout: `without a decision by ${at(3700)} the migration pauses for a person`,
    });
  });

  it('needs its checks to stop blocking', () => {
    const [gate] = projectGates(
      story((write) => (begin(write), openGate(write, { outcome: 'block', checks: [blocking] }))),
      plan,
    );

    expect(gate!.evidence.verdict).toBe('block');
    expect(gate!.needs).toContain('path-mtu blocks: packets above 1400 bytes are lost');
  });

  it('forgets approvals of older evidence', () => {
    const [gate] = projectGates(
      story((write) => (upToGate(write), approve(write, 'bob'), openGate(write, { evidenceDigest: 'ff'.repeat(32) }))),
      plan,
    );

    expect(gate).toMatchObject({ decisions: [], evidence: { digest: 'ff'.repeat(32) } });
  });

  it('does not count an approval of older evidence that was under way when newer came', () => {
    const [gate] = projectGates(
      story((write) => {
        upToGate(write);
        openGate(write, { evidenceDigest: 'ff'.repeat(32) });
        approve(write, 'bob', { evidenceDigest: 'ee'.repeat(32) });
        approve(write, 'eva', { evidenceDigest: 'ff'.repeat(32) });
      }),
      plan,
    );

    expect(gate!.decisions.map(({ actor }) => actor)).toEqual(['eva']);
    expect(gate!.needs[0]).toBe('1 more approval, not from ana, who launched it');
  });

  it('shows in its wave how it ended and by whom', () => {
    const records = story(
      (write) => (
        upToGate(write),
        approve(write, 'bob'),
        approve(write, 'eva'),
        write('gate.closed', { stage, wave: 'canary', outcome: 'passed', evidence: { gate: 'after-canary' } })
      ),
    );

    const view = projectMigration(records, plan, start);
    expect(view.stages[0]!.waves[0]!.gate).toEqual({ id: 'after-canary', state: 'passed', by: 'bob, eva' });
    expect(view).toMatchObject({ gate: '', openGate: null });
    expect(projectGates(records, plan)[0]).toMatchObject({ state: 'passed', needs: [] });
  });
});

describe('time', () => {
  it('is work while something moves and waiting at gates and in pauses', () => {
    // started at 10 s, gate opened at 70 s; looked at 100 s later.
    const view = projectMigration(
      story((write) => (begin(write), migrateCanary(write), openGate(write))),
      plan,
      start + 170_000,
    );

    expect(view.elapsed).toEqual({ workSeconds: 60, waitingSeconds: 100 });
  });

  it('that is left shrinks with every node, and is nothing at the end', () => {
    const before = projectMigration(story(begin), plan, start);
    const after = projectMigration(
      story((write) => (begin(write), migrateCanary(write))),
      plan,
      start,
    );
    const ended = projectMigration(
      story((write) => (begin(write), write('migration.ended', { outcome: 'aborted' }))),
      plan,
      start,
    );

    expect(before.remaining.workSeconds).toBe(plan.estimate.workSeconds);
    expect(after.remaining.workSeconds).toBeLessThan(before.remaining.workSeconds);
    expect(ended.remaining).toEqual({ workSeconds: 0, waitingSeconds: 0 });
  });
});

it('gives the same view when records come one by one, twice, or all at once', () => {
  const records = story((write) => (begin(write), migrateCanary(write), openGate(write)));
  const projection = createProjection(plan);
  for (const record of records) {
    projection.apply(record);
    projection.view(start);
    projection.apply(record);
  }

  expect(projection.view(start)).toEqual(projectMigration(records, plan, start));
  expect(projection.view(start).lastSeq).toBe(records.length);
});

it('lists migrations, newest first, and shortens a view to one entry of a list', () => {
  const records = story(
    (write) => (
      begin(write),
      write('migration.requested', { migration: 'move-2', actor: 'bob' }),
      write('attempt.refused', { migration: 'move-3' })
    ),
  );

  expect(migrationsIn(records).map(({ id }) => id)).toEqual(['move-2', 'move-1']);
  expect(Object.keys(summaryOf(projectMigration(records, plan, start)))).not.toContain('stages');
});

it('tells the story of a node: each step once, with how it ended, its checks that did not pass, and what people decided', () => {
  const records = story((write) => {
    begin(write);
    step(write, 'worker-1', 'cordon');
    step(write, 'worker-1', 'probe', {
      outcome: 'failed',
      checks: [passing, blocking],
      error: { type: 'ChecksFailed', message: 'path-mtu blocks', remedy: 'set the MTU' },
    });
    step(write, 'worker-2', 'cordon');
    step(write, 'worker-1', 'swap', { direction: 'back' });
    step(write, 'worker-1', 'swap', { direction: 'back' });
    write('node.waiting', { node: 'worker-1', nodeAttempt: 1, message: 'path-mtu blocks; set the MTU' });
    write('node.resumed', { node: 'worker-1', actor: 'bob', outcome: 'skip', reason: 'later' });
    write('step.began', { node: 'worker-1', step: 'soak', direction: 'forward', attempt: 1, nodeAttempt: 1 });
  });

  const history = nodeHistory(records, 'worker-1', plan.stages[0]!.node);

  expect(
    history.entries.map(({ kind, title, direction, outcome, durationMs }) => [
      kind,
      title,
      direction,
      outcome,
      durationMs,
    ]),
  ).toEqual([
    ['step', 'Take no new pods and leave external load balancers', 'forward', 'ok', 10_000],
    ['step', 'Ask the new network', 'forward', 'failed', 10_000],
    ['step', 'title of swap', 'back', 'ok', 10_000],
    ['step', 'title of swap', 'back', 'ok', 10_000],
    ['node.waiting', 'Waits for a person', '', '', null],
    ['node.resumed', 'A person decided', '', 'skip', null],
    ['step', 'Watch the node under load', 'forward', '', null],
  ]);
  expect(history.entries[1]).toMatchObject({ message: 'path-mtu blocks', remedy: 'set the MTU', checks: [blocking] });
  expect(history.entries[5]).toMatchObject({ actor: 'bob', message: 'later' });
  expect(history).toMatchObject({ node: 'worker-1', migration: 'move-1', state: 'running' });
});
