import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { KubernetesClient } from '../../../src/kubernetes/types.ts';
import { isReady } from '../../../src/probe/pods.ts';
import { inGroupAndNetns } from '../cluster/fabric.ts';
import { inNodeNetwork } from '../cluster/node.ts';
import { awaitThat, commandOutput } from '../run.ts';
import { kept, net, nodeNamed, nodes } from '../settings.ts';
import type { Measured, Path, Stream } from './types.ts';

/** Every so often the pods are listed and all counters are read: those of a pod that goes are as they were then. */
const lookEveryMs = 1_000;
const outsidePort = 7070;
const ports = { udp: 9000, tcp: 9001, http: 8080, hostPort: 18180, nodePort: 30080 };
const service = '10.96.0.80:80';
const question = 'kubernetes.default.svc.cluster.local.';

interface TrafficPod {
  node: string;
  uid: string;
  ip: string;
  generation: number;
}

export interface Recorder {
  /** Every stream that ran, with its last counters. */
  measured(): Promise<Measured[]>;
  stop(): Promise<void>;
}

/**
 * Streams between the traffic pods of all nodes, and from outside to every node, until `stop`. A pod made anew gets
 * streams of its own as soon as it is Ready. Runs in the fabric.
 */
export async function startRecorder(kubernetes: KubernetesClient): Promise<Recorder> {
  const helpers = [
    helper(net.fabric, ['control', '--listen', `127.0.0.1:${outsidePort}`]),
    helper(net.controlPlane, ['serve']),
  ];
  const fromOutside = (args: string[]) => commandOutput('curl', [...curlArgs, ...args]);
  const outsideUrl = `http://127.0.0.1:${outsidePort}/streams`;
  await awaitThat('labprobe answers in the fabric', 10_000, () =>
    fromOutside([outsideUrl]).catch(() => false as const),
  );

  const paths = new Map<string, Path>();
  const last = new Map<string, Stream>();
  const pods = new Map<string, TrafficPod>();

  const begin = async (
    send: (args: string[]) => Promise<string>,
    url: string,
    path: Path,
    body: { kind: Stream['kind']; to: string; perSecond: number; [key: string]: unknown },
  ): Promise<void> => {
    const ends = [path.from, path.to].filter(Boolean).join('.');
    const name = [path.what, body.kind, ends, path.fromGeneration, path.toGeneration].filter(Boolean).join('.');
    if (paths.has(name)) return;
    paths.set(name, path);
    await send(['-X', 'POST', '-d', JSON.stringify({ name, ...body }), url]);
  };

  const outside = { from: '', fromGeneration: 0, toGeneration: 0 };
  await begin(
    fromOutside,
    outsideUrl,
    { ...outside, what: 'canary', to: '' },
    {
      kind: 'udp',
      to: `${net.controlPlaneAddress}:${ports.udp}`,
      perSecond: 200,
    },
  );
  for (const { name, address } of nodes) {
    await begin(
      fromOutside,
      outsideUrl,
      { ...outside, what: 'node-port', to: name },
      {
        kind: 'http',
        to: `${address}:${ports.nodePort}`,
        perSecond: 20,
        expectPrefix: 'web-',
      },
    );
    await begin(
      fromOutside,
      outsideUrl,
      { ...outside, what: 'host-port', to: name },
      {
        kind: 'http',
        to: `${address}:${ports.hostPort}`,
        perSecond: 20,
        expectPrefix: 'traffic-',
      },
    );
  }

  const control = (pod: TrafficPod) => (args: string[]) =>
    inNodeNetwork(nodeNamed(pod.node), ['curl', ...curlArgs, ...args]);
  const urlOf = (pod: TrafficPod) => `http://${pod.ip}:${ports.http}/streams`;

  const beginPairs = async (a: TrafficPod, b: TrafficPod): Promise<void> => {
    const path: Path = {
      what: 'pair',
      from: a.node,
      fromGeneration: a.generation,
      to: b.node,
      toGeneration: b.generation,
    };
    const to = (port: number) => `${b.ip}:${port}`;
    await begin(control(a), urlOf(a), path, { kind: 'udp', to: to(ports.udp), perSecond: 200 });
    await begin(control(a), urlOf(a), path, { kind: 'connection', to: to(ports.tcp), perSecond: 20 });
  };

  /** What sends to a pod that is gone says nothing any more, and takes the processor from what does. */
  const endStreamsTo = async ({ node, generation }: TrafficPod): Promise<void> => {
    for (const [name, path] of paths) {
      const sender = pods.get(path.from);
      if (path.to !== node || path.toGeneration !== generation || sender?.generation !== path.fromGeneration) continue;
      const ended = await control(sender)(['-X', 'DELETE', `${urlOf(sender)}/${name}`]).catch(() => '[]');
      for (const stream of JSON.parse(ended) as Stream[]) last.set(stream.name, stream);
    }
  };

  const look = async (): Promise<void> => {
    const found = await kubernetes.list({ apiVersion: 'v1', kind: 'Pod' }, { labelSelector: 'app=traffic' });
    for (const pod of found) {
      const { uid = '', deletionTimestamp } = pod.metadata;
      const ip = String(pod['status']?.podIP ?? '');
      const node = String(pod['spec']?.nodeName ?? '');
      const known = pods.get(node);
      if (deletionTimestamp || ip === '' || !isReady(pod) || (known?.uid === uid && known.ip === ip)) continue;
      if (known) await endStreamsTo(known);
      const fresh = { node, uid, ip, generation: (known?.generation ?? 0) + 1 };
      const from: Omit<Path, 'what'> = { from: node, fromGeneration: fresh.generation, to: '', toGeneration: 0 };
      try {
        await begin(
          control(fresh),
          urlOf(fresh),
          { ...from, what: 'service' },
          {
            kind: 'http',
            to: service,
            perSecond: 20,
          },
        );
        await begin(
          control(fresh),
          urlOf(fresh),
          { ...from, what: 'dns' },
          {
            kind: 'dns',
            to: `${net.dns}:53`,
            perSecond: 10,
            question,
          },
        );
        for (const other of pods.values()) {
          if (other.node === node) continue;
          await beginPairs(fresh, other);
          await beginPairs(other, fresh).catch(() => undefined);
        }
        pods.set(node, fresh);
      } catch {
        // Its node goes away at this moment: the next look sees what came of it.
      }
    }
    await Promise.all([
      ...[...pods.values()].map((pod) => read(control(pod), urlOf(pod))),
      read(fromOutside, outsideUrl),
    ]);
  };

  const read = async (send: (args: string[]) => Promise<string>, url: string): Promise<void> => {
    const answer = await send([url]).catch(() => '[]');
    for (const stream of JSON.parse(answer) as Stream[]) last.set(stream.name, stream);
  };

  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      await look().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  })();
  await awaitThat('traffic flows between all nodes', 60_000, async () => pods.size === nodes.length);

  return {
    measured: async () => {
      await look();
      return [...last.values()].flatMap((stream) => {
        const path = paths.get(stream.name);
        return path ? [{ ...path, stream }] : [];
      });
    },
    stop: async () => {
      stopped = true;
      await loop;
      for (const pod of pods.values()) await control(pod)(['-X', 'DELETE', urlOf(pod)]).catch(() => '');
      // Their ports are free only when they have ended, and the next recorder wants them.
      await Promise.all(
        helpers.map(async (each) => {
          if (each.exitCode !== null || each.signalCode !== null) return;
          const ended = once(each, 'exit');
          each.kill('SIGTERM');
          await ended;
        }),
      );
    },
  };
}

const curlArgs = ['-sS', '--fail-with-body', '--max-time', '4'];

function helper(namespace: string, args: string[]): ChildProcess {
  const [shell, inProbe] = inGroupAndNetns('probe', namespace, [join(kept.programs, 'labprobe'), ...args]);
  return spawn(shell, inProbe, { stdio: 'ignore' });
}
