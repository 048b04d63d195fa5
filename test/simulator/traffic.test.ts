import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createObjectStore } from '../../src/simulator/api/object-store.ts';
import { createClock } from '../../src/simulator/clock.ts';
import type { RunningClock } from '../../src/simulator/clock.ts';
import { parseScenario } from '../../src/simulator/scenario/load.ts';
import { planStreams } from '../../src/simulator/traffic/streams.ts';
import { startTraffic } from '../../src/simulator/traffic/traffic.ts';
import type { Traffic } from '../../src/simulator/traffic/traffic.ts';
import type { ObjectStore, Packet, SimNode, SimSandbox } from '../../src/simulator/types.ts';

/** Simulated time that passes only when a test says so. */
function handClock() {
  let elapsed = 0;
  const clock: RunningClock = {
    speed: 1,
    setSpeed() {},
    elapsed: () => elapsed,
    now: () => elapsed,
    after: () => ({ cancel() {} }),
    sleep: async () => {},
    stop() {},
  };
  return { clock, pass: (ms: number) => void (elapsed += ms) };
}

const scenario = parseScenario(`
name: traffic
nodes: { workers: 2 }
traffic:
  - { kind: pod-to-pod, from: client, to: web, perSecond: 100 }
  - { kind: cluster-ip, from: client, service: web, perSecond: 20 }
  - { kind: node-port, service: web, perSecond: 10, limit: 1 }
`);

let store: ObjectStore;
let time: ReturnType<typeof handClock>;
let traffic: Traffic;
/** Why packets to this address are lost. */
let broken: Map<string, string>;
let nodes: Map<
  string,
  Pick<SimNode, 'sandboxes'> & { kubelet: { active: boolean; start(): Promise<void>; stop(): Promise<void> } }
>;

beforeEach(() => {
  time = handClock();
  store = createObjectStore(time.clock);
  broken = new Map();
  nodes = new Map(
    ['worker-1', 'worker-2'].map((name) => [
      name,
      { kubelet: { active: true, async start() {}, async stop() {} }, sandboxes: new Map() },
    ]),
  );
  runPod('client', 'client-a', 'worker-1', '10.244.1.2');
  runPod('web', 'web-a', 'worker-2', '10.244.2.2');
  store.create('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      type: 'NodePort',
      clusterIP: '10.96.0.80',
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
    },
  });
  traffic = startTraffic({
    streams: planStreams(scenario, store),
    store,
    clock: time.clock,
    dataPath: { send },
    nodes,
  });
});
afterEach(() => traffic.stop());

