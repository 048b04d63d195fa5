import { hashOf } from '../plan/hash.ts';
import { listed } from './evaluate.ts';
import type { Evaluator } from './evaluate.ts';
import { partyKey } from './flows.ts';
import type { GatheredFlows } from './flows.ts';
import { remedyForCut, remedyForDns } from './remedies.ts';
import type { Direction, Flow, FlowSource, Party, PolicyCluster, SideVerdict } from './types.ts';

export type HazardKind =
  | 'flow-cut'
  | 'no-dns'
  | 'ip-block-pods'
  | 'ip-block-services'
  | 'becomes-live'
  | 'selects-nothing'
  | 'staged'
  | 'not-enforced'
  | 'unreadable'
  | 'unknown-client';

export type Hazard = {
  /** Ten hex digits of what it is about, without pod names: the same tomorrow, and on another migration. */
  id: string;
  kind: HazardKind;
  /** `block` needs an acknowledgement by id before a migration starts. */
  severity: 'block' | 'warn';
  message: string;
  remedy: string;
  /** `NetworkPolicy shop/deny`. */
  policies: string[];
  direction?: Direction;
  /** Workloads (`shop/web`), `nodes`, `outside`. */
  from?: string;
  to?: string;
  /** `TCP/8080`. */
  port?: string;
  /** How the flow is known; empty for what is found in a policy itself. */
  sources: FlowSource[];
  evidence: {
    /** Connections judged and cut, by pod: `shop/web-1 -> shop/api-1`; at most `mostListed`. */
    connections: string[];
    cut: number;
    origins: string[];
  };
};

const mostListed = 50;

/** The same words give the same id, whatever pods, nodes and addresses there are today. */
export const hazardId = (kind: HazardKind, ...about: readonly string[]): string =>
  hashOf([kind, ...about]).slice(0, 10);

interface Cut {
  flow: Flow;
  side: SideVerdict;
}

/** Flows that work today and would not with Calico on every node, by policy, direction, workloads and port. */
export function cutHazards(
  cluster: PolicyCluster,
  evaluator: Evaluator,
  { flows }: GatheredFlows,
): { hazards: Hazard[]; cut: Flow[] } {
  const dns = new Set(
    cluster.services
      .filter((service) => service.isDns)
      .flatMap(({ backends }) => backends.filter(({ servicePort }) => servicePort === 53))
      .map(({ ip, port, protocol }) => `${ip} ${protocol}/${port}`),
  );
  const cuts: Cut[] = [];
  const cutFlows: Flow[] = [];
  for (const flow of flows) {
    const verdict = evaluator.judge(flow.connection);
    if (verdict.allowed) continue;
    cutFlows.push(flow);
    for (const side of verdict.sides) if (!side.allowed) cuts.push({ flow, side });
  }
  const isDns = ({ flow: { connection } }: Cut): boolean =>
    connection.to.kind === 'pod' && dns.has(`${connection.to.pod.ip} ${connection.protocol}/${connection.port}`);
  const groups = Map.groupBy(cuts, (cut) => JSON.stringify(isDns(cut) ? dnsKey(cut) : cutKey(cut)));
  return {
    cut: cutFlows,
    hazards: [...groups.values()].map((group) =>
      isDns(group[0]!) ? dnsHazard(cluster, group) : cutHazard(cluster, flows, group),
    ),
  };
}

const deciders = ({ side }: Cut): string[] => (side.policy === '' ? side.selectedBy : [side.policy]);
const portOf = ({ flow }: Cut): string => `${flow.connection.protocol}/${flow.connection.port}`;
const dnsKey = (cut: Cut): string[] => ['no-dns', cut.side.direction, ...deciders(cut).toSorted(byText)];
const cutKey = (cut: Cut): string[] => [
  'flow-cut',
  deciders(cut).toSorted(byText).join(' + '),
  cut.side.direction,
  workloadOf(cut.flow.connection.from),
  workloadOf(cut.flow.connection.to),
  portOf(cut),
];

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Who it is, without what changes from day to day. */
export function workloadOf(party: Party): string {
  if (party.kind === 'pod') return party.pod.workload;
  return party.kind === 'host' || party.ip === '' ? 'nodes' : 'outside';
}

function cutHazard(cluster: PolicyCluster, flows: readonly Flow[], group: readonly Cut[]): Hazard {
  const cut = group[0]!;
  const { side, flow } = cut;
  const { from, to, protocol, port } = flow.connection;
  const [, , , fromName, toName, portName] = cutKey(cut) as [string, string, string, string, string, string];
  const same = flows.filter(
    ({ connection }) =>
      connection.port === port &&
      connection.protocol === protocol &&
      workloadOf(connection.from) === fromName &&
      workloadOf(connection.to) === toName,
  ).length;
  const evidence = evidenceOf(group);
  const how = same === 1 ? '' : `${evidence.cut === same ? 'all' : `${evidence.cut} of`} ${same} connections; `;
  const written = port === 0 ? protocol : `${protocol} ${port}`;
  return {
    id: hazardId('flow-cut', ...cutKey(cut).slice(1)),
    kind: 'flow-cut',
    severity: 'block',
    message: `${fromName} to ${toName}, ${written}, would be cut on ${side.direction}: ${side.why} (${how}known from ${listed(evidence.origins)})`,
    remedy: remedyForCut(cluster, side, from, to, protocol, port),
    policies: deciders(cut),
    direction: side.direction,
    from: fromName,
    to: toName,
    port: portName,
    sources: [...new Set(group.map(({ flow }) => flow.source))],
    evidence,
  };
}

function dnsHazard(cluster: PolicyCluster, group: readonly Cut[]): Hazard {
  const cut = group[0]!;
  const { side } = cut;
  const workloads = [...new Set(group.map(({ flow }) => workloadOf(flow.connection.from)))].toSorted(byText);
  const policies = deciders(cut);
  const reason = side.policy === '' ? `no rule of ${listed(policies)} lets them ask the cluster's DNS` : side.why;
  return {
    id: hazardId('no-dns', ...dnsKey(cut).slice(1)),
    kind: 'no-dns',
    severity: 'block',
    message: `${listed(workloads)} could not resolve names: ${reason} (${side.direction})`,
    remedy: remedyForDns(cluster, side, policies),
    policies,
    direction: side.direction,
    from: workloads.join(', '),
    to: workloadOf(cut.flow.connection.to),
    port: 'UDP/53',
    sources: [...new Set(group.map(({ flow }) => flow.source))],
    evidence: evidenceOf(group),
  };
}

function evidenceOf(group: readonly Cut[]): Hazard['evidence'] {
  const connections = [
    ...new Set(group.map(({ flow: { connection } }) => `${partyKey(connection.from)} -> ${partyKey(connection.to)}`)),
  ];
  return {
    connections: connections.toSorted(byText).slice(0, mostListed),
    cut: group.length,
    origins: [...new Set(group.map(({ flow }) => flow.origin))].slice(0, mostListed),
  };
}
