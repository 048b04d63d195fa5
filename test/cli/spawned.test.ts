import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { until } from '../support/until.ts';
import {
  atGate,
  check,
  evidenceOf,
  gateDigest,
  migration,
  startFixture,
  token,
  type Fixture,
} from '../server/fixture.ts';

const bin = fileURLToPath(new URL('../../bin/cutover', import.meta.url));

let api: Fixture;
let environment: NodeJS.ProcessEnv;
beforeAll(async () => {
  api = await startFixture();
  atGate(api);
  const { NO_COLOR: _, FORCE_COLOR: __, CUTOVER_SERVER: ___, ...rest } = process.env;
  environment = {
    ...rest,
    CUTOVER_HOME: api.home,
    CUTOVER_SERVER: api.url,
    CUTOVER_TOKEN: token,
    CUTOVER_ACTOR: 'bob',
  };
});
afterAll(() => api.close());

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the real bin/cutover; nobody sits at its terminal. */
const cutover = (args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(bin, args, { env: { ...environment, ...env } }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });

describe('help and usage', () => {
  it('explains itself on stdout and lists every command', async () => {
    const { code, stdout, stderr } = await cutover(['--help']);

    expect([code, stderr]).toEqual([0, '']);
    for (const name of 'up demo plan preflight launch status gates approve reject pause resume abort rollback retry skip why history audit simulate completion server worker version'.split(
      ' ',
    ))
      expect(stdout, name).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(stdout).not.toContain('__complete');
  });

  it.each([
    [['statsu'], "unknown command 'statsu'"],
    [['status', '--watched'], "unknown option '--watched'"],
    [['approve'], "missing required argument 'gate'"],
    [['status', '-o', 'xml'], 'Allowed choices are table, wide, json, yaml, name'],
    [['abort'], 'an abort needs a reason'],
    [['pause', '--after', 'tomorrow'], 'Allowed choices are now, node, wave'],
    [['up', '--port', '70000'], 'It must be a port'],
    [['rollback', '--reason', 'r', '--all', '--wave', 'canary'], 'say what goes back'],
    [['status', '--server', 'not a url'], 'is not the address of a server'],
  ])('exits with 2 for %j', async (args, message) => {
    const { code, stdout, stderr } = await cutover(args);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain(message);
  });
});

describe('errors', () => {
  it('says in one sentence that the server is down, where, and what to do', async () => {
    const { code, stdout, stderr } = await cutover(['status'], { CUTOVER_SERVER: 'http://127.0.0.1:9' });

    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      'error: no Cutover server answers at http://127.0.0.1:9\n  start it with `cutover up`, or set CUTOVER_SERVER\n',
    );
  });

  it('says that this is not the server whose token it has', async () => {
    const { code, stderr } = await cutover(['status'], { CUTOVER_TOKEN: 'wrong' });

    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: what answers at \S+ does not prove that it knows the token\n {2}the token was not sent/,
    );
  });

  it('names the nearest thing when a name does not exist', async () => {
    const { code, stderr } = await cutover(['why', 'worker-11']);

    expect([code, stderr]).toEqual([
      1,
      `error: migration ${migration} has no node worker-11\n  did you mean worker-1?\n`,
    ]);
  });

  it.each([
    ['a file that is not there', 'missing.yaml', undefined, /missing\.yaml cannot be read: ENOENT/],
    ['YAML that is none', 'broken.yaml', 'a: [', /broken\.yaml:\d+:\d+: not valid YAML/],
    [
      'a typo',
      'typo.yaml',
      'apiVersion: cutover.dev/v1alpha1\nkind: MigrationPlan\nmetadata: { name: x }\nspecs: {}\n',
      /typo\.yaml:4:1: /,
    ],
  ])('refuses a plan with %s, naming the place, and changes nothing', async (_, name, text, expected) => {
    const folder = mkdtempSync(join(tmpdir(), 'cutover-cli-'));
    const before = api.store.records().length;
    if (text !== undefined) writeFileSync(join(folder, name), text);

    const { code, stdout, stderr } = await cutover(['plan', '-f', join(folder, name)]);
    rmSync(folder, { recursive: true });

    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(expected);
    expect(api.store.records()).toHaveLength(before);
  });
});