function runPod(app: string, name: string, nodeName: string, podIP: string): void {
  const pod = store.create('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app } },
    spec: { nodeName, containers: [{ name: 'main', image: 'a', ports: [{ containerPort: 8080 }] }] },
    status: { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const sandbox: SimSandbox = {
    id: name,
    pod: { namespace: 'default', name, uid: pod.metadata.uid! },
    network: 'POD',
    cni: 'cbr0',
    ip: podIP,
    link: 'veth',
    running: true,
    hostPorts: [],
  };
  nodes.get(nodeName)!.sandboxes.set(name, sandbox);
}

function send({ to }: Packet) {
  const reason = broken.get(to) ?? '';
  const pod = store.list('pods').find((each) => each['status'].podIP === to);
  return {
    delivered: reason === '',
    answeredBy: pod ? `default/${pod.metadata.name}` : '',
    source: '',
    reason,
    encapsulated: false,
  };
}

/** Lets time pass, with a look at its beginning as a change would cause it. */
function run(ms: number) {
  traffic.tick();
  time.pass(ms);
  return traffic.report();
}

describe('traffic', () => {
  it('is sent at its rate of simulated time and arrives', () => {
    const { streams, bystanders, nodePorts } = run(2000);

    expect(streams.map(({ name, sent, lost, bystander }) => [name, sent, lost, bystander])).toEqual([
      ['client-to-web-1', 200, 0, true],
      ['client-at-web-1', 40, 0, true],
      ['web-via-control-plane-1', 20, 0, false],
    ]);
    expect(bystanders).toEqual({ sent: 240, lost: 0 });
    expect(nodePorts).toEqual({ sent: 20, lost: 0 });
  });

  it('that is lost while nobody moves is lost by bystanders, for as long as it lasts, with the reason', () => {
    run(1000);
    broken.set('10.244.2.2', 'worker-2: blackhole route 10.244.2.0/26');
    run(500);
    broken.clear();

    const { bystanders, moved, streams } = run(1000);

    expect(bystanders).toEqual({ sent: 300, lost: 50 });
    expect(moved).toEqual({ sent: 0, lost: 0 });
    expect(streams[0]).toMatchObject({ lost: 50, lastReason: 'worker-2: blackhole route 10.244.2.0/26' });
  });

  it.each([
    ['is told to end', () => void store.delete('pods', 'default', 'web-a', { gracePeriodSeconds: 30 })],
    ['has lost its sandbox', () => nodes.get('worker-2')!.sandboxes.clear()],
    ['has no kubelet any more', () => void (nodes.get('worker-2')!.kubelet.active = false)],
  ])('to a pod that %s counts as moved', (_what, disturb) => {
    run(1000);
    disturb();
    broken.set('10.244.2.2', 'nobody there');

    const { bystanders, moved } = run(500);

    expect(bystanders).toEqual({ sent: 130, lost: 0 });
    expect(moved).toEqual({ sent: 50, lost: 50 });
  });

  it('goes on with the successor of a pod that was moved', () => {
    run(1000);
    store.remove('pods', 'default', 'web-a');
    run(300);
    runPod('web', 'web-b', 'worker-1', '10.244.1.9');

    const { streams, bystanders } = run(1000);

    expect(streams[0]).toMatchObject({ bystander: false, moves: 1, sent: 230 });
    expect(bystanders).toEqual({ sent: 100 + 100 + 46, lost: 0 });
  });

  it('stays with a pod that is told to end until it is gone, though another could take over', () => {
    runPod('web', 'web-b', 'worker-1', '10.244.1.9');
    run(1000);
    store.delete('pods', 'default', 'web-a', { gracePeriodSeconds: 30 });
    const going = run(300);
    store.remove('pods', 'default', 'web-a');

    const gone = run(1000);

    expect(going.moved).toEqual({ sent: 30, lost: 0 });
    expect(going.streams[0]!.moves).toBe(0);
    expect(gone.moved).toEqual({ sent: 30, lost: 0 });
    expect(gone.streams[0]).toMatchObject({ bystander: false, moves: 1, sent: 230, lost: 0 });
  });

  it('is lost when somebody else answers at the address', () => {
    run(1000);
    store.mutate('pods', 'default', 'web-a', (pod) => void (pod['status'].podIP = '10.244.1.2'));
    nodes.get('worker-2')!.sandboxes.get('web-a')!.ip = '10.244.1.2';

    const { streams } = run(100);

    expect(streams[0]).toMatchObject({ lost: 10, lastReason: 'answered by default/client-a instead of default/web-a' });
  });

  it('sends nothing from a client that is gone', () => {
    run(1000);
    store.remove('pods', 'default', 'client-a');

    const { streams } = run(1000);

    expect(streams.slice(0, 2).map(({ sent }) => sent)).toEqual([100, 20]);
  });
});

it('loses in a gap what the gap is long, however late a busy machine looks', async () => {
  const clock = createClock({ speed: 20 });
  const listeners: (() => void)[] = [];
  const change = (reason: string) => {
    if (reason === '') broken.delete('10.244.2.2');
    else broken.set('10.244.2.2', reason);
    listeners.forEach((each) => each());
  };
  const running = startTraffic({
    streams: planStreams(scenario, store).filter(({ kind }) => kind === 'pod-to-pod'),
    store,
    clock,
    dataPath: { send },
    nodes,
    onChange: (listener) => {
      listeners.push(listener);
      return () => {};
    },
  });

  await new Promise<void>((resolve) => {
    clock.after(100, () => {
      change('no route');
      clock.after(30, () => {
        change('');
        clock.after(100, resolve);
      });
      const end = performance.now() + 100;
      while (performance.now() < end);
    });
  });

  expect(running.report().bystanders.lost).toBe(3);
  running.stop();
  clock.stop();
});
