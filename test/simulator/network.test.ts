import { afterEach, describe, expect, it } from 'vitest';
import { CALICO_CONF, FENCE, startCluster, until, type TestCluster } from './node-cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** Sends all the time while something happens; what was lost, and why. */
async function watched(streams: (() => { delivered: boolean; reason: string })[], happens: () => Promise<void>) {
  const lost: string[] = [];
  let sent = 0;
  const timer = setInterval(() => {
    for (const send of streams) {
      sent += 1;
      const { delivered, reason } = send();
      if (!delivered) lost.push(reason);
    }
  }, 1);
  await happens();
  clearInterval(timer);
  return { sent, lost };
}

const everyPair = (names: string[]) =>
  names.flatMap((from) => names.map((to) => [from, to] as const)).filter(([from, to]) => from !== to);

describe('Flannel as it was found', () => {
  it('carries packets between pods of one node and of two, and pods are seen with their own address', async () => {
    cluster = await startCluster();

    for (const [from, to] of everyPair(['a-n1', 'b-n1', 'a-n2', 'a-n3'])) {
      expect(cluster.toPod(`default/${from}`, to)).toMatchObject({
        delivered: true,
        answeredBy: `default/${to}`,
        source: cluster.ip(from),
      });
    }
    expect(cluster.toPod('default/a-n1', 'a-n2').encapsulated).toBe(true);
    expect(cluster.toPod('default/a-n1', 'b-n1').encapsulated).toBe(false);
  });

  it('reaches pods from every node, and gives pods the address of their node outside of the pod network', async () => {
    cluster = await startCluster();

    expect(cluster.toPod('node:n1', 'a-n1')).toMatchObject({ delivered: true, source: '10.244.0.1' });
    expect(cluster.toPod('node:n1', 'a-n2')).toMatchObject({ delivered: true, source: '10.244.0.0' });
    expect(cluster.send('default/a-n1', '10.99.0.12', { port: 10250 })).toMatchObject({
      delivered: true,
      answeredBy: 'node:n2',
      source: '10.99.0.11',
    });
    expect(cluster.send('default/a-n1', '203.0.113.7')).toMatchObject({
      delivered: true,
      answeredBy: 'external',
      source: '10.99.0.11',
    });
  });

  it('spreads a Service over its endpoints, by cluster IP and by the port of any node', async () => {
    cluster = await startCluster();
    cluster.service('a', { clusterIP: '10.96.0.50', nodePort: 30050, backends: ['a-n1', 'a-n2', 'a-n3'] });
    await until(() => cluster.send('external', '10.99.0.11', { port: 30050 }).delivered, 'the node port answers');

    const byPod = Array.from({ length: 60 }, () => cluster.send('default/b-n1', '10.96.0.50', { port: 80 }));
    const fromOutside = Array.from({ length: 60 }, () => cluster.send('external', '10.99.0.13', { port: 30050 }));

    expect(new Set(byPod.map(({ answeredBy }) => answeredBy))).toEqual(
      new Set(['default/a-n1', 'default/a-n2', 'default/a-n3']),
    );
    expect(new Set(byPod.map(({ source }) => source))).toEqual(new Set([cluster.ip('b-n1')]));
    expect(fromOutside.every(({ delivered }) => delivered)).toBe(true);
    expect(new Set(fromOutside.map(({ source }) => source))).toEqual(new Set(['10.244.2.0', '10.244.2.1']));
    expect(cluster.send('external', '10.96.0.50', { port: 80 }).reason).toContain('outside');
  });

  it('keeps each client of a Service with session affinity with one endpoint, as long as that is there', async () => {
    cluster = await startCluster();
    const sticky = { clusterIP: '10.96.0.50', sessionAffinity: 'ClientIP' } as const;
    const backends = ['a-n1', 'a-n2', 'a-n3'];
    const ask = () => cluster.send('default/b-n1', '10.96.0.50', { port: 80 }).answeredBy;
    cluster.service('a', { ...sticky, backends });
    await until(() => ask().startsWith('default/a-'), 'kube-proxy knows the Service');

    const first = new Set(Array.from({ length: 20 }, ask));
    const [kept = ''] = first;
    cluster.service('a', { ...sticky, backends: backends.filter((name) => `default/${name}` !== kept) });
    await until(() => ask() !== kept, 'the endpoint is gone');

    expect(first.size).toBe(1);
    expect(new Set(Array.from({ length: 20 }, ask)).size).toBe(1);
  });

  it('refuses a Service without endpoints instead of losing the packet', async () => {
    cluster = await startCluster();
    cluster.service('none', { clusterIP: '10.96.0.51', backends: [] });
    await until(
      () => cluster.send('default/a-n1', '10.96.0.51', { port: 80 }).reason.includes('refused'),
      'kube-proxy knows the Service',
    );

    expect(cluster.send('default/a-n1', '10.96.0.51', { port: 80 }).reason).toBe(
      'n1: connection refused: service default/none has no ready endpoint',
    );
  });

  it('carries 1450 bytes and refuses one more loudly', async () => {
    cluster = await startCluster();

    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1450 }).delivered).toBe(true);
    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1451 }).reason).toBe(
      'n1: message too long: 1451 bytes do not fit eth0 with MTU 1450',
    );
  });
});