describe('output', () => {
  it('prints the tree without a control code when nobody watches at a terminal', async () => {
    const { code, stdout } = await cutover(['status']);

    expect(code).toBe(0);
    expect(stdout).toContain(`${migration}  flannel -> calico  ‖ AtGate  1/3 migrated`);
    // oxlint-disable-next-line no-control-regex -- that is the point
    expect(stdout).not.toMatch(/\u001b/);
  });

  it.each([
    ['status', [], 'id', migration],
    ['gates after-canary', [], 'id', 'after-canary'],
    ['why worker-2', [], 'node', 'worker-2'],
    ['history worker-1', [], 'nodeAttempts', 2],
    ['audit verify', [], 'ok', true],
    ['plan latest', [], 'name', 'prod'],
  ] as const)('%s prints one JSON document with -o json', async (command, _, field, value) => {
    const { code, stdout } = await cutover([...command.split(' '), '-o', 'json']);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ [field]: value });
  });

  it.each([
    [['status', '-A'], /^NAME +STATUS +FROM +TO .*AGE\nprod-000001 +‖ AtGate/],
    [['gates'], /^NAME +STATUS .*AGE\nafter-canary +‖ open +warn +0\/1/],
    [['plan'], /^NAME +PLAN .*AGE\nprod /],
    [
      ['audit', 'list', '--kind', 'gate.opened'],
      /^SEQ +TIME .*MESSAGE\n\d+ .*gate\.opened +workflow +gate\/after-canary/,
    ],
  ])('%j is a table with headers and one row each', async (args, expected) => {
    expect((await cutover(args)).stdout).toMatch(expected);
  });

  it('prints names for scripts and the same data as YAML', async () => {
    expect((await cutover(['status', '-A', '-o', 'name'])).stdout).toBe(`migration/${migration}\n`);
    expect((await cutover(['gates', '-o', 'name'])).stdout).toBe('gate/after-canary\n');
    expect((await cutover(['status', '-o', 'yaml'])).stdout).toMatch(new RegExp(`^id: ${migration}$`, 'm'));
  });

  it('tells the story of a node and why another waits', async () => {
    expect((await cutover(['history', 'worker-1'])).stdout).toMatch(
      /✖ failed .*2\.5s .*Ask the new network[^]*✖ block dns: no answer within 2 s[^]*-- try 2/,
    );
    expect((await cutover(['why', 'worker-2'])).stdout).toMatch(
      /^worker-2 has not begun: gate after-canary is open .* -> cutover gates show after-canary\n$/,
    );
  });

  it('ends quietly when a pipe is closed early', async () => {
    const child = spawn('/bin/sh', ['-c', `"${bin}" audit list -o json | head -c 1 >/dev/null; echo "$?"`], {
      env: environment,
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await new Promise((resolve) => child.once('exit', resolve));

    expect(text).toBe('0\n');
  });

  it('appends what changes with -w until the migration ends', async () => {
    const own = await startFixture();
    atGate(own);
    const child = spawn(bin, ['status', '-w', '--detailed-exitcode'], {
      env: { ...environment, CUTOVER_SERVER: own.url, CUTOVER_HOME: own.home },
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await expect.poll(() => text, { timeout: 15_000 }).toContain('‖ AtGate');

    own.record('rollback.requested', { actor: 'bob', reason: 'no' });
    own.record('migration.ended', { outcome: 'rolled-back', message: 'everything is back on the old network' });

    expect(await ended).toBe(13);
    expect(text).toContain('↺ RolledBack');
    expect(text.match(/wave wave-2/g)).toHaveLength(1);
    expect(text).not.toContain('\u001b');
    await own.close();
  });

  it('gives up following after --timeout, and says so', async () => {
    const { code, stderr } = await cutover(['status', '-w', '--timeout', '0.2', '--detailed-exitcode']);

    expect(code).toBe(124);
    expect(stderr).toContain('it goes on');
  });
});

describe('acts', () => {
  it('approves with the evidence that was read, and prints what kubectl would', async () => {
    const { code, stdout, stderr } = await cutover([
      'approve',
      'after-canary',
      '--reason',
      'looks good',
      '--evidence',
      `sha256:${gateDigest}`,
      '--as',
      'Zoë',
    ]);

    expect([code, stdout, stderr]).toEqual([0, 'gate/after-canary approved\n', 'decide accepted\n']);
    expect(api.control.sent.at(-1)).toMatchObject({
      name: 'decide',
      args: {
        actor: 'Zoë',
        gate: 'after-canary',
        verdict: 'approve',
        reason: 'looks good',
        planHash: api.planHash,
        evidenceDigest: gateDigest,
      },
    });
  });

  it('without --evidence shows the evidence and, with nobody to ask, decides nothing', async () => {
    const before = api.control.sent.length;

    const { code, stdout, stderr } = await cutover(['approve', 'after-canary']);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('path-mtu');
    expect(stderr).toContain(`name what you read with --evidence sha256:${gateDigest}, or say --yes`);
    expect(api.control.sent).toHaveLength(before);
  });

  it('takes the evidence as it is with --yes, and changes nothing with --dry-run', async () => {
    const before = api.control.sent.length;

    expect((await cutover(['approve', 'after-canary', '--yes', '--dry-run'])).stdout).toContain(
      'would be approved as bob',
    );
    expect(api.control.sent).toHaveLength(before);
    expect((await cutover(['approve', 'after-canary', '--yes'])).code).toBe(0);
    expect(api.control.sent.at(-1)?.args).toMatchObject({ evidenceDigest: gateDigest });
  });

  it('needs a reason to reject, and says whether the wave goes back', async () => {
    expect((await cutover(['reject', 'after-canary', '--yes'])).code).toBe(2);
    expect((await cutover(['reject', 'after-canary', '--yes', '--reason', 'too slow', '--rollback-wave'])).stdout).toBe(
      'gate/after-canary rejected\n',
    );
    expect(api.control.sent.at(-1)?.args).toMatchObject({
      verdict: 'reject',
      onReject: 'rollback-wave',
      reason: 'too slow',
    });
  });

  it.each([
    [
      ['pause', '--after', 'now', '--reason', 'r'],
      `migration/${migration} paused`,
      'pause',
      { scope: 'now', reason: 'r' },
    ],
    [['resume'], `migration/${migration} resumed`, 'resume', {}],
    [['retry', 'worker-1'], 'node/worker-1 retried', 'retryNode', { node: 'worker-1' }],
    [['skip', 'worker-1', '-m', '000001'], 'node/worker-1 skipped', 'skipNode', { node: 'worker-1' }],
    [
      ['rollback', '--node', 'worker-1', '--reason', 'r', '--yes'],
      'node/worker-1 rolling back',
      'rollBack',
      { scope: { node: 'worker-1' } },
    ],
    [
      ['rollback', '--all', '--reason', 'r', '--yes'],
      `migration/${migration} rolling back`,
      'rollBack',
      { scope: { all: true } },
    ],
    [
      ['abort', '--mode', 'hold', '--reason', 'r', '--yes'],
      `migration/${migration} aborting`,
      'abort',
      { mode: 'hold' },
    ],
  ])('%j', async (args, printed, update, sent) => {
    const { code, stdout, stderr } = await cutover(args);

    expect([code, stdout, stderr]).toEqual([0, `${printed}\n`, `${update} accepted\n`]);
    expect(api.control.sent.at(-1)).toMatchObject({ name: update, args: { ...sent, actor: 'bob' } });
  });

  it.each([
    [['rollback', '--all', '--reason', 'r'], 2],
    [['abort', '--reason', 'r'], 2],
    [['rollback', '--all', '--reason', 'r', '--dry-run'], 0],
    [['abort', '--reason', 'r', '--dry-run'], 0],
    [['launch', '--dry-run'], 0],
  ])('%j changes nothing', async (args, code) => {
    const before = api.control.sent.length;

    expect((await cutover(args)).code).toBe(code);
    expect(api.control.sent).toHaveLength(before);
    expect(api.control.started).toEqual([]);
  });

  it('shows what the workflow refused, with its remedy', async () => {
    api.control.refusals = [
      new CutoverError('NotAllowed', 'bob launched this migration and may not approve gate after-canary'),
    ];

    const { code, stderr } = await cutover(['approve', 'after-canary', '--yes']);

    expect([code, stderr]).toEqual([
      1,
      'error: bob launched this migration and may not approve gate after-canary\n  ask somebody who may\n',
    ]);
  });

  it('asks once more by itself when the outcome is not known, with the same id', async () => {
    api.control.refusals = [
      new CutoverError('TemporalUnreachable', 'no answer came in time', { details: { safeToRepeat: true } }),
    ];
    const before = api.store.records({ kind: ['pause.requested'] }).length;

    expect((await cutover(['pause'])).code).toBe(0);
    expect(api.store.records({ kind: ['pause.requested'] })).toHaveLength(before + 1);
  });

  it('leaves a gate that is closed to the server to refuse, which writes it down', async () => {
    const own = await startFixture();
    atGate(own);
    own.record('gate.closed', {
      stage: '1-flannel-to-calico',
      wave: 'canary',
      outcome: 'passed',
      evidence: { gate: 'after-canary' },
    });
    own.control.refusals = [new CutoverError('GateClosed', 'gate after-canary is not open')];

    const { code, stderr } = await cutover(['approve', 'after-canary'], { CUTOVER_SERVER: own.url });

    expect([code, stderr]).toEqual([
      1,
      'error: gate after-canary is not open\n  list the open gates with `cutover gates`\n',
    ]);
    expect(own.store.records({ kind: ['attempt.refused'] })).toMatchObject([{ actor: 'bob', outcome: 'GateClosed' }]);
    await own.close();
  });

  it('refuses a second launch on the cluster, and says which migration runs', async () => {
    const { code, stderr } = await cutover(['launch', api.planHash.slice(0, 12)]);

    expect(code).toBe(1);
    expect(stderr).toContain(`${migration} is under way on this cluster`);
  });

  it('says with its exit code that preflight blocks', async () => {
    api.control.evidence = evidenceOf([check('nodes-ready', 'block', 'worker-2 is not Ready')]);

    const { code, stdout } = await cutover(['preflight', '--detailed-exitcode']);

    expect(code).toBe(14);
    expect(stdout).toMatch(
      /nodes-ready: worker-2 is not Ready\n +what to do: mend nodes-ready\npreflight: 0 pass, 0 warn, 1 block\n/,
    );
    expect((await cutover(['preflight'])).code).toBe(1);
  });

  it('writes preflight as JUnit XML for CI, and nothing else so', async () => {
    api.control.evidence = evidenceOf([check('nodes-ready', 'pass'), check('budgets', 'warn')]);

    const { code, stdout, stderr } = await cutover(['preflight', '-o', 'junit']);
    const refused = await cutover(['status', '-o', 'junit']);

    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^<\?xml version="1\.0"[^]*<testsuite name="pod-network" tests="2" failures="1"[^]*<\/testsuites>\n$/,
    );
    expect(stderr).toContain('a launch is refused until the plan acknowledges what warns');
    expect([refused.code, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain('-o junit is not for `cutover status`');
  });

  it('says how far preflight is while it runs, one line for each news', async () => {
    api.control.pendingActivities = [
      { name: 'preflight', state: 'started', attempt: 1, maximumAttempts: 2, heartbeat: { done: 3, of: 9 } },
    ];
    const answer = Promise.withResolvers<typeof api.control.evidence>();
    api.control.preflight = () => answer.promise;

    const before = api.control.asked;

    const running = cutover(['preflight']);
    await until(
      () => api.control.asked >= before + 3,
      'what was answered first has been shown, and it was asked again',
    );
    answer.resolve(evidenceOf([check('nodes-ready', 'pass')]));
    const { code, stdout, stderr } = await running;

    expect([code, stdout]).toEqual([0, expect.stringContaining('preflight: 1 pass, 0 warn, 0 block')]);
    expect(stderr).toMatch(/^3 of 9 checks, \d+ s$/m);
  });

  it('says with its exit code that a gate waits', async () => {
    expect((await cutover(['status', '--detailed-exitcode'])).code).toBe(11);
    expect((await cutover(['status'])).code).toBe(0);
  });
});

describe('audit', () => {
  it('compares the live record with a head that was noted, and tells a key that is not its own', async () => {
    const { stdout } = await cutover(['audit', 'verify']);
    const noted = /head (\d+:[0-9a-f]{64})$/m.exec(stdout)?.[1] ?? '';
    const file = join(api.home, 'sealed.ndjson');
    await cutover(['audit', 'export', '--out', file]);
    const otherKey = join(api.home, 'other.key');
    writeFileSync(otherKey, `${'cd'.repeat(32)}\n`, { mode: 0o600 });

    expect((await cutover(['audit', 'verify', '--head', noted])).code).toBe(0);
    expect((await cutover(['audit', 'verify', '--file', file, '--head', noted])).code).toBe(0);
    const other = await cutover([
      'audit',
      'verify',
      '--head',
      noted.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
    ]);
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining('is not the one that was noted')]);
    const key = join(api.home, 'keys', 'record.key');
    expect((await cutover(['audit', 'verify', '--file', file, '--key', key])).code).toBe(0);
    const foreign = await cutover(['audit', 'verify', '--file', file, '--key', otherKey]);
    expect([foreign.code, foreign.stdout]).toEqual([1, expect.stringContaining('does not carry the seal')]);
  });

  it('exports, and verifies the export without a server; an edit is found', async () => {
    const file = join(api.home, 'export.ndjson');
    await cutover(['audit', 'export', '--out', file]);
    const offline = { CUTOVER_SERVER: 'http://127.0.0.1:9' };

    expect((await cutover(['audit', 'verify', '--file', file], offline)).code).toBe(0);

    writeFileSync(file, readFileSync(file, 'utf8').replace('we need policies', 'we want policies'));
    const { code, stdout, stderr } = await cutover(['audit', 'verify', '--file', file], offline);
    expect(code).toBe(1);
    expect(stdout).toContain('✖ broken');
    expect(stderr).toMatch(/^error: the audit record is not what was written/);
  });
});

describe('completion', () => {
  const complete = async (...words: string[]) =>
    (await cutover(['__complete', '--', ...words])).stdout.trimEnd().split('\n');

  it('offers commands, options and names of now', async () => {
    expect(await complete('re')).toEqual(['report', 'reject', 'resume', 'retry']);
    expect(await complete('approve', '')).toEqual(['after-canary']);
    expect(await complete('why', 'worker-')).toEqual(['worker-1', 'worker-2', 'worker-3']);
    expect(await complete('pause', '')).toEqual([migration, 'latest']);
    expect(await complete('rollback', '--wave', '')).toEqual(['canary', 'wave-2']);
    expect(await complete('launch', api.planHash.slice(0, 6))).toEqual([api.planHash.slice(0, 12)]);
    expect(await complete('abort', '--m')).toEqual(['--mode']);
    expect(await complete('gates', '')).toEqual(['show', 'refresh', 'after-canary']);
    expect(await complete('gates', 're')).toEqual(['refresh']);
    expect(await complete('gates', 'show', '')).toEqual(['after-canary']);
    expect(await complete('gates', '-m', migration, 'refresh', '')).toEqual(['after-canary']);
    expect(await complete('gates', '--')).not.toContain('--reason');
    expect(await complete('gates', 'refresh', '--r')).toEqual(['--reason']);
    expect(await complete('capture', 'sh')).toEqual(['show']);
    expect(await complete('capture', '--m')).toEqual(['--migration']);
  });

  it('offers nothing, quickly and without an error, when the server is down', async () => {
    const { code, stdout, stderr } = await cutover(['__complete', '--', 'why', ''], {
      CUTOVER_SERVER: 'http://127.0.0.1:9',
    });

    expect([code, stdout, stderr]).toEqual([0, '', '']);
  });

  it('is a script that bash accepts', async () => {
    const { stdout } = await cutover(['completion', 'bash']);
    const checked = await new Promise<Ended>((resolve) => {
      const child = execFile('bash', ['-n'], (error, out, err) =>
        resolve({ code: error ? 1 : 0, stdout: out, stderr: err }),
      );
      child.stdin?.end(stdout);
    });

    expect(checked).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});
