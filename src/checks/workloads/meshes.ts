import { count, defineCheck, pass, some, warn } from '../define.ts';
import { specOf, userPods, workloadsOf } from './pods.ts';

type Facts = {
  /** Mesh -> workloads with its proxy. */
  meshes: { name: string; workloads: string[] }[];
};

/** Names that the meshes give to the container of their proxy. */
const proxies: { [container: string]: string } = {
  'istio-proxy': 'Istio',
  'linkerd-proxy': 'Linkerd',
  'kuma-sidecar': 'Kuma',
  'consul-dataplane': 'Consul',
};

/**
 * Workloads behind a proxy of a service mesh. The proxies themselves do not care which network carries them, but each holds
 * long connections to its control plane and to other proxies, and its certificates are asked for anew as pods move.
 */
export const meshes = defineCheck<Facts>({
  id: 'meshes',
  layer: 'cluster',
  title: 'No service mesh is in the way',
  scope: 'cluster',
  ask: async (asker) => {
    const pods = await userPods(asker);
    const groups = Map.groupBy(pods, (pod) => {
      const { containers = [], initContainers = [] } = specOf(pod);
      return [...containers, ...initContainers].map(({ name }) => proxies[name]).find((mesh) => mesh !== undefined);
    });
    return {
      meshes: [...groups].flatMap(([name, own]) => (name === undefined ? [] : [{ name, workloads: workloadsOf(own) }])),
    };
  },
  judge: ({ meshes: found }) =>
    found.length > 0
      ? warn(
          `pods are behind the proxies of ${found.map(({ name, workloads }) => `${name} (${count(workloads.length, 'workload')}: ${some(workloads)})`).join(' and ')}`,
          {
            remedy:
              "see that the mesh's control plane has two replicas on two nodes, and its webhook too (check webhooks)",
          },
        )
      : pass('no pod has the proxy of a service mesh'),
});
