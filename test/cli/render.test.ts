import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { appendScreen, redraw, terminalScreen } from '../../src/cli/live.ts';
import { failureOf } from '../../src/cli/demo/report.ts';
import { createStory } from '../../src/cli/demo/story.ts';
import { statusExitCode } from '../../src/cli/follow-status.ts';
import { evidenceLines } from '../../src/cli/render/evidence-lines.ts';
import { gateLines } from '../../src/cli/render/gate-lines.ts';
import { migrationMarks, nodeMarks, waveMarks } from '../../src/cli/render/glyphs.ts';
import { historyLines } from '../../src/cli/render/history-lines.ts';
import { statusLines } from '../../src/cli/render/status-lines.ts';
import { clip, createStyle, plain, wantsColour, width } from '../../src/cli/style.ts';
import { table } from '../../src/cli/table.ts';
import { age, duration, precise } from '../../src/cli/time.ts';
import type { MigrationView } from '../../src/store/views.ts';
import { at, gate, node, now, view } from './view-fixture.ts';

const textOf = (migration: MigrationView, columns = 200, style = plain): string =>
  statusLines(migration, { now, width: columns, style })
    .map(({ text }) => text)
    .join('\n');

describe('status', () => {
  it('says what it is, how far it is, and splits time into work and waiting', () => {
    const text = textOf(view());

    expect(text).toContain('prod-4f1c2a  flannel -> calico  > Migrating  2/4 migrated  failures 1/3');
    expect(text).toContain('launched by ana 10m ago: we need policies');
    expect(text).toContain('so far 8m work + 2m waiting; left about 14m work + 1m soaking');
  });

  it('draws waves and nodes with a word for each state, the step, and the time it took', () => {
    const lines = textOf(view()).split('\n');

    expect(lines.find((line) => line.includes('wave canary'))).toMatch(
      /✔ Done .* 1\/1 nodes .* 4m50s .* gate after-canary passed by bob/,
    );
    expect(lines.find((line) => line.includes('worker-1'))).toMatch(/✔ Migrated .* 4m50s .* try 2 {2}rolled back once/);
    expect(lines.find((line) => line.includes('worker-2'))).toMatch(
      /> Migrating .* Move the pods away, within budgets +4m50s/,
    );
    expect(lines.find((line) => line.includes('worker-3'))).toMatch(/· Pending/);
    expect(lines.find((line) => line.startsWith('finalize'))).toMatch(/· Pending .* 1 step$/);
  });

  it('says at a gate who approved, what is missing, when it ends and what happens then, and how to decide', () => {
    const text = textOf(view({ state: 'at-gate', gate: 'after-canary', openGate: gate() }));

    expect(text).toContain(
      'GATE after-canary open 2m  1/2 approvals (bob 14:08:20Z)  needs: 1 more approval, not from ana, who launched it',
    );
    expect(text).toContain('expires 15:10:00Z (in 1h), then the migration pauses for a person');
    expect(text).toContain('cutover approve after-canary | cutover reject after-canary');
  });

  it('says first that another installation has taken the cluster over, and what to do', () => {
    const text = textOf(view({ lostLease: 'm-2 of installation ops-2-1a2b3c4d took this cluster over' }));

    expect(text).toContain('STOPPED: m-2 of installation ops-2-1a2b3c4d took this cluster over');
    expect(text).toContain('cutover abort prod-4f1c2a --mode hold');
  });

  it('says that it is only pausing while nodes in flight go on, and marks held nodes as paused', () => {
    const pause = { actor: 'bob', reason: 'freeze', at: at(540), scope: 'node' as const, tookEffect: false };

    expect(textOf(view({ state: 'pausing', pause }))).toContain(
      'PAUSING (nodes in flight finish, then stop) by bob 1m ago: freeze',
    );

    const held = textOf(view({ state: 'paused', pause: { ...pause, tookEffect: true } }));
    expect(held).toContain('PAUSED by bob 1m ago: freeze');
    expect(held).toContain('cutover resume prod-4f1c2a');
    expect(held.split('\n').find((line) => line.includes('worker-2'))).toContain('‖ Paused');
  });

  it('never paints what waits or is paused green', () => {
    for (const state of ['at-gate', 'pausing', 'paused', 'rolling-back', 'rolled-back', 'aborted', 'aborting'] as const)
      expect(migrationMarks[state].tone, state).not.toBe('good');
    for (const state of ['waiting', 'held', 'rolled-back', 'rolling-back', 'skipped'] as const)
      expect(nodeMarks[state].tone, state).not.toBe('good');
    for (const state of ['incomplete', 'rolled-back', 'rolling-back'] as const)
      expect(waveMarks[state].tone, state).not.toBe('good');
  });

  it('names the person who is needed for a node, and the three ways on', () => {
    const waiting = view();
    waiting.stages[0]!.waves[1]!.nodes[0] = node('worker-2', {
      state: 'waiting',
      stepSince: at(540),
      startedAt: at(310),
      message: 'payments/api cannot be evicted',
    });
    waiting.counts.waiting = 1;

    const text = textOf(waiting);

    expect(text).toContain('NEEDS A PERSON worker-2 for 1m: payments/api cannot be evicted');
    expect(text).toContain('cutover retry worker-2 | cutover skip worker-2 | cutover rollback --node worker-2');
    expect(text).toContain('1 need a person');
  });

  it('says the same without colour: colours only add', () => {
    const migration = view({ state: 'at-gate', gate: 'after-canary', openGate: gate() });
    const coloured = textOf(migration, 200, createStyle(true));

    expect(coloured).toContain('\u001b[');
    expect(stripVTControlCharacters(coloured)).toBe(textOf(migration));
  });

  it.each([20, 40, 80, 120])('fits a terminal of %i columns, in colour and without', (columns) => {
    const migration = view({ state: 'at-gate', gate: 'after-canary', openGate: gate() });

    for (const style of [plain, createStyle(true)])
      for (const { text } of statusLines(migration, { now, width: columns, style }))
        expect(width(text), text).toBeLessThanOrEqual(columns);
  });

  it('shows of a big wave the nodes that need eyes, and counts the others', () => {
    const big = view();
    big.stages[0]!.waves[1]!.nodes = [
      ...Array.from({ length: 90 }, (_, index) =>
        node(`done-${index}`, { state: 'migrated', startedAt: at(310), endedAt: at(320) }),
      ),
      node('bad-1', { state: 'waiting', stepSince: at(400), message: 'stuck' }),
      ...Array.from({ length: 100 }, (_, index) => node(`later-${index}`)),
    ];

    const lines = statusLines(big, { now, width: 200, style: plain, nodesShown: 5 }).map(({ text }) => text);

    expect(lines.filter((line) => line.includes('bad-1 ')).length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(30);
    expect(lines.find((line) => line.includes('and 8'))).toMatch(/and 86 Migrated, 100 Pending/);
  });

  it('changes nothing but times when only time passes', () => {
    const draw = (later: number) =>
      statusLines(view({ openGate: gate(), gate: 'after-canary' }), {
        now: now + later,
        width: 200,
        style: plain,
        times: false,
      });

    expect(draw(7_777_000)).toEqual(draw(0));
    expect(new Set(draw(0).map(({ key }) => key)).size).toBe(draw(0).length);
  });
});

describe('screens', () => {
  const lines = (...texts: string[]) => texts.map((text, index) => ({ key: String(index), text }));

  it('append prints a line again only when it changed, with its time and no control codes', () => {
    const written: string[] = [];
    const screen = appendScreen(
      (text) => written.push(text),
      undefined,
      () => new Date(now),
    );

    screen.show(() => lines('run 1/4', '├─ worker-1 Migrating', ''));
    screen.show(() => lines('run 2/4', '├─ worker-1 Migrating', ''));

    expect(written).toEqual(['14:10:00Z  run 1/4\n', '14:10:00Z  worker-1 Migrating\n', '14:10:00Z  run 2/4\n']);
  });

  it('redraws over its own lines, clears the rest of each and everything below', () => {
    expect(redraw(2, ['a'])).toBe('\u001b[?2026h\u001b[2A\ra\u001b[K\n\u001b[J\u001b[?2026l');
    expect(redraw(0, ['a'])).not.toContain('A');
  });

  it('draws many changes of a terminal as one, never more lines than there are rows, and clears once after a resize', async () => {
    const written: string[] = [];
    const listeners: (() => void)[] = [];
    const terminal = {
      rows: 5,
      columns: 80,
      write: (text: string) => written.push(text),
      on: (_: 'resize', listener: () => void) => listeners.push(listener),
    };
    const screen = terminalScreen(terminal, 1);

    for (let change = 0; change < 50; change++)
      screen.show(() => lines(...Array.from({ length: 20 }, (_, index) => `line ${index} of change ${change}`)));
    screen.end();

    expect(written).toHaveLength(1);
    expect(written[0]!.split('\n')).toHaveLength(5);
    expect(written[0]).toContain('line 3 of change 49');

    listeners[0]!();
    expect(written[1]).toBe('\u001b[2J\u001b[H');
    await expect.poll(() => written.length).toBe(3);
    expect(written[2]).toMatch(/^.{8}\rline/);
  });
});

describe('gate, evidence, history', () => {
  it('shows a gate with the evidence table, what is needed, who may, and the end of its time', () => {
    const text = gateLines(gate(), { now, style: plain }).join('\n');

    for (const part of [
      '‖ open for 2m',
      `sha256:${'b'.repeat(64)}`,
      '1 pass, 1 warn, 0 block',
      '1 of 2 (bob)',
      'not from ana',
      'in 1h; then: the migration pauses for a person',
      'but not who launched it',
      'approved by bob at 14:08:20Z: fine',
      '! warn',
      'look at the path',
    ])
      expect(text).toContain(part);
  });

  it('puts what blocks first and each remedy once', () => {
    const check = (id: string, verdict: 'pass' | 'warn' | 'block') => ({
      id,
      layer: 'node' as const,
      title: id,
      verdict,
      message: `${id} found`,
      remedy: `mend ${id}`,
      evidence: null,
    });

    const lines = evidenceLines(
      [check('a', 'pass'), check('b', 'warn'), check('c', 'block'), check('c', 'block')],
      plain,
    );

    expect(lines[1]).toMatch(/^c .*✖ block/);
    expect(lines.at(-1)).toBe('  b: mend b');
    expect(lines.filter((line) => line.includes('mend c'))).toHaveLength(1);
    expect(lines.join('\n')).toContain('and 1 of 4 checks passed');
  });

  it('tells a history with durations, attempts, the check that failed, and the way back', () => {
    const entry = {
      actor: 'worker:1',
      kind: 'step',
      direction: 'forward' as const,
      nodeAttempt: 1,
      attempt: 1,
      outcome: 'ok',
      durationMs: 400,
      waitsMs: {},
      message: '',
      remedy: '',
      checks: [],
    };
    const lines = historyLines(
      {
        migration: 'prod-4f1c2a',
        node: 'worker-1',
        state: 'migrated',
        nodeAttempts: 2,
        startedAt: at(10),
        endedAt: at(300),
        entries: [
          { ...entry, seq: 1, at: at(10), title: 'Take no new pods' },
          {
            ...entry,
            seq: 2,
            at: at(20),
            title: 'Ask the new network',
            outcome: 'failed',
            durationMs: 12_000,
            attempt: 2,
            message: '1 check blocks',
            remedy: 'look at CoreDNS',
            checks: [
              {
                id: 'dns',
                layer: 'services',
                title: 'dns',
                verdict: 'block',
                message: 'no answer within 2 s',
                evidence: null,
              },
            ],
          },
          { ...entry, seq: 3, at: at(40), title: 'Undo: Take no new pods', direction: 'back' },
          { ...entry, seq: 4, at: at(50), title: 'Take no new pods', nodeAttempt: 2 },
        ],
        timeWentTo: [
          { what: 'pods', ms: 12_000 },
          { what: 'between the steps', ms: 300 },
        ],
      },
      plain,
    );

    expect(lines[0]).toContain('worker-1  ✔ Migrated  in prod-4f1c2a  2 tries  2026-03-01 14:00:10Z, took 4m50s');
    expect(lines.filter((line) => line.startsWith('--'))).toEqual([
      '-- try 1',
      '-- try 1, back to the old network',
      '-- try 2',
      '-- what the time went to',
    ]);
    expect(lines.slice(-2)).toEqual(['      12s  pods', '     0.3s  between the steps']);
    expect(lines.join('\n')).toMatch(
      /14:00:20Z {2}✖ failed .*12s .*Ask the new network: attempt 2; 1 check blocks\n +✖ block dns: no answer within 2 s\n +look at CoreDNS/,
    );
  });
});

describe('the demo', () => {
  const done = {
    state: 'completed' as const,
    message: '',
    counts: { ...view().counts, nodes: 4, migrated: 4 },
    to: 'calico',
  };
  const counted = (sent: number, lost: number) => ({ bystanders: { sent, lost }, streams: [] });
  const quiet = { beforeFlip: counted(1000, 0), end: counted(1000, 0) };

  it('fails when a bystander lost a packet, when nothing was measured, and when nothing failed as it should', () => {
    expect(failureOf(done, quiet, { ok: true }, 1)).toBe('');
    expect(failureOf(done, { ...quiet, beforeFlip: counted(1000, 3) }, { ok: true }, 1)).toContain('3 of 1000 packets');
    expect(failureOf(done, { ...quiet, end: counted(2000, 4) }, { ok: true }, 1)).toContain('the flip lost 4 packets');
    expect(failureOf(done, { ...quiet, beforeFlip: counted(0, 0) }, { ok: true }, 1)).toContain(
      'no traffic was measured',
    );
    expect(failureOf(done, quiet, { ok: false }, 1)).toContain('audit record');
    expect(failureOf(done, quiet, { ok: true }, 0)).toContain('no node failed');
    expect(failureOf({ ...done, state: 'aborted', message: 'because' }, quiet, { ok: true }, 1)).toBe(
      'the migration ended as aborted: because',
    );
  });

  it('tells each thing once, in the order in which it happened', () => {
    const story = createStory(plain);

    story.read(view());
    story.read(view());
    story.read(view({ state: 'finalizing' }));

    const told = story.lines().map(({ text }) => text);
    expect(told).toHaveLength(new Set(told).size);
    expect(told[2]).toContain('worker-1 failed its checks on calico');
    expect(told.at(-1)).toContain('flannel is removed for good');
  });
});

describe('small things', () => {
  it.each([
    [0, '0s'],
    [59_400, '59s'],
    [60_000, '1m'],
    [291_000, '4m51s'],
    [720_000, '12m'],
    [4_320_000, '1h12m'],
    [86_400_000 * 2 + 3 * 3_600_000, '2d3h'],
    [-5, '0s'],
  ])('writes %i ms as %s', (ms, text) => expect(duration(ms)).toBe(text));

  it('writes steps with a decimal and ages of nothing as nothing', () => {
    expect([precise(1_234), precise(12_000), age('', now), age(at(0), now)]).toEqual(['1.2s', '12s', '', '10m']);
  });

  it('aligns a table, hides wide columns and says <none>', () => {
    const columns = [
      { header: 'NAME', value: (row: { name: string; extra: string }) => row.name },
      { header: 'EXTRA', value: (row: { name: string; extra: string }) => row.extra, wide: true },
      { header: 'AGE', value: () => '' },
    ];

    expect(
      table(
        [
          { name: 'a', extra: 'x' },
          { name: 'longer', extra: 'y' },
        ],
        columns,
      ),
    ).toEqual(['NAME     AGE', 'a        <none>', 'longer   <none>']);
    expect(table([{ name: 'a', extra: 'x' }], columns, true)[0]).toBe('NAME   EXTRA   AGE');
  });

  it('clips by columns, not by bytes of colour', () => {
    const red = createStyle(true).red('abcdef');

    expect(clip(red, 4)).toBe('\u001b[31mabc…\u001b[39m');
    expect(clip('abc', 3)).toBe('abc');
  });

  it('colours only on a terminal that wants it', () => {
    expect(wantsColour({ isTTY: true }, {})).toBe(true);
    expect(wantsColour({}, {})).toBe(false);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColour({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
    expect(wantsColour({ isTTY: true }, {}, false)).toBe(false);
  });

  it.each([
    ['rolled-back', {}, 13],
    ['at-gate', { gate: 'after-canary' }, 11],
    ['aborted', {}, 1],
    ['completed', {}, 0],
    ['migrating', {}, 0],
  ] as const)('says %s with a detailed exit code', (state, changes, code) =>
    expect(statusExitCode(view({ state, ...changes }))).toBe(code),
  );
});