describe('a node that moves to Calico in the right order', () => {
  it('loses no packet of pods that stay, and reaches old and new nodes in all directions', async () => {
    cluster = await startCluster();
    cluster.adopt();
    cluster.service('stay', { clusterIP: '10.96.0.50', backends: ['a-n2', 'a-n3'] });
    const bystanders = [
      () => cluster.toPod('default/a-n2', 'a-n3'),
      () => cluster.toPod('default/b-n3', 'b-n2', { bytes: 1450 }),
      () => cluster.send('default/b-n2', '10.96.0.50', { port: 80 }),
    ];
    await until(() => bystanders.every((send) => send().delivered), 'the Service answers');

    const seen = await watched(bystanders, () => cluster.migrate('n1'));
    await until(() => cluster.ready('a-n1') && cluster.ready('b-n1'), 'its pods are Ready again');
    const second = await watched(
      [() => cluster.toPod('default/a-n1', 'a-n3'), () => cluster.toPod('default/a-n3', 'a-n1')],
      () => cluster.migrate('n2'),
    );
    await until(() => cluster.ready('a-n2'), 'its pods are Ready again');

    expect(seen.sent).toBeGreaterThan(10);
    expect([...seen.lost, ...second.lost]).toEqual([]);
    for (const [from, to] of everyPair(['a-n1', 'b-n1', 'a-n2', 'a-n3'])) {
      expect(cluster.toPod(`default/${from}`, to, { bytes: 1450 })).toMatchObject({
        delivered: true,
        source: cluster.ip(from),
      });
    }
    expect(cluster.send('default/a-n1', '203.0.113.7')).toMatchObject({ delivered: true, source: '10.99.0.11' });
  });

  it('goes back to Flannel without a loss for others, with the MAC that it had', async () => {
    cluster = await startCluster();
    cluster.adopt();
    const mac = cluster.node('n1').links.get('flannel.1')!.mac;
    await cluster.migrate('n1');
    const during = cluster.node('n1').links.get('vxlan.calico')!.mac;

    const seen = await watched([() => cluster.toPod('default/a-n2', 'a-n3')], () => cluster.rollBack('n1'));
    await until(() => cluster.ready('a-n1'), 'its pods are Ready again');

    expect(seen.lost).toEqual([]);
    expect([during, cluster.node('n1').links.get('flannel.1')!.mac]).toEqual([mac, mac]);
    for (const [from, to] of everyPair(['a-n1', 'b-n1', 'a-n2']))
      expect(cluster.toPod(`default/${from}`, to).delivered).toBe(true);
    expect(cluster.node('n1').state().rules[0]).toMatchObject({ flannel: 12, calico: 0 });
  });

  it('answers no node port from the end of flannel.1 until Felix has its routes', async () => {
    cluster = await startCluster();
    cluster.adopt();
    cluster.service('a', { clusterIP: '10.96.0.50', nodePort: 30050, backends: ['a-n2', 'a-n3'] });
    const knock = () => cluster.send('external', '10.99.0.11', { port: 30050 });
    await until(() => knock().delivered, 'the node port answers');

    let unanswered = 0;
    const remembered = () => {
      unanswered = Math.max(unanswered, cluster.node('n1').conntrack.length);
      return cluster.send('external', '10.99.0.12', { port: 30050 });
    };

    const seen = await watched([knock, remembered], () => cluster.migrate('n1'));

    expect(seen.lost.length).toBeGreaterThan(0);
    expect(seen.lost.every((reason) => reason.startsWith('n1: '))).toBe(true);
    expect(unanswered).toBeGreaterThan(0);
  });

  it('fails some node port connections after that until the stale SYNs are flushed', async () => {
    cluster = await startCluster();
    const machine = cluster.node('n1');
    cluster.service('a', { clusterIP: '10.96.0.50', nodePort: 30050, backends: ['a-n2', 'a-n3'] });
    const knock = () => cluster.send('external', '10.99.0.11', { port: 30050 });
    await until(() => knock().delivered, 'the node port answers');
    const routes = [...machine.routes];
    machine.routes = routes.filter(({ dev }) => dev !== 'flannel.1');
    for (let at = 0; at < 300; at += 1) knock();
    machine.routes = routes;

    const before = Array.from({ length: 500 }, knock).filter(({ delivered }) => !delivered);
    machine.conntrack = machine.conntrack.filter(({ state, dport }) => !(state === 'SYN_SENT' && dport === 30050));
    const after = Array.from({ length: 500 }, knock).filter(({ delivered }) => !delivered);

    expect(before.length).toBeGreaterThan(0);
    expect(before.length).toBeLessThan(250);
    expect(before[0]!.reason).toContain('stale SYN_SENT');
    expect(after).toEqual([]);
  });

  it('brings policies to life that Flannel never enforced', async () => {
    cluster = await startCluster();
    cluster.adopt();
    cluster.store.create('networkpolicies.networking.k8s.io', {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'only-b', namespace: 'default' },
      spec: {
        podSelector: { matchLabels: { app: 'a' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
      },
    });
    const asked = () => ['a-n2', 'b-n2'].map((from) => cluster.toPod(`default/${from}`, 'a-n1').delivered);
    const before = asked();

    await cluster.migrate('n1');
    await until(() => cluster.ready('a-n1'), 'the pod is Ready: its own host may always reach it');

    expect(before).toEqual([true, true]);
    expect(asked()).toEqual([false, true]);
    expect(cluster.toPod('default/a-n2', 'a-n1').reason).toBe(
      'n1: ingress of default/a-n1 is refused by policy only-b',
    );
  });
});

describe('wrong orders, and what a real cluster did then', () => {
  it("blackhole routes of Felix left behind take a rolled-back node's pods away, even from its own kubelet", async () => {
    cluster = await startCluster();
    cluster.adopt();
    await cluster.migrate('n1');

    await cluster.rollBack('n1', { routes: false });
    await until(() => cluster.get('a-n1')?.['status'].phase === 'Running', 'the pod runs');
    const lost = cluster.toPod('default/a-n2', 'a-n1');
    const own = cluster.toPod('node:n1', 'a-n1');
    await cluster.clock.sleep(20_000);
    const readyBefore = cluster.ready('a-n1');
    cluster.node('n1').routes = cluster
      .node('n1')
      .routes.filter(({ proto, dev }) => proto !== '80' && dev !== 'vxlan.calico');
    await until(() => cluster.ready('a-n1'), 'Ready once the blackholes are gone');

    expect(lost.reason).toBe('n1: blackhole route 10.244.0.0/26');
    expect(own.reason).toBe('n1: blackhole route 10.244.0.0/26');
    expect(readyBefore).toBe(false);
    expect(cluster.toPod('default/a-n2', 'a-n1').delivered).toBe(true);
  });

  it('flannel.1 deleted under a live flanneld comes back bare: an outage until its pod restarts', async () => {
    cluster = await startCluster();
    const machine = cluster.node('n1');
    const { mac } = machine.links.get('flannel.1')!;

    machine.deleteLink('flannel.1');
    await until(() => machine.links.has('flannel.1'), 'flanneld brings it back');
    await cluster.clock.sleep(10_000);
    const bare = machine.links.get('flannel.1')!;
    const lost = cluster.toPod('default/a-n1', 'a-n2');

    expect([bare.mac, bare.fdb?.size, bare.neighbours?.size]).toEqual([mac, 0, 0]);
    expect(machine.routes.some(({ dev }) => dev === 'flannel.1')).toBe(false);
    expect(lost.delivered).toBe(false);

    await cluster.stopPod('flannel-n1', 'kube-flannel');
    cluster.flannel('n1');
    await until(() => cluster.toPod('default/a-n1', 'a-n2').delivered, 'the path is back with the new pod');
  });

  it('a node that Calico takes over without its Flannel MAC gets no frame from Flannel nodes', async () => {
    cluster = await startCluster();
    cluster.adopt();
    for (const name of cluster.names) {
      cluster.store.mutate(
        'nodes',
        undefined,
        name,
        ({ metadata }) => delete metadata.annotations!['projectcalico.org/VXLANTunnelMACAddr'],
      );
    }

    await cluster.migrate('n1');
    await until(
      () => cluster.get('a-n1')?.['status'].phase === 'Running' && cluster.ip('a-n1') !== undefined,
      'the pod runs',
    );

    expect(cluster.toPod('default/a-n2', 'a-n1').reason).toContain('n1: vxlan.calico drops frames for');
  });

  it('vxlan.calico cannot be made while flannel.1 has the same VNI and port', async () => {
    cluster = await startCluster();
    cluster.adopt();
    await cluster.stopPod('flannel-n1', 'kube-flannel');
    cluster.calico('n1');
    await until(() => cluster.ready('calico-n1', 'kube-system'), 'calico-node is Ready');
    const blocked = cluster.node('n1').links.has('vxlan.calico');

    cluster.node('n1').deleteLink('flannel.1');
    await until(() => cluster.node('n1').links.has('vxlan.calico'), 'Felix tries again');

    expect(blocked).toBe(false);
  });

  it("another node's blocks are learnt by running agents of both kinds", async () => {
    cluster = await startCluster();
    cluster.adopt();
    await cluster.migrate('n1');
    cluster.store.create('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n4', labels: {} },
      spec: { podCIDR: '10.244.3.0/24' },
      status: { addresses: [{ type: 'InternalIP', address: '10.99.0.14' }] },
    });
    cluster.flannel('n4');

    await until(() => cluster.node('n2').routes.some(({ dst }) => dst === '10.244.3.0/24'), 'flanneld on n2 knows it');
    expect(cluster.node('n2').links.get('flannel.1')!.fdb!.size).toBe(3);
    expect(cluster.node('n1').routes.some(({ dst }) => dst.startsWith('10.244.3.'))).toBe(false);
  });

  it('vxlanEnabled=false takes every Calico node off the overlay until it is taken back', async () => {
    cluster = await startCluster();
    cluster.adopt();
    await cluster.migrate('n1');
    await until(() => cluster.ready('a-n1'), 'the pod is Ready');
    const set = (value: boolean | undefined) =>
      cluster.store.mutate('felixconfigurations.crd.projectcalico.org', undefined, 'default', ({ spec }) => {
        if (value === undefined) delete spec.vxlanEnabled;
        else spec.vxlanEnabled = value;
      });

    set(false);
    await until(() => !cluster.node('n1').links.has('vxlan.calico'), 'Felix removes the link');
    const lost = cluster.toPod('default/a-n2', 'a-n1');
    set(undefined);
    await until(() => cluster.toPod('default/a-n2', 'a-n1').delivered, 'the overlay is back');

    expect(lost.reason).toBe('n1: no VXLAN device for VNI 1 on UDP port 8472');
  });
});

