import { createdBy } from '../../kubernetes/marks.ts';
import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { calico } from '../names.ts';

/** A thing of Calico, and the migration that says it made it; `` when none does. */
type Found = { name: string; madeBy: string };

type Facts = {
  /** `namespace/name` of agents that exist already. */
  agents: Found[];
  crds: Found[];
  /** `name cidr`. */
  pools: Found[];
  /** Nodes that carry annotations of Calico. */
  annotated: Found[];
  /** Aborted migrations of this cluster, by the record. */
  aborted: string[];
  /** Those that the plan takes over. */
  adopts: string[];
  /** Bundles of theirs that differ from the plan's. */
  otherBundles: { migration: string; name: string; theirs: string; planned: string }[];
};

const crdGroup = 'crd.projectcalico.org';

/**
 * No Calico is there but what an aborted migration of this cluster made, which the plan then takes over: a pool, block or
 * agent of another installation would win over what the migration writes. Who made a thing is believed only when the record
 * knows that migration, of this cluster, as aborted.
 */
export const calicoLeftovers = defineCheck<Facts>({
  id: 'calico-leftovers',
  layer: 'cluster',
  title: 'Nothing of another Calico is left',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects, plan, aborted = () => [] }) => {
    const [agents, crds, nodes] = await Promise.all([
      Promise.all(
        [calico.namespace, 'calico-system'].map((namespace) =>
          kubernetes.get({ apiVersion: 'apps/v1', kind: 'DaemonSet', name: calico.daemonSet, namespace }),
        ),
      ),
      kubernetes.list({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }),
      nodeObjects(),
    ]);
    const own = crds.filter((crd) => crd.metadata.name.endsWith('projectcalico.org'));
    const pools = own.some((crd) => crd.metadata.name === `ippools.${crdGroup}`)
      ? await kubernetes.list({ apiVersion: `${crdGroup}/v1`, kind: 'IPPool' })
      : [];
    const annotated = nodes.filter((node) =>
      Object.keys(node.metadata.annotations ?? {}).some((key) => key.startsWith('projectcalico.org/')),
    );
    return {
      agents: agents
        .filter((agent) => agent !== undefined)
        .map((agent) => found(agent, `${agent.metadata.namespace}/${agent.metadata.name}`)),
      crds: own.map((crd) => found(crd, crd.metadata.name)),
      pools: pools.map((pool) => found(pool, `${pool.metadata.name} ${String(pool['spec']?.cidr ?? '')}`)),
      annotated: annotated.map((node) => found(node, node.metadata.name)),
      aborted: aborted().map(({ id }) => id),
      adopts: plan.adopts ?? [],
      otherBundles: aborted().flatMap(({ id, bundles }) =>
        Object.entries(plan.bundles)
          .filter(([name, { sha256 }]) => bundles[name] !== undefined && bundles[name] !== sha256)
          .map(([name, { sha256 }]) => ({ migration: id, name, theirs: bundles[name]!, planned: sha256 })),
      ),
    };
  },
  judge: ({ agents, crds, pools, annotated, aborted, adopts, otherBundles }) => {
    const strange = ({ madeBy }: Found): boolean => !aborted.includes(madeBy);
    const agentsOfOthers = agents.filter(strange);
    if (agentsOfOthers.length > 0) {
      return block(`Calico's agent is there already: ${some(agentsOfOthers.map(described))}`, {
        remedy: agentsOfOthers.some(({ madeBy }) => madeBy !== '')
          ? 'launch from the installation whose record has that migration'
          : 'find out whose it is; remove it (for Canal, which enforces policy beside Flannel, this route is not made)',
      });
    }
    const poolsOfOthers = pools.filter(strange);
    if (poolsOfOthers.length > 0) {
      return block(
        `${poolsOfOthers.length} IP pools of an earlier Calico are left: ${some(poolsOfOthers.map(described))}`,
        {
          remedy: `delete them before any pod uses them: kubectl delete ippools.crd.projectcalico.org ${poolsOfOthers.map(({ name }) => name.split(' ')[0]).join(' ')}`,
        },
      );
    }
    const makers = [...new Set([...agents, ...pools, ...crds, ...annotated].map(({ madeBy }) => madeBy))].filter((id) =>
      aborted.includes(id),
    );
    if (makers.some((id) => !adopts.includes(id))) {
      return block(`the plan is older than the migration that left its Calico here: ${some(makers)}`, {
        remedy: 'plan again: the new plan takes over what that migration made',
      });
    }
    const others = { crds: crds.filter(strange).length, annotated: annotated.filter(strange).length };
    if (others.crds > 0 || others.annotated > 0) {
      return warn(
        `an earlier Calico left ${others.crds} resource definitions and annotations on ${others.annotated} nodes`,
        {
          remedy:
            'check that they are of the version that the plan installs; delete the annotations projectcalico.org/* of nodes',
        },
      );
    }
    if (makers.length === 0) return pass('no agent, definition, pool or annotation of Calico exists');
    const adopted = `${[...agents, ...pools].map(({ name }) => name).join(', ') || 'no agent or pool'} and ${count(crds.length, 'definition')}, made by ${some(makers)}`;
    const differing = otherBundles
      .filter(({ migration }) => makers.includes(migration))
      .map(
        (each) => `${each.migration} installed ${each.name} ${short(each.theirs)}, the plan has ${short(each.planned)}`,
      );
    if (differing.length > 0) {
      return warn(`adopted: ${adopted}; but the bundle differs: ${some(differing)}`, {
        remedy:
          'pin the bundle that was installed; with another one the agents of adopted nodes change at the start of the migration',
      });
    }
    return pass(`adopted: ${adopted}, from the manifests of this plan`);
  },
});

const found = ({ metadata }: KubernetesObject, name: string): Found => ({
  name,
  madeBy: metadata.annotations?.[createdBy] ?? '',
});

const described = ({ name, madeBy }: Found): string =>
  madeBy === '' ? name : `${name} (made by ${madeBy}, which this record does not know as aborted on this cluster)`;

const short = (sha256: string): string => `${sha256.slice(0, 12)}…`;
