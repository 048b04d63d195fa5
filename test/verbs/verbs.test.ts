import { describe, expect, it } from 'vitest';
import type { TestContext } from 'vitest';
import { isMutating } from '../../src/node/verb-program.ts';
import * as fixtures from './fixtures.ts';
import { verbCases } from './cases/cases.ts';
import type { VerbCase } from './cases/case.ts';
import { everything } from './host.ts';
import type { Given, Host, HostKind, Seen } from './host.ts';
import { modelHost } from './model-host.ts';
import { hasTool, realHost } from './real-host.ts';

const kinds: HostKind[] = [modelHost, realHost('dash'), realHost('busybox')];

// Why cases are skipped stands in the title of their group: the end of `npm test` prints it.
const titled = kinds.map(
  (kind) => [kind.missing === '' ? kind.name : `${kind.name}, skipped: ${kind.missing}`, kind] as const,
);

const { token, confDir } = fixtures;

// Each test has a host of its own, and nearly all the time goes to starting programs: some tests at once.
describe.concurrent.each(titled)('verbs on %s', (_title, kind) => {
  const run = it.skipIf(kind.missing !== '');
  async function open({ onTestFinished }: TestContext, given: Given): Promise<Host> {
    const host = await kind.open(given);
    onTestFinished(() => host.close());
    return host;
  }

  const cases = verbCases.filter(({ realOnly, tools = [] }) =>
    kind === modelHost ? !realOnly : kind.missing !== '' || tools.every(hasTool),
  );

  describe.each(cases.map((each) => [`${each.verb} ${each.name}`, each] as const))('%s', (_title, row) => {
    run('once and twice', async (test) => {
      const node = await open(test, row.given);

      const first = await node.run(row.verb, row.input);

      expect(first).toMatchObject({ exitCode: row.exitCode ?? 0, answer: row.answer });
      const seen = await everything(node);
      expectAfter(seen, row);
      if (row.verb === 'forget') return; // it takes the token along
      const second = await node.run(row.verb, row.input);
      expect(second.exitCode).toBe(row.exitCode ?? 0);
      expect(await everything(node)).toEqual(seen);
    });

    // Busybox runs the same programs: where they die makes no difference to that, and the test of two attempts below
    // has one of them refused.
    if (!isMutating(row.verb) || row.exitCode || kind.name.includes('busybox')) return;

    run('refused to an older attempt', async (test) => {
      const given = Number(row.input['token']);
      const node = await open(test, {
        ...row.given,
        files: { ...row.given.files, '/var/lib/cutover/token': `${given + 1}\n` },
      });
      const before = await everything(node);

      const end = await node.run(row.verb, row.input);

      expect(end).toMatchObject({
        exitCode: 75,
        answer: { error: 'AttemptFenced', details: { seen: given + 1, token: given } },
      });
      expect(await everything(node)).toEqual(before);
    });

    run('killed half way, then run again', async () => {
      let deaths = 0;
      // Every step on the model; on the real programs 1, 2, 4, 8, …: each death there costs most of a second.
      for (let killAt = 1; ; killAt += kind === modelHost ? 1 : killAt) {
        const node = await kind.open(row.given);
        try {
          const { killed } = await node.run(row.verb, row.input, { killAt });
          if (!killed) break;
          deaths += 1;
          const again = await node.run(row.verb, row.input);
          expect(again, `killed before step ${killAt}`).toMatchObject({ exitCode: 0 });
          expectAfter(await everything(node), row);
        } finally {
          await node.close();
        }
      }
      if (kind !== modelHost) expect(deaths).toBeGreaterThan(0);
    });
  });

  run('the dead-man switch gives the node back to Flannel', async (test) => {
    const node = await open(test, {
      ...fixtures.calicoResidue,
      files: fixtures.onCalico,
      sandboxes: [...fixtures.hostPods, ...fixtures.pods('k8s-pod-network')],
    });
    const armed = await node.run('arm-revert', { migration: 'move-1', seconds: 900, old: 'flannel', token });
    expect(armed).toMatchObject({ exitCode: 0, answer: { armed: true } });

    await node.fireTimer();

    const state = await node.state();
    expect(state).toMatchObject({
      kubeletActive: true,
      loadedNetworks: ['cbr0'],
      revertArmed: false,
      revertFired: true,
    });
    expect(state.sandboxes.map(({ network }) => network)).toEqual(['NODE']);
    expect(state.routes.filter(({ proto }) => ['80', '12', 'bird'].includes(proto))).toEqual([]);
    expect(state.links.filter(({ name }) => name === 'vxlan.calico')).toEqual([]);
    expect(await node.rules()).toEqual(fixtures.printed(fixtures.foreign));
    expect((await node.files())[`${confDir}/calico-kubeconfig`]).toBeUndefined();
    expect(await node.run('disarm-revert', { migration: 'move-1', token })).toMatchObject({ answer: { fired: true } });
    expect(await node.run('disarm-revert', { migration: 'move-1', token })).toMatchObject({ answer: { fired: true } });
  });

  it.skipIf(kind.missing !== '' || (kind !== modelHost && !hasTool('conntrack')))(
    'flush-syn-sent waits for the first route through the link: a SYN that comes before it is stale as well',
    async (test) => {
      const node = await open(test, {
        files: fixtures.flannelFiles,
        links: [{ name: 'vxlan.calico', kind: 'vxlan' }],
        synSent: [{ dport: 30080 }],
        late: { dport: 30080, link: 'vxlan.calico' },
      });

      const end = await node.run('flush-syn-sent', { ports: '30080', link: 'vxlan.calico', waitSeconds: 9, token });

      expect(end).toMatchObject({ exitCode: 0, answer: { flushed: 2 } });
      expect(await node.conntrack()).toEqual([]);
    },
  );

  run('a disarmed switch has not fired, and arming again moves its end', async (test) => {
    const node = await open(test, { files: fixtures.fenced });
    const arm = { migration: 'move-1', seconds: 900, old: 'flannel', token };
    await node.run('arm-revert', arm);
    expect(await node.run('arm-revert', { ...arm, seconds: 1200 })).toMatchObject({
      exitCode: 0,
      answer: { armed: true },
    });
    expect(await node.run('forget', { migration: 'move-1', token })).toMatchObject({
      exitCode: 1,
      answer: { error: 'StillArmed' },
    });

    const end = await node.run('disarm-revert', { migration: 'move-1', token });

    expect(end).toMatchObject({ exitCode: 0, answer: { fired: false } });
    expect(await node.state()).toMatchObject({ revertArmed: false, revertFired: false });
  });

  run('two attempts at once: the newer one wins, and the older one stops or was done before', async (test) => {
    const node = await open(test, fixtures.flannelNode);

    const [older, newer] = await Promise.all([node.run('purge', { token }), node.run('purge', { token: token + 1 })]);

    expect(newer).toMatchObject({ exitCode: 0 });
    expect([0, 75]).toContain(older.exitCode);
    expect(await node.state()).toMatchObject({ token: token + 1, kubeletActive: false, leases: [] });
    expect(await node.run('start-kubelet', { token })).toMatchObject({ exitCode: 75 });
  });

  run('inspect leaves the routes out when it is told so, and nothing else', async (test) => {
    const node = await open(test, fixtures.flannelNode);
    const state = await node.state();

    const { exitCode, answer } = await node.run('inspect', { routes: false, token });

    expect(exitCode).toBe(0);
    expect(state.routes.length).toBeGreaterThan(0);
    expect(answer).toEqual({ ...state, routes: [] });
  });

  run('inspect sees links, confs and what the CNI left, and changes nothing', async (test) => {
    const node = await open(test, fixtures.flannelNode);

    const state = await node.state();

    expect(state.confs).toMatchObject([{ name: '10-flannel.conflist', network: 'cbr0', firstPlugin: 'flannel' }]);
    expect(state.links.find(({ name }) => name === 'flannel.1')).toMatchObject({
      kind: 'vxlan',
      vni: 1,
      dstPort: 8472,
      up: true,
      mtu: 1450,
    });
    expect(state.links.find(({ name }) => name === 'veth0000aaa1')).toMatchObject({ kind: 'veth', master: 'cni0' });
    expect(state.links.find(({ name }) => name === 'cni0')).toMatchObject({ kind: 'bridge' });
    expect(state.links.some(({ name }) => name === 'lo')).toBe(false);
    expect(state.subnetEnv).toEqual({
      FLANNEL_NETWORK: '10.244.0.0/16',
      FLANNEL_SUBNET: '10.244.1.1/24',
      FLANNEL_MTU: '1450',
      FLANNEL_IPMASQ: 'true',
    });
    expect(state.sandboxes.map(({ namespace, name, network }) => `${namespace}/${name} ${network}`).sort()).toEqual([
      'kube-system/coredns-2 POD',
      'kube-system/etcd-worker-1 NODE',
      'shop/web-1 POD',
    ]);
    const nft = state.rules.find(({ backend, family }) => backend === 'nft' && family === 'ip');
    expect(nft?.flannel).toBeGreaterThan(0);
    expect(nft?.hostport).toBe(0);
    expect(state).toMatchObject({
      loadedNetworks: ['cbr0'],
      legacyTables: [],
      leases: ['10.244.1.2', '10.244.1.3'],
      token: 0,
      revertArmed: false,
      snapshot: false,
      flannelBinary: true,
      kubeletActive: true,
    });
    expect(Object.keys(await node.files()).filter((path) => path.startsWith('/var/lib/cutover'))).toEqual([]);
  });
});

function expectAfter({ state, links, files, rules, conntrack }: Seen, { after = {} }: VerbCase): void {
  if (after.state) expect(state).toMatchObject(after.state);
  const names = links.map(({ name }) => name);
  for (const [name, there] of Object.entries(after.links ?? {}))
    expect(names.includes(name), `link ${name}`).toBe(there);
  if (after.noRoutesOf) expect(state.routes.filter(({ proto }) => after.noRoutesOf!.includes(proto))).toEqual([]);
  if (after.rules) expect(rules).toEqual(after.rules);
  if (after.conntrack) expect(conntrack).toEqual(after.conntrack);
  expect(Object.keys(files).filter((path) => path.endsWith('.tmp') && !path.includes('/snapshot.new/'))).toEqual([]);
  for (const [path, content] of Object.entries(after.files ?? {})) {
    if (content === true) expect(files, path).toHaveProperty([path]);
    else expect(files[path], path).toBe(content ?? undefined);
  }
}
