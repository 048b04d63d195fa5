import type { ClusterFacts, NodeFacts } from './facts.ts';
import type { MigrationPlan } from './schema.ts';
import type { CompiledPlan, CompiledStage } from './types.ts';
import type { AssignedWave } from './waves.ts';

/** What a person should know before launching: one sentence each. What must not be is left to the preflight checks. */
export function planWarnings(
  { spec }: MigrationPlan,
  plan: CompiledPlan,
  facts: ClusterFacts,
  { waves, excluded }: { waves: readonly AssignedWave[]; excluded: readonly NodeFacts[] },
): string[] {
  const warnings: string[] = [];
  const [first] = plan.stages;
  const adopted = facts.nodes.filter((node) => node.adopted);
  const moving = waves.filter((wave) => wave.nodes.some((node) => !node.facts.adopted));
  if (adopted.length > 0)
    warnings.push(
      `${adopted.length} of ${facts.nodes.length} nodes already run ${first?.to ?? 'the new network'} (${some(adopted.map(({ name }) => name))}): they are adopted, not migrated again`,
    );
  for (const { name, halfWay } of facts.nodes.filter((node) => node.halfWay !== ''))
    warnings.push(`${name} was left half way by an earlier migration (${halfWay}): preflight blocks until it is whole`);
  if (excluded.length > 0)
    warnings.push(
      `${nodes(excluded)} excluded and ${excluded.length === 1 ? 'stays' : 'stay'} on ${first?.from ?? 'the old network'}: finalize is held until ${excluded.length === 1 ? 'it is' : 'they are'} migrated or gone`,
    );

  const missing = spec.strategy.waves.filter((wave) => !waves.some(({ written }) => written === wave));
  for (const wave of missing)
    warnings.push(
      `wave ${wave.name} is left out because no worker is left for it${wave.gate ? '; its gate goes with it' : ''}`,
    );
  const added = moving.find(
    ({ written, part, nodes: members }) => !written && !part && members.some(({ facts: node }) => !node.controlPlane),
  );
  if (added)
    warnings.push(`no wave takes ${some(added.nodes.map(({ facts: node }) => node.name))}: added as wave ${added.id}`);
  if (waves.every((wave) => wave.nodes.every((node) => node.facts.controlPlane)))
    warnings.push('every node is a control-plane node: they are migrated one at a time, whatever maxUnavailable says');

  const notReady = facts.nodes.filter((node) => !node.ready);
  if (notReady.length > 0) warnings.push(`${nodes(notReady)} not Ready`);
  const cordoned = facts.nodes.filter((node) => node.unschedulable);
  if (cordoned.length > 0) warnings.push(`${nodes(cordoned)} cordoned and will be left cordoned`);

  const blocking = facts.budgets.filter((budget) => budget.disruptionsAllowed === 0 && budget.pods > 0);
  if (blocking.length > 0)
    warnings.push(
      `${some(blocking.map((budget) => `${budget.namespace}/${budget.name}`))} allow${blocking.length === 1 ? 's' : ''} no disruption now: nodes with their pods will wait in the drain`,
    );
  if (facts.networkPolicies.length > 0 && first?.from === 'flannel') {
    // Flannel enforces no NetworkPolicy: what lies dormant becomes live with the new agent (§0.15 of the migration facts).
    const policies = facts.networkPolicies.map((policy) => `${policy.namespace}/${policy.name}`);
    warnings.push(`${some(policies)}: NetworkPolicies that Flannel never enforced become live, node by node`);
  }

  const { workSeconds } = plan.estimate;
  if (!moving[0]?.written?.gate && moving.length > 1)
    warnings.push(`no gate after the first wave ${moving[0]?.id}: the next one begins by itself`);
  // A gate before a step of the stage asks as well.
  const asks = ({ prepare, finalizeGate }: CompiledStage): boolean =>
    finalizeGate !== undefined || prepare.some((step) => step.gate);
  if (plan.stages.some((stage) => !asks(stage) && stage.finalize.some((step) => step.pointOfNoReturn)))
    warnings.push('no finalizeGate: after the last wave the old network is removed for good without asking anybody');
  if (plan.strategy.nodeSoakSeconds === 0)
    warnings.push('nodeSoak is 0s: a node counts as migrated the moment it takes pods again');
  if (workSeconds > 8 * 3600)
    warnings.push(
      `the work alone takes about ${Math.round(workSeconds / 3600)} hours: consider a greater maxUnavailable`,
    );
  return warnings;
}

const nodes = (list: readonly NodeFacts[]): string =>
  `${some(list.map(({ name }) => name))} ${list.length === 1 ? 'is' : 'are'}`;

function some(names: readonly string[]): string {
  return names.length <= 4 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
