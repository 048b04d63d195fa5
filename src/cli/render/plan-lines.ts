import type { PlanView } from '../../server/plan-views.ts';
import type { Style } from '../style.ts';
import { duration } from '../time.ts';

/** A compiled plan: what would happen, in which order, how long it may take, what to know before. */
export function planLines(plan: PlanView, style: Style): string[] {
  const { workSeconds, soakSeconds, perNodeSeconds } = plan.estimate;
  const { maxUnavailable, maxUnavailablePerZone, failureBudget, onFailure, nodeAttempts } = plan.strategy;
  const lines = [
    `${style.bold(plan.name)}  sha256:${plan.hash}`,
    `cluster ${plan.cluster.server} (Kubernetes ${plan.cluster.kubernetesVersion}), ${plan.nodes} nodes`,
    `at most ${maxUnavailable} at a time, ${maxUnavailablePerZone} per zone; a node that fails ${onFailure === 'rollback' ? 'goes back by itself' : 'waits for a person'}, ${nodeAttempts} tries; pauses above ${failureBudget} failures`,
    `about ${duration((workSeconds + soakSeconds) * 1000)}: ${duration(workSeconds * 1000)} work (${duration(perNodeSeconds * 1000)} a node) and ${duration(soakSeconds * 1000)} soaking, without the time people take`,
  ];
  for (const stage of plan.outline) {
    lines.push('', `${style.bold(`stage ${stage.id}`)}  ${stage.from} -> ${stage.to}`);
    lines.push(`  prepare   ${stage.prepare.length} steps: ${stage.prepare.join('; ')}`);
    for (const { id, before, note } of stage.stepGates ?? [])
      lines.push(`  ${style.yellow(`gate ${id}`)} before "${before}"${note === '' ? '' : `: ${note}`}`);
    for (const { id, nodes, gate, adopted } of stage.waves) {
      lines.push(
        `  wave ${id}  ${nodes.length} node${nodes.length === 1 ? '' : 's'}: ${nodes.map(({ name, zone }) => (zone === '' ? name : `${name} (${zone})`)).join(', ')}${adopted ? `; on ${stage.to} already, not migrated again` : ''}`,
      );
      if (gate !== '') lines.push(`  ${style.yellow(`gate ${gate}`)}`);
    }
    if (stage.finalizeGate !== '') lines.push(`  ${style.yellow(`gate ${stage.finalizeGate}`)}`);
    lines.push(`  finalize  ${stage.finalize.length} steps: ${stage.finalize.join('; ')}`);
  }
  if (plan.warnings.length > 0)
    lines.push('', ...plan.warnings.map((warning) => `${style.yellow('warning:')} ${warning}`));
  return lines;
}
