import type { Matrix } from '../../src/checks/pod-network/matrix.ts';
import { describe, expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import { addressOf, contextFor, orderlyNetwork } from './doubles.ts';
import type { FakeCluster } from './doubles.ts';

const probes = [
  'pod-identity',
  'pod-to-pod',
  'path-mtu',
  'transfer',
  'dns',
  'cluster-ip',
  'node-port',
  'host-port',
  'egress-source',
];

/** worker-1 has just been migrated, worker-2 before it; worker-3 and worker-4 still have Flannel, and worker-5 is in the works. */
const mixed = (change: Partial<FakeCluster> = {}): FakeCluster => ({
  nodes: [
    {
      name: 'worker-1',
      zone: 'a',
      migrated: true,
      cordoned: true,
      state: { routes: [{ dst: addressOf(1).podIP, via: '', dev: 'cali123', proto: '80', type: 'unicast' }] },
    },
    { name: 'worker-2', zone: 'b', migrated: true },
    { name: 'worker-3', zone: 'b' },
    { name: 'worker-4', zone: 'c' },
    { name: 'worker-5', zone: 'c', cordoned: true },
  ],
  ...change,
});

/** The orderly network, except that what `lost` says is lost is lost. */
const losing = (lost: (from: { node: string; host: boolean }, url: URL | 'dns') => boolean): FakeCluster => {
  const cluster = mixed();
  const normal = orderlyNetwork(cluster);
  return {
    ...cluster,
    answer: (from, url) => (lost(from, url === 'dns' ? 'dns' : new URL(url)) ? undefined : normal(from, url)),
  };
};

const run = async (ids: string[], cluster: FakeCluster, at = 'worker-1') => {
  const double = contextFor(cluster, { at });
  const results = await runChecks(ids, double.context);
  return { ...double, results, byId: new Map(results.map((result) => [result.id, result])) };
};

describe('the probes of one node', () => {
  it('all pass on a network in order', async () => {
    const { results } = await run(probes, mixed());

    expect(results.map(({ id, verdict, message }) => (verdict === 'pass' ? id : message))).toEqual(probes);
  });

  it('ask from its own two probe pods and from one node of each network, in few execs', async () => {
    const { execs } = await run(probes, mixed());

    const pods = [...new Set(execs.map((exec) => exec.pod))];
    expect(pods).toHaveLength(4);
    expect(pods).toEqual(
      expect.arrayContaining(['cutover-probe-worker-1', 'cutover-probe-host-worker-1', 'cutover-probe-worker-2']),
    );
    expect(execs.length).toBeLessThanOrEqual(15);
  });

  it('inspect the node once for a layer, and list no nodes', async () => {
    const double = await run(probes, mixed());

    expect(double.inspected).toEqual(['worker-1']);
    expect(double.nodeLists).toBe(0);
  });

  it('never choose a cordoned partner, which may be in the middle of its own change', async () => {
    const { results } = await run(
      ['pod-to-pod'],
      mixed({ nodes: [...mixed().nodes.slice(0, 2), { name: 'worker-5', zone: 'c', cordoned: true }] }),
    );

    expect(results[0]?.evidence).toMatchObject({ partners: ['worker-2 (calico)'] });
  });

  it('say so when nobody can be a partner', async () => {
    const { results } = await run(['pod-to-pod'], { nodes: [mixed().nodes[0]!, { name: 'worker-5', cordoned: true }] });

    expect(results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('no other node can answer the probes of worker-1'),
    });
  });

  it('name the probe pod that is not Ready, and how to look at it', async () => {
    const { results } = await run(['dns'], {
      nodes: [{ ...mixed().nodes[0]!, probesReady: false }, ...mixed().nodes.slice(1)],
    });

    expect(results[0]).toMatchObject({
      verdict: 'block',
      message: 'the probe pod cutover-probe on worker-1 cannot be used: cutover-probe-worker-1 is Running, not Ready',
      remedy: expect.stringContaining('describe pods -l app=cutover-probe --field-selector spec.nodeName=worker-1'),
    });
  });
});

