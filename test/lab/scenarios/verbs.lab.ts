import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/json.ts';
import { verbCommand, verbNames, verbProgram } from '../../../src/node/verb-program.ts';
import type { NodeState, VerbName } from '../../../src/node/types.ts';
import { until } from '../../support/until.ts';
import { bootNode, cutPower } from '../cluster/node.ts';
import { keepResult } from '../results.ts';
import { nodeNamed, nodes, running } from '../settings.ts';
import { calicoResidue, startLab, type Lab } from './harness.ts';

const node = 'worker-3';
const migration = 'by-hand';
const notes: string[] = [];
let lab: Lab;
let token = 1_000;
/** A verb takes from 20 ms to half a second: it dies before its lock, in the middle, and near its end. */
const killAfterMs = [5, 20, 50, 90, 150];
/** What a shell says of a child that SIGKILL ended. */
const killedBySignal = 137;
beforeAll(async () => {
  lab = await startLab();
}, 300_000);
afterAll(async () => {
  keepResult({ scenario: 'verbs', notes });
  await lab?.stop();
});

interface Ran {
  exitCode: number;
  answer: JsonObject;
  seconds: number;
}

/** Runs a verb as Cutover does, and kills it on the node after that time. */
function runVerb(verb: VerbName, input: JsonObject, killAfterMs?: number): Promise<Ran> {
  const started = Date.now();
  const command = verbCommand(verb, { ...input, token }, { sudo: false });
  // timeout kills its whole process group, itself included: the verb and all that it started. The shell tells of it.
  const remote = killAfterMs === undefined ? command : `timeout -s KILL ${killAfterMs / 1000} env ${command}; exit $?`;
  const child = spawn('ssh', ['-F', running.sshConfig, node, remote], { stdio: ['pipe', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (stdout += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(verbProgram(verb));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({
        exitCode: code ?? -1,
        answer: stdout.trim() === '' ? {} : (JSON.parse(stdout.trim().split('\n').at(-1)!) as JsonObject),
        seconds: (Date.now() - started) / 1000,
      }),
    );
  });
}

interface Row {
  verb: VerbName;
  input: JsonObject;
  /** What a person, or another step, does first. */
  before?: string;
  after: (state: NodeState, answer: JsonObject) => void;
}

const address = nodeNamed(node).address;
const others = nodes.filter(({ name }) => name !== node).map((each) => each.address);

/** In the order of a migration, on one node: each row finds what the one above it left. */
const rows: Row[] = [
  {
    verb: 'survey',
    input: { address, peers: others.join(' '), bytes: 1450 },
    after: (_, answer) =>
      expect(answer).toMatchObject({
        pings: others.map((peer) => ({ peer, small: true, large: true })),
        uplink: { mtu: 1500 },
        missing: [],
      }),
  },
  {
    verb: 'counters',
    input: { address },
    after: (_, { links }) =>
      expect(links).toMatchObject([
        { role: 'underlay', txPackets: expect.toSatisfy((sent: number) => sent > 0) },
        { name: 'flannel.1', role: 'tunnel' },
      ]),
  },
  {
    verb: 'flows',
    input: { first: '10.244.0.0', last: '10.244.255.255', limit: 50 },
    after: (_, answer) =>
      expect(answer).toMatchObject({
        from: 'conntrack',
        flows: expect.arrayContaining([expect.objectContaining({ protocol: 'TCP', port: 8080 })]),
      }),
  },
  {
    verb: 'ask-peers',
    input: { port: 22, peers: others.join(','), waitSeconds: 2 },
    after: (_, answer) =>
      expect(answer).toMatchObject({
        listener: 'sshd',
        answers: others.map(() => ({ answer: 'open' })),
      }),
  },
  { verb: 'snapshot', input: { migration }, after: (state) => expect(state.snapshot).toBe(true) },
  {
    verb: 'arm-revert',
    input: { migration, seconds: 900, old: 'flannel' },
    after: (state) => expect(state.revertArmed).toBe(true),
  },
  { verb: 'disarm-revert', input: { migration }, after: (state) => expect(state.revertArmed).toBe(false) },
  {
    verb: 'purge',
    input: {},
    after: (state) => {
      expect(state.kubeletActive).toBe(false);
      expect(state.sandboxes.filter(({ network }) => network === 'POD')).toEqual([]);
      expect(state.leases).toEqual([]);
    },
  },
  {
    verb: 'fence',
    input: { confName: '10-calico.conflist', waitSeconds: 30 },
    after: (state) => expect(state.loadedNetworks).toEqual(['cutover-fence']),
  },
  {
    verb: 'clean-flannel',
    input: { keepLeases: false },
    before: `for id in $(crictl pods -q --namespace kube-flannel); do crictl stopp $id; crictl rmp -f $id; done`,
    after: (state) => {
      expect(state.links.filter(({ name }) => ['flannel.1', 'cni0'].includes(name))).toEqual([]);
      expect(state.rules.filter(({ flannel }) => flannel > 0)).toEqual([]);
    },
  },
  {
    verb: 'flush-syn-sent',
    input: { ports: '30080,31280', link: 'flannel.1', waitSeconds: 1 },
    after: () => undefined,
  },
  {
    verb: 'clean-calico',
    input: {},
    after: (state) => expect(calicoResidue(state).filter((what) => !what.startsWith('conf'))).toEqual([]),
  },
  { verb: 'start-kubelet', input: {}, after: (state) => expect(state.kubeletActive).toBe(true) },
  {
    verb: 'unfence',
    input: { confName: '10-calico.conflist', expect: 'cbr0', waitSeconds: 30 },
    after: (state) => expect(state.loadedNetworks).toEqual(['cbr0']),
  },
];

describe('the verbs on a real node', () => {
  it.each(rows)('$verb, killed half way, then run, then run again', async ({ verb, input, before, after }) => {
    if (before) await lab.onNode(node, before);

    const deaths: string[] = [];
    for (const afterMs of killAfterMs) {
      token += 1;
      const { exitCode } = await runVerb(verb, input, afterMs);
      deaths.push(`${afterMs} ms: ${exitCode === killedBySignal ? 'killed' : exitCode}`);
    }
    token += 1;
    const first = await runVerb(verb, input);
    const state = await lab.inspect(node);
    const second = await runVerb(verb, input);
    notes.push(
      `${verb}: ${deaths.join(', ')}; then ${first.seconds.toFixed(2)} s, again ${second.seconds.toFixed(2)} s`,
    );

    expect(
      deaths.some((death) => death.endsWith('killed')),
      deaths.join(', '),
    ).toBe(true);
    expect(first, JSON.stringify(first.answer)).toMatchObject({ exitCode: 0 });
    after(state, first.answer);
    expect(second, JSON.stringify(second.answer)).toMatchObject({ exitCode: 0 });
    after(await lab.inspect(node), second.answer);
  });

  it('refuses an older attempt', async () => {
    token -= 1;
    const refused = await runVerb('start-kubelet', {});
    token += 1;

    expect(refused).toMatchObject({ exitCode: 75, answer: { error: 'AttemptFenced' } });
  });

  it('the dead-man switch fires by itself, and the node is back on Flannel with its pods', async () => {
    token += 1;
    await runVerb('purge', {});
    await runVerb('fence', { confName: '10-calico.conflist', waitSeconds: 30 });
    expect(await runVerb('arm-revert', { migration, seconds: 2, old: 'flannel' })).toMatchObject({ exitCode: 0 });

    const state = await until(
      async () => {
        const now = await lab.inspect(node);
        return now.revertFired && now.kubeletActive && now.loadedNetworks.includes('cbr0') ? now : undefined;
      },
      'the switch has fired',
      60_000,
    );

    expect(state.confs.map(({ name }) => name)).toEqual(['10-flannel.conflist']);
    expect(await runVerb('disarm-revert', { migration })).toMatchObject({ answer: { fired: true } });
    await until(
      async () =>
        (
          await lab.kubernetes.list(
            { apiVersion: 'v1', kind: 'Pod' },
            { labelSelector: 'app=traffic', fieldSelector: `spec.nodeName=${node}` },
          )
        ).some((pod) =>
          pod['status'].conditions?.some(
            (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
          ),
        ),
      'the pod of the node is Ready again',
      120_000,
    );
  });

  it('the dead-man switch fires when the node comes up after its end, and nothing is left of it', async () => {
    token += 1;
    await runVerb('purge', {});
    await runVerb('fence', { confName: '10-calico.conflist', waitSeconds: 30 });
    expect(await runVerb('arm-revert', { migration, seconds: 5, old: 'flannel' })).toMatchObject({
      exitCode: 0,
      answer: { persistent: true },
    });
    await cutPower(nodeNamed(node));
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    await bootNode(nodeNamed(node));

    await until(
      async () => {
        const now = await lab.inspect(node);
        return now.revertFired && now.kubeletActive && now.loadedNetworks.includes('cbr0');
      },
      'the switch has fired after the start',
      120_000,
    );
    await lab.onNode(node, 'test ! -e /etc/systemd/system/cutover-revert.timer');
    expect(await runVerb('disarm-revert', { migration })).toMatchObject({ answer: { fired: true, problems: [] } });
  });

  it('remove-flannel-files and forget take what is left, when the new network is loaded', async () => {
    // Any other conf that works will do: the verb only refuses while Flannel's own is loaded.
    await lab.onNode(
      node,
      `printf '{"cniVersion":"0.3.1","name":"other","plugins":[{"type":"loopback"}]}' >/etc/cni/net.d/.new; mv /etc/cni/net.d/.new /etc/cni/net.d/05-other.conflist`,
    );
    await until(async () => (await lab.inspect(node)).loadedNetworks.includes('other'), 'the other conf is loaded');

    for (const verb of ['remove-flannel-files', 'forget'] as const) {
      expect(await runVerb(verb, { migration }, 20)).toMatchObject({ exitCode: killedBySignal });
      expect(await runVerb(verb, { migration })).toMatchObject({ exitCode: 0 });
      expect(await runVerb(verb, { migration })).toMatchObject({ exitCode: 0 });
    }
    expect(await lab.inspect(node)).toMatchObject({ flannelBinary: false, snapshot: false, revertFired: false });
  });

  it('every verb was here', () => {
    const here = new Set<string>([...rows.map(({ verb }) => verb), 'inspect', 'remove-flannel-files', 'forget']);
    expect(verbNames.filter((verb) => !here.has(verb))).toEqual([]);
  });
});
