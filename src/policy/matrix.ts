import type { Evaluator } from './evaluate.ts';
import type { PolicyCluster, PolicyPod, Protocol } from './types.ts';

/** One cell: what Calico would say to a workload that asks another on a port. */
export interface MatrixCell {
  from: string;
  to: string;
  /** `TCP/8080`. */
  port: string;
  /** `some`: pods of one workload differ, by address or by label. */
  verdict: 'allowed' | 'cut' | 'some';
  why: string;
}

/** Pods of one workload that are asked; they differ only when a rule goes by address. */
const podsAsked = 5;

/** Every workload to every port that another one declares or that a Service leads to. Pure. */
export function verdictMatrix(cluster: PolicyCluster, evaluator: Evaluator): MatrixCell[] {
  const pods = cluster.pods.filter(({ hostNetwork, ip }) => !hostNetwork && ip !== '');
  const workloads = [...Map.groupBy(pods, ({ workload }) => workload)]
    .map(([name, all]) => ({ name, pods: all.slice(0, podsAsked), ports: portsOf(cluster, all) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return workloads.flatMap((from) =>
    workloads.flatMap((to) =>
      to.ports.map(({ protocol, port }): MatrixCell => {
        const verdicts = from.pods.flatMap((sender) =>
          to.pods
            .filter((receiver) => receiver !== sender)
            .map((receiver) =>
              evaluator.judge({
                from: { kind: 'pod', pod: sender },
                to: { kind: 'pod', pod: receiver },
                protocol,
                port,
              }),
            ),
        );
        const cut = verdicts.filter(({ allowed }) => !allowed);
        return {
          from: from.name,
          to: to.name,
          port: `${protocol}/${port}`,
          verdict: cut.length === 0 ? 'allowed' : cut.length === verdicts.length ? 'cut' : 'some',
          why:
            (cut[0] ?? verdicts[0])?.sides.find(({ allowed }) => cut.length === 0 || !allowed)?.why ??
            'a pod reaches itself',
        };
      }),
    ),
  );
}

function portsOf({ services }: PolicyCluster, pods: readonly PolicyPod[]): { protocol: Protocol; port: number }[] {
  const ips = new Set(pods.map(({ ip }) => ip));
  const all = [
    ...pods.flatMap(({ ports }) => ports),
    ...services.flatMap(({ backends }) => backends.filter(({ ip }) => ips.has(ip))),
  ];
  const distinct = new Map(all.map(({ protocol, port }) => [`${protocol}/${port}`, { protocol, port }]));
  return [...distinct.values()].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}