describe('pod-to-pod', () => {
  it('names each pair and direction that fails', async () => {
    const { byId } = await run(
      ['pod-to-pod'],
      losing((from, url) => url !== 'dns' && from.node === 'worker-2' && url.hostname === addressOf(1).podIP),
    );

    expect(byId.get('pod-to-pod')).toMatchObject({
      verdict: 'block',
      message: '1 of 8 paths between pods fail: worker-2 -> worker-1 (calico -> calico): no answer in time',
      remedy: expect.stringContaining('only some directions fail'),
    });
  });

  it('points at the node itself when even its own host does not reach the pod', async () => {
    const { byId } = await run(
      ['pod-to-pod'],
      losing((_, url) => url !== 'dns' && url.hostname === addressOf(1).podIP),
    );

    expect(byId.get('pod-to-pod')?.remedy).toContain('blackhole');
  });

  it('points at the overlay when only other nodes are out of reach', async () => {
    const far = (from: { node: string }, url: URL | 'dns') =>
      url !== 'dns' &&
      !url.hostname.endsWith(from.node === 'worker-1' ? '.1.9' : `.${from.node.slice(-1)}.9`) &&
      url.port === '8080';

    const { byId } = await run(['pod-to-pod'], losing(far));

    expect(byId.get('pod-to-pod')?.remedy).toContain('overlay link');
  });

  it('does not take an answer of the wrong pod for an answer', async () => {
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    const answer: FakeCluster['answer'] = (from, url) =>
      url.includes(`${addressOf(1).podIP}:8080/hostname`) ? 'coredns-abc' : normal(from, url);

    const { byId } = await run(['pod-to-pod'], { ...cluster, answer });

    expect(byId.get('pod-to-pod')?.message).toContain('coredns-abc answered instead of cutover-probe-worker-1');
  });
});

describe('path-mtu', () => {
  it('finds the size above which packets are lost, and names bytes', async () => {
    const { byId } = await run(
      ['path-mtu', 'pod-to-pod'],
      losing(
        (from, url) => url !== 'dns' && from.node === 'worker-1' && (url.searchParams.get('msg')?.length ?? 0) > 1200,
      ),
    );

    expect(byId.get('pod-to-pod')?.verdict).toBe('pass');
    expect(byId.get('path-mtu')).toMatchObject({
      verdict: 'block',
      message: expect.stringMatching(
        /packets of 1450 bytes are lost on 2 of 4 paths: .*passes messages of 1200 bytes and loses those of 3000/,
      ),
      remedy: expect.stringContaining('50 bytes'),
    });
  });

  it('notices an answer that comes back cut', async () => {
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    const answer: FakeCluster['answer'] = (from, url) => normal(from, url)?.slice(0, 2000);

    const { byId } = await run(['path-mtu'], { ...cluster, answer });

    expect(byId.get('path-mtu')?.verdict).toBe('block');
  });
});

describe('transfer', () => {
  const receiving = (sum: string | undefined): FakeCluster => {
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    return {
      ...cluster,
      answer: (from, url) => (from.node === 'worker-1' && url.includes('/shell') ? sum : normal(from, url)),
    };
  };

  it('says how much came on which path, and who sent it', async () => {
    const { byId } = await run(['transfer'], receiving(undefined));

    expect(byId.get('transfer')).toMatchObject({
      verdict: 'block',
      message: expect.stringMatching(
        /^1050014 bytes do not arrive whole on 2 of 4 paths: worker-\d -> worker-1 \(flannel -> calico\): 0 of 1050014 bytes came \(curl: \(28\) Operation timed out\), worker-2 -> worker-1 \(calico -> calico\)/,
      ),
      remedy: expect.stringContaining('path-mtu'),
    });
  });

  it.each([
    [
      'as many bytes that are not the ones that were sent',
      '17 1050014',
      /every byte came, and some are not/,
      'offloads',
    ],
    ['an answer that ends early', '17 65536', /65536 of 1050014 bytes came$/, 'ip -s link'],
  ])('blocks on %s', async (_, sum, says, remedy) => {
    const { byId } = await run(['transfer'], receiving(sum));

    expect(byId.get('transfer')).toMatchObject({ verdict: 'block', message: expect.stringMatching(says) });
    expect(byId.get('transfer')?.remedy).toContain(remedy);
  });
});

