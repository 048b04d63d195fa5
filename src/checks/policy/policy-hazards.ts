import type { PlannedNode } from '../../plan/types.ts';
import type { Hazard } from '../../policy/hazards.ts';
import { observePolicies } from '../../policy/observe.ts';
import { observeFlows } from '../../policy/observe-flows.ts';
import { policyReport } from '../../policy/report.ts';
import type { PolicyReport } from '../../policy/report.ts';
import { toJson } from '../asker.ts';
import type { Asker } from '../asker.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = {
  /** With the reason of a person who took it on, where one did. */
  hazards: (Hazard & { acknowledged?: string })[];
  policies: PolicyReport['policies'];
  flows: PolicyReport['flows'];
  gaps: string[];
  /** Acknowledged in the plan, and not found: it was put right, or it is about something else now. */
  stale: string[];
};

const prefix = 'policy-hazards/';

/**
 * What NetworkPolicies and Calico's own policies will cut of the flows that work today. Flannel enforces none of them;
 * each becomes live on a pod the moment Calico owns it (§0.15 of the migration facts). Asked again at every gate, so that a
 * policy that somebody adds during the migration shows.
 */
export const policyHazards = defineCheck<Facts>({
  id: 'policy-hazards',
  layer: 'policy',
  title: 'No policy cuts what works today',
  scope: 'cluster',
  ask: async (asker) => {
    const { plan } = asker;
    const report = await reportOn(asker, asker.planned);
    const reasons = new Map(
      (plan.acknowledge ?? [])
        .filter(({ id }) => id.startsWith(prefix))
        .map(({ id, reason }) => [id.slice(prefix.length), reason]),
    );
    const found = new Set(report.hazards.map(({ id }) => id));
    return toJson({
      hazards: report.hazards.map((hazard) => {
        const acknowledged = reasons.get(hazard.id);
        return acknowledged === undefined ? hazard : { ...hazard, acknowledged };
      }),
      policies: report.policies,
      flows: report.flows,
      gaps: report.gaps,
      stale: [...reasons.keys()].filter((id) => !found.has(id)),
    }) as Facts;
  },
  judge: ({ hazards, policies, flows, gaps, stale }) => {
    const open = hazards.filter(({ acknowledged }) => acknowledged === undefined);
    const judged = flows.reduce((sum, each) => sum + each.judged, 0);
    const basis = `${count(judged, 'flow')} judged against ${count(policies.length, 'policy', 'policies')}`;
    const blocking = open.filter(({ severity }) => severity === 'block');
    if (blocking.length > 0) {
      const named = some(
        blocking.map(({ id, message }) => `[${id}] ${message}`),
        5,
      );
      return block(`${count(blocking.length, 'policy hazard')}: ${named}; ${basis}`, {
        remedy: `${blocking[0]!.remedy}; or acknowledge each in the plan with a reason (spec.acknowledge: - id: ${prefix}${blocking[0]!.id}); \`cutover policy report\` lists all`,
      });
    }
    const rest = [
      ...open.map(({ id, message }) => `[${id}] ${message}`),
      ...gaps,
      ...(stale.length > 0 ? [`the plan acknowledges what is not there any more: ${some(stale)}`] : []),
    ];
    if (rest.length > 0) {
      return warn(`${some(rest, 5)}; ${basis}`, {
        remedy:
          open[0]?.remedy ??
          (gaps.length > 0
            ? 'install conntrack on the nodes, or name the flows in spec.policies.flows'
            : 'take what is not there any more out of spec.acknowledge'),
      });
    }
    const acknowledged = hazards.length > 0 ? `, ${count(hazards.length, 'hazard')} acknowledged in the plan` : '';
    return pass(
      policies.length === 0
        ? 'there is no policy'
        : `${basis}, none is cut${acknowledged}`.replace('none is cut, ', ''),
    );
  },
});

/** The report of a plan against its cluster as it is: what the check and `cutover policy report` both say. */
export async function reportOn(
  { kubernetes, nodes, plan, token, signal }: Pick<Asker, 'kubernetes' | 'nodes' | 'plan' | 'token' | 'signal'>,
  planned: readonly Pick<PlannedNode, 'name'>[],
  options: { declared?: Parameters<typeof policyReport>[1]['declared']; matrix?: boolean } = {},
): Promise<PolicyReport> {
  const cluster = await observePolicies(kubernetes);
  // Without a policy nothing can be cut: no node has to be asked.
  const seen =
    cluster.objects.length === 0 || plan.policies?.conntrack === false
      ? { observed: [], gaps: [] }
      : await observeFlows(cluster, { nodes, names: planned.map(({ name }) => name), token: token(), signal });
  const declared =
    options.declared ??
    (plan.policies?.flows === undefined ? undefined : { flows: plan.policies.flows, file: plan.policies.file });
  return policyReport(cluster, {
    ...seen,
    ...(declared === undefined ? {} : { declared }),
    matrix: options.matrix === true,
  });
}
