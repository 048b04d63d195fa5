import { CutoverError } from '../errors.ts';
import { createEvaluator } from './evaluate.ts';
import { gatherFlows } from './flows.ts';
import { cutHazards } from './hazards.ts';
import type { Hazard, HazardKind } from './hazards.ts';
import { policyHazards } from './inspect.ts';
import { verdictMatrix } from './matrix.ts';
import type { MatrixCell } from './matrix.ts';
import type { DeclaredFlow, FlowSource, ObservedFlow, PolicyCluster } from './types.ts';

export interface PolicyReport {
  /** Those that need an acknowledgement first. */
  hazards: Hazard[];
  /** Policies that Calico would enforce. */
  policies: { name: string; pods: number }[];
  pods: number;
  /** How many connections each source gave, and how many of them would be cut. */
  flows: { source: FlowSource; judged: number; cut: number }[];
  /** What could not be asked: `worker-3: conntrack is not readable`. */
  gaps: string[];
  matrix?: MatrixCell[];
}

export interface ReportInput {
  declared?: { flows: readonly DeclaredFlow[]; file: string };
  observed?: readonly ObservedFlow[];
  gaps?: readonly string[];
  matrix?: boolean;
}

/**
 * What Calico will cut of what works today, and what else is wrong with the policies. Pure.
 * @throws CutoverError PlanInvalid when a flow of the file names somebody who is not there
 */
export function policyReport(
  cluster: PolicyCluster,
  { declared, observed = [], gaps = [], matrix }: ReportInput,
): PolicyReport {
  const gathered = gatherFlows(cluster, { ...(declared === undefined ? {} : { declared }), observed });
  const missing = gathered.unknown.find(({ source }) => source === 'file');
  if (missing !== undefined)
    throw new CutoverError('PlanInvalid', missing.message, {
      remedy:
        missing.hint ?? 'look at `kubectl get pods -A`; names are namespace/name of a workload, a pod or a Service',
    });
  const evaluator = createEvaluator(cluster);
  const { hazards: cuts, cut } = cutHazards(cluster, evaluator, gathered);
  const cutBy = new Set(cuts.flatMap(({ policies }) => policies));
  const hazards = [...cuts, ...policyHazards(cluster, evaluator, gathered, cutBy)];
  const cutFlows = new Set(cut);
  return {
    hazards: hazards.sort(
      (a, b) =>
        Number(b.severity === 'block') - Number(a.severity === 'block') ||
        rank[a.kind] - rank[b.kind] ||
        compare(a.message, b.message),
    ),
    policies: evaluator.policies.map((policy) => ({
      name: policy.name,
      pods: cluster.pods.filter((pod) => evaluator.selecting(pod).includes(policy)).length,
    })),
    pods: cluster.pods.filter(({ hostNetwork }) => !hostNetwork).length,
    flows: [...Map.groupBy(gathered.flows, ({ source }) => source)].map(([source, flows]) => ({
      source,
      judged: flows.length,
      cut: flows.filter((flow) => cutFlows.has(flow)).length,
    })),
    gaps: [...gaps],
    ...(matrix ? { matrix: verdictMatrix(cluster, evaluator) } : {}),
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What hurts most goes first: a sentence names only a few. */
const rank: { [K in HazardKind]: number } = {
  'no-dns': 0,
  'flow-cut': 1,
  'ip-block-pods': 2,
  'ip-block-services': 3,
  'becomes-live': 4,
  'selects-nothing': 5,
  unreadable: 6,
  'not-enforced': 7,
  staged: 8,
  'unknown-client': 9,
};