describe("a node's own packet filter", () => {
  const rule = (table: 'mangle' | 'nat', chain: string, text: string) =>
    ({ backend: 'nft', family: 'ip', table, chain, text }) as const;

  it('drops VXLAN packets above a size, in and out, and passes smaller ones', async () => {
    cluster = await startCluster();
    const text = '-p udp -m udp --dport 8472 -m length --length 1481:65535 -j DROP';
    cluster.node('n2').rules.push(rule('mangle', 'PREROUTING', text), rule('mangle', 'OUTPUT', text));

    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1430 }).delivered).toBe(true);
    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1431 }).reason).toBe(
      `n2: a packet filter drops it: -A PREROUTING ${text}`,
    );
    expect(cluster.toPod('default/a-n2', 'a-n1', { bytes: 1431 }).reason).toContain('-A OUTPUT');
    expect(cluster.toPod('default/a-n2', 'b-n2', { bytes: 1450 }).delivered).toBe(true);
  });

  it('drops what pods or the node itself send to a Service, before kube-proxy sees it', async () => {
    cluster = await startCluster();
    cluster.service('a', { clusterIP: '10.96.0.50', nodePort: 30050, backends: ['a-n1', 'a-n2', 'a-n3'] });
    await until(() => cluster.send('external', '10.99.0.11', { port: 30050 }).delivered, 'the node port answers');
    cluster
      .node('n1')
      .rules.push(
        rule('mangle', 'PREROUTING', '-d 10.96.0.50/32 -j DROP'),
        rule('mangle', 'PREROUTING', '-p tcp -m tcp --dport 30050 -j DROP'),
      );

    expect(cluster.send('default/a-n1', '10.96.0.50', { port: 80 }).reason).toContain('-d 10.96.0.50/32');
    expect(cluster.send('node:n1', '10.96.0.50', { port: 80 }).delivered).toBe(true);
    expect(cluster.send('default/a-n2', '10.96.0.50', { port: 80 }).delivered).toBe(true);
    expect(cluster.send('node:n2', '10.99.0.11', { port: 30050 }).reason).toContain('--dport 30050');
    expect(cluster.send('node:n2', '10.99.0.13', { port: 30050 }).delivered).toBe(true);
  });

  it('shows pods with their own address when an earlier rule accepts what would be masqueraded', async () => {
    cluster = await startCluster();
    const machine = cluster.node('n1');
    const accept = rule('nat', 'POSTROUTING', '-s 10.244.0.0/24 ! -d 10.244.0.0/16 -j ACCEPT');

    machine.rules = [accept, ...machine.rules];

    expect(cluster.send('default/a-n1', '10.99.0.12', { port: 10250 })).toMatchObject({
      delivered: true,
      source: cluster.ip('a-n1'),
    });
  });
});

