import { block, defineCheck, pass, some, warn } from '../define.ts';
import { calico } from '../names.ts';

type Facts = {
  /** `namespace/name` of agents that exist already. */
  agents: string[];
  crds: string[];
  pools: { name: string; cidr: string }[];
  /** Nodes that carry annotations of Calico. */
  annotated: string[];
};

const crdGroup = 'crd.projectcalico.org';

/** No earlier Calico is there: a pool, block or agent of another installation would win over what the migration writes. */
export const calicoLeftovers = defineCheck<Facts>({
  id: 'calico-leftovers',
  layer: 'cluster',
  title: 'Nothing of an earlier Calico is left',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects }) => {
    const [agents, crds, nodes] = await Promise.all([
      Promise.all(
        [calico.namespace, 'calico-system'].map((namespace) =>
          kubernetes.get({ apiVersion: 'apps/v1', kind: 'DaemonSet', name: calico.daemonSet, namespace }),
        ),
      ),
      kubernetes.list({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }),
      nodeObjects(),
    ]);
    const names = crds.map((crd) => crd.metadata.name).filter((name) => name.endsWith('projectcalico.org'));
    const pools = names.includes(`ippools.${crdGroup}`)
      ? await kubernetes.list({ apiVersion: `${crdGroup}/v1`, kind: 'IPPool' })
      : [];
    return {
      agents: agents.flatMap((agent) =>
        agent === undefined ? [] : [`${agent.metadata.namespace}/${agent.metadata.name}`],
      ),
      crds: names,
      pools: pools.map((pool) => ({ name: pool.metadata.name, cidr: String(pool['spec']?.cidr ?? '') })),
      annotated: nodes
        .filter((node) =>
          Object.keys(node.metadata.annotations ?? {}).some((key) => key.startsWith('projectcalico.org/')),
        )
        .map((node) => node.metadata.name),
    };
  },
  judge: ({ agents, crds, pools, annotated }) => {
    if (agents.length > 0) {
      return block(`Calico's agent is there already: ${some(agents)}`, {
        remedy:
          'find out whose it is; remove it (for Canal, which enforces policy beside Flannel, this route is not made)',
      });
    }
    if (pools.length > 0) {
      return block(
        `${pools.length} IP pools of an earlier Calico are left: ${some(pools.map((pool) => `${pool.name} ${pool.cidr}`))}`,
        {
          remedy: 'delete them before any pod uses them: kubectl delete ippools.crd.projectcalico.org --all',
        },
      );
    }
    if (crds.length > 0 || annotated.length > 0) {
      return warn(
        `an earlier Calico left ${crds.length} resource definitions and annotations on ${annotated.length} nodes`,
        {
          remedy:
            'check that they are of the version that the plan installs; delete the annotations projectcalico.org/* of nodes',
        },
      );
    }
    return pass('no agent, definition, pool or annotation of Calico exists');
  },
});
