/** What an approver has to know besides the checks: where the nodes stand, who enforces policies, and the way back. */
export type Bundle = {
  nodes: { of: number; migrated: string[] };
  exposure: Exposure;
  rollback: RollbackCost;
};

export type Exposure = {
  /** NetworkPolicies in the cluster. */
  policies: number;
  /** Nodes whose network enforces them, and those whose network does not. */
  enforcing: number;
  ignoring: number;
  /** ISO: since when the cluster is in this state of two minds; `` when it is not. */
  since: string;
  /** Seconds from then until the evidence was taken. */
  seconds: number;
};

export type RollbackCost = {
  /** Nodes that would go back. */
  nodes: number;
  /** Pods that would have to move from them. */
  pods: number;
  /** Of work, within the limits of the plan. */
  minutes: number;
  /** Whether `minutes` comes from nodes of this migration, or from the plan's estimate. */
  measured: boolean;
  /** Title of the step after which there is no way back; `` when the stage has none. */
  pointOfNoReturn: string;
  passed: boolean;
  /** The stage changes the cluster as a whole: going back moves no node and no pod. */
  clusterWide?: true;
};

/** `2 of 4 nodes enforce the 3 policies, the others ignore them; so for 12 min`. */
export function exposureText({ policies, enforcing, ignoring, since, seconds }: Exposure): string {
  if (policies === 0) return 'there is no NetworkPolicy';
  const what = policies === 1 ? 'the policy' : `the ${policies} policies`;
  const nodes = enforcing + ignoring;
  const clock = since === '' ? '' : `; so for ${spell(seconds)}`;
  if (ignoring === 0) return `all ${nodes} nodes enforce ${what}`;
  if (enforcing === 0) return `nobody enforces ${what}: none of ${nodes} nodes${clock}`;
  return `${enforcing} of ${nodes} nodes enforce ${what}, the others ignore them${clock}`;
}

export function rollbackText({
  nodes,
  pods,
  minutes,
  measured,
  pointOfNoReturn,
  passed,
  clusterWide,
}: RollbackCost): string {
  if (passed) return `there is no way back: "${pointOfNoReturn}" has been done`;
  const until = pointOfNoReturn === '' ? '' : `; possible until "${pointOfNoReturn}"`;
  if (clusterWide) return `the flips of the whole cluster are taken back, no pod has to move${until}`;
  if (nodes === 0) return `nothing: no node is on the new network${until}`;
  const basis = measured ? 'as nodes took so far' : 'by the estimate of the plan';
  return `${nodes} ${nodes === 1 ? 'node' : 'nodes'} back, ${pods} ${pods === 1 ? 'pod' : 'pods'} to move, about ${minutes} min ${basis}${until}`;
}

const spell = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`;