describe('services', () => {
  it('dns blocks on silence, and on another address', async () => {
    const silent = await run(
      ['dns'],
      losing((_, url) => url === 'dns'),
    );
    const cluster = mixed();
    const wrong = await run(['dns'], {
      ...cluster,
      answer: (from, url) => (url === 'dns' ? '10.96.99.99' : orderlyNetwork(cluster)(from, url)),
    });

    expect(silent.results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringMatching(
        /^a pod on worker-1 cannot resolve kubernetes\.default\.svc \(2 of 2 ways fail\): .* over UDP: no servers could be reached/,
      ),
    });
    expect(wrong.results[0]).toMatchObject({
      verdict: 'block',
      message: 'a pod on worker-1 resolves kubernetes.default.svc to 10.96.99.99, and it is 10.96.0.1',
    });
  });

  it('hairpin and api-server are asked each by its own way', async () => {
    const { byId } = await run(
      ['hairpin', 'api-server'],
      losing((_, url) => url !== 'dns' && (url.hostname === '10.96.7.8' || url.protocol === 'https:')),
    );

    expect(byId.get('hairpin')).toMatchObject({
      verdict: 'block',
      message:
        'cutover-probe-worker-1 on worker-1 does not reach itself through its own Service 10.96.7.8: no answer in time',
    });
    expect(byId.get('api-server')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('does not reach the API server in 1 of 1 way: https://10.96.0.1:443/livez'),
    });
  });

  it('cluster-ip tells the node’s own failure from that of its pods', async () => {
    const { byId } = await run(
      ['cluster-ip'],
      losing((from, url) => url !== 'dns' && from.host && url.hostname === '10.96.7.7'),
    );

    expect(byId.get('cluster-ip')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('4 of 8 connections from worker-1 to 10.96.7.7 failed'),
      remedy: expect.stringContaining('only the node itself fails'),
    });
  });

  it('node-port tells some failures from all of them', async () => {
    let asked = 0;
    const some = await run(
      ['node-port'],
      losing((_, url) => url !== 'dns' && url.port === '30480' && ++asked % 4 === 0),
    );
    const all = await run(
      ['node-port'],
      losing((_, url) => url !== 'dns' && url.port === '30480'),
    );

    expect(some.results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('2 of 8 connections to 192.168.0.1:30480'),
      remedy: expect.stringContaining('SYN_SENT'),
    });
    expect(all.results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('8 of 8'),
      remedy: expect.stringContaining('firewall'),
    });
  });

  it('host-port names the stranger that answers', async () => {
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    const answer: FakeCluster['answer'] = (from, url) => (url.includes(':18080/') ? 'coredns-abc' : normal(from, url));

    const { byId } = await run(['host-port'], { ...cluster, answer });

    expect(byId.get('host-port')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('coredns-abc answered instead of cutover-probe-worker-1'),
      remedy: expect.stringContaining('traffic of this port reaches coredns-abc'),
    });
  });

  it('egress-source finds a pod that hides behind its node, and one that does not where it should', async () => {
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    const answer =
      (wrongPort: string, source: string): FakeCluster['answer'] =>
      (from, url) =>
        from.node === 'worker-1' && url.endsWith(`:${wrongPort}/clientip`) ? `${source}:4000` : normal(from, url);

    const hidden = await run(['egress-source'], { ...cluster, answer: answer('8080', addressOf(1).nodeIP)! });
    const bare = await run(['egress-source'], { ...cluster, answer: answer('18081', addressOf(1).podIP)! });

    expect(hidden.results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('it is 192.168.0.1, and should be 10.244.1.9'),
    });
    expect(bare.results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('it is 10.244.1.9, and should be 192.168.0.1'),
    });
  });

  it('egress-source expects no masquerade where Flannel did none', async () => {
    const [first, ...others] = mixed().nodes;

    const { byId } = await run(['egress-source'], {
      nodes: [{ ...first!, state: { subnetEnv: { FLANNEL_IPMASQ: 'false' } } }, ...others],
    });

    expect(byId.get('egress-source')).toMatchObject({ verdict: 'block', evidence: { masquerade: false } });
  });
});