describe('faults of the underlay', () => {
  it('an MTU hole passes small packets and swallows big ones in silence', async () => {
    cluster = await startCluster();
    cluster.faults.inject({ name: 'mtu-hole', nodes: ['n2'], bytes: 1400 });

    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1350 }).delivered).toBe(true);
    expect(cluster.toPod('default/a-n1', 'a-n2', { bytes: 1351 }).reason).toBe(
      'n2: the underlay drops packets of 1401 bytes in silence',
    );
    expect(cluster.toPod('default/a-n1', 'a-n3', { bytes: 1450 }).delivered).toBe(true);
  });

  it('blocked VXLAN leaves the node itself reachable', async () => {
    cluster = await startCluster();
    cluster.faults.inject({ name: 'vxlan-blocked', nodes: ['n2'], when: 'always' });

    expect(cluster.toPod('default/a-n1', 'a-n2').reason).toBe('n2: a firewall drops VXLAN on the underlay');
    expect(cluster.toPod('default/a-n2', 'b-n2').delivered).toBe(true);
    expect(cluster.send('node:n1', '10.99.0.12', { port: 22 }).delivered).toBe(true);
  });

  it('blocked VXLAN of the default kind hurts only once Calico runs there', async () => {
    cluster = await startCluster();
    cluster.adopt();
    cluster.faults.inject({ name: 'vxlan-blocked', nodes: ['n1'] });
    const before = cluster.toPod('default/a-n2', 'a-n1').delivered;

    await cluster.migrate('n1');

    expect(before).toBe(true);
    await until(
      () => cluster.toPod('default/a-n2', 'a-n1').reason === 'n1: a firewall drops VXLAN on the underlay',
      'the pod cannot be reached',
    );
  });

  it('a node without power answers nothing, and comes back with new sandboxes of the same pods', async () => {
    cluster = await startCluster();
    const before = cluster.get('a-n1')!;

    cluster.faults.inject({ name: 'node-dead', nodes: ['n1'] });
    const lost = [cluster.toPod('default/a-n2', 'a-n1'), cluster.send('node:n2', '10.99.0.11', { port: 22 })].map(
      ({ delivered }) => delivered,
    );
    cluster.faults.clear('node-dead');
    await until(
      () =>
        cluster.node('n1').sandboxes.size === 3 &&
        cluster.ready('a-n1') &&
        cluster.toPod('default/a-n2', 'a-n1').delivered,
      'it is back',
    );

    expect(lost).toEqual([false, false]);
    expect(cluster.get('a-n1')!.metadata.uid).toBe(before.metadata.uid);
    expect(cluster.get('a-n1')!['status'].containerStatuses[0].restartCount).toBe(1);
  });
});

it('a fence keeps new pods from getting a network, on its own node only', async () => {
  cluster = await startCluster();
  cluster.node('n1').write(CALICO_CONF, FENCE);
  await cluster.loaded('n1', 'cutover-fence');

  cluster.pod('late-n1', 'n1');
  cluster.pod('late-n2', 'n2');
  await until(() => cluster.ready('late-n2'), 'the other node is not concerned');

  expect(cluster.get('late-n1')!['status'].phase).toBe('Pending');
  expect(cluster.toPod('default/a-n2', 'a-n1').delivered).toBe(true);
});
