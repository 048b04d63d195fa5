import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, warn } from '../define.ts';
import { hasEnded, specOf } from '../workloads/pods.ts';
import { conditionsOf } from '../../probe/pods.ts';

type Facts = {
  nodes: number;
  /** How many nodes, the largest, are taken away in this sum. */
  away: number;
  /** Requested by all pods that a drain leaves somewhere: cores and bytes. */
  requested: { cpu: number; memory: number };
  /** What the other nodes have. */
  left: { cpu: number; memory: number };
};

const comfortable = 0.9;

/** The pods of the nodes that are away fit on the others, by what they request: else they stay Pending, and drains wait. */
export const spareCapacity = defineCheck<Facts>({
  id: 'spare-capacity',
  layer: 'cluster',
  title: 'The other nodes have room for the pods of one',
  scope: 'cluster',
  ask: async ({ all, nodeObjects, plan }) => {
    const [nodes, pods] = await Promise.all([nodeObjects(), all({ apiVersion: 'v1', kind: 'Pod' })]);
    const usable = nodes.filter(takesPods).map((node) => ({
      name: node.metadata.name,
      cpu: quantity(node['status']?.allocatable?.cpu),
      memory: quantity(node['status']?.allocatable?.memory),
    }));
    const names = new Set(usable.map(({ name }) => name));
    const away = Math.min(plan.strategy.maxUnavailable, Math.max(0, usable.length - 1));
    const living = pods.filter((pod) => names.has(specOf(pod).nodeName ?? '') && !hasEnded(pod));
    const leftOf = (resource: 'cpu' | 'memory'): number =>
      sum(
        usable
          .map((node) => node[resource])
          .toSorted((a, b) => a - b)
          .slice(0, usable.length - away),
      );
    return {
      nodes: usable.length,
      away,
      requested: {
        cpu: sum(living.map((pod) => requests(pod, 'cpu'))),
        memory: sum(living.map((pod) => requests(pod, 'memory'))),
      },
      left: { cpu: leftOf('cpu'), memory: leftOf('memory') },
    };
  },
  judge: ({ nodes, away, requested, left }) => {
    const shares = [
      {
        what: 'CPU',
        share: share(requested.cpu, left.cpu),
        has: `${round(requested.cpu)} of ${round(left.cpu)} cores`,
      },
      {
        what: 'memory',
        share: share(requested.memory, left.memory),
        has: `${gib(requested.memory)} of ${gib(left.memory)} GiB`,
      },
    ].toSorted((a, b) => b.share - a.share);
    const [worst] = shares;
    const without = `without the ${away === 1 ? 'largest' : `${away} largest`} of ${count(nodes, 'node')}`;
    const sentence = `${without} pods request ${Math.round(worst!.share * 100)} % of the ${worst!.what} that is left (${worst!.has})`;
    const remedy = 'add a node for the time of the migration, lower maxUnavailable, or scale something down';
    if (worst!.share > 1) return block(`${sentence}: some would stay Pending`, { remedy });
    return worst!.share > comfortable ? warn(sentence, { remedy }) : pass(sentence);
  },
});

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
const share = (part: number, whole: number): number => (part === 0 ? 0 : whole === 0 ? Infinity : part / whole);
const round = (number: number): number => Math.round(number * 10) / 10;
const gib = (bytes: number): number => round(bytes / 2 ** 30);

const takesPods = (node: KubernetesObject): boolean => {
  const taints: { effect: string }[] = node['spec']?.taints ?? [];
  return (
    node['spec']?.unschedulable !== true &&
    !taints.some(({ effect }) => effect !== 'PreferNoSchedule') &&
    conditionsOf(node).some(({ type, status }) => type === 'Ready' && status === 'True')
  );
};

/** As the scheduler counts them: all containers together, or the largest init container when that is more. */
function requests(pod: KubernetesObject, resource: string): number {
  const { containers = [], initContainers = [] } = specOf(pod);
  const of = (each: (typeof containers)[number]): number => quantity(each.resources?.requests?.[resource]);
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const running = sum([...containers, ...sidecars].map(of));
  return Math.max(running, ...initContainers.filter(({ restartPolicy }) => restartPolicy !== 'Always').map(of));
}

const suffixes: { [suffix: string]: number } = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity (`100m`, `50Mi`, `1e3`) as a number; 0 for nothing or what is none. */
export function quantity(written: string | number | undefined): number {
  const match = /^([0-9.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(String(written ?? ''));
  const factor = suffixes[match?.[2] ?? ''];
  const number = Number(match?.[1]);
  return factor === undefined || Number.isNaN(number) ? 0 : number * factor;
}