describe('affinity', () => {
  it('asks one node of each network, and counts the pods that answer it', async () => {
    const passed = await run(['affinity'], mixed());
    const cluster = mixed();
    const normal = orderlyNetwork(cluster);
    let turn = 0;
    const spread = await run(['affinity'], {
      ...cluster,
      answer: (from, url) =>
        from.node === 'worker-3' && url.includes('10.96.7.9') ? `cutover-probe-${(turn += 1) % 3}` : normal(from, url),
    });

    expect(passed.byId.get('affinity')).toMatchObject({
      verdict: 'pass',
      message: 'each of 2 clients had 20 connections to one pod behind 10.96.7.9',
    });
    expect(spread.byId.get('affinity')).toMatchObject({
      verdict: 'block',
      message: '10.96.7.9 does not keep its clients: 20 connections from worker-3 went to 3 pods',
      remedy: expect.stringContaining('egress-source'),
    });
  });

  it('blocks when nobody answers, and when the probes have no such Service', async () => {
    const silent = await run(
      ['affinity'],
      losing((_, url) => url !== 'dns' && url.hostname === '10.96.7.9'),
    );
    const missing = await run(['affinity'], mixed({ objects: { Service: [] } }));

    expect(silent.byId.get('affinity')?.message).toContain('20 of 20 connections from worker-3 failed');
    expect(missing.byId.get('affinity')?.message).toBe('the probes have no Service cutover-probe-sticky');
  });
});

describe('cluster-matrix', () => {
  it('counts every direction, without nodes that are cordoned', async () => {
    const { results } = await run(['cluster-matrix'], mixed());

    expect(results[0]).toMatchObject({
      verdict: 'pass',
      message: 'every path works, 35 of 35: flannel -> flannel, flannel -> calico, calico -> flannel',
      evidence: { nodes: { flannel: ['worker-3', 'worker-4'], calico: ['worker-2'] } },
    });
  });

  it('stays bounded on a large cluster', async () => {
    const nodes = Array.from({ length: 60 }, (_, index) => ({
      name: `worker-${index + 1}`,
      zone: `zone-${index % 3}`,
      migrated: index % 2 === 0,
    }));

    const { results, execs } = await run(['cluster-matrix'], { nodes });

    expect(results[0]?.verdict).toBe('pass');
    // From each of six pods: one for DNS, one for all URLs, one for the long ones.
    expect(execs).toHaveLength(18);
  });

  it('names the direction that fails', async () => {
    const { results } = await run(
      ['cluster-matrix'],
      losing((from, url) => url !== 'dns' && from.node === 'worker-2' && url.hostname === addressOf(3).podIP),
    );

    expect(results[0]).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('worker-2 -> worker-3 (calico -> flannel): no answer in time'),
    });
    const { matrix } = results[0]!.evidence as { matrix: Matrix };
    expect(matrix['calico -> flannel']).toMatchObject({
      pod: { asked: 2, failed: 1 },
      mtu: { asked: 1, failed: 1 },
      'node-port': { asked: 2, failed: 0 },
    });
    expect(matrix['flannel -> calico']).toMatchObject({ pod: { asked: 2, failed: 0 } });
  });

  it('tells the API server and the way back to oneself apart from everything else', async () => {
    const { results } = await run(
      ['cluster-matrix'],
      losing((from, url) => url !== 'dns' && from.node === 'worker-2' && url.protocol === 'https:'),
    );

    const { matrix } = results[0]!.evidence as { matrix: Matrix };
    expect(matrix['calico']).toEqual({
      dns: { asked: 1, failed: 0 },
      'cluster-ip': { asked: 1, failed: 0 },
      hairpin: { asked: 1, failed: 0 },
      'api-server': { asked: 1, failed: 1 },
    });
    expect(matrix['flannel']!['api-server']).toEqual({ asked: 2, failed: 0 });
  });
});
