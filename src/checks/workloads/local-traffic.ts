import type { KubernetesObject } from '../../kubernetes/types.ts';
import { count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';
import { isReady } from '../../probe/pods.ts';

type Facts = {
  services: number;
  /** `shop/web (3 pods on 2 nodes)`. */
  external: string[];
  internal: string[];
};

/**
 * Services that a node answers only with pods of its own. Draining a node takes its pods away before a load balancer has
 * noticed, and the rest of the cluster does not step in.
 */
export const localTraffic = defineCheck<Facts>({
  id: 'local-traffic',
  layer: 'cluster',
  title: 'Any node answers for a Service',
  scope: 'cluster',
  ask: async ({ all, plan }) => {
    const every = await all({ apiVersion: 'v1', kind: 'Service' });
    // One of our own probes is answered by each node for itself, and on purpose.
    const services = every.filter(({ metadata }) => metadata.namespace !== plan.probe.namespace);
    const local = (policy: string): KubernetesObject[] =>
      services.filter((service) => service['spec']?.[policy] === 'Local');
    const [external, internal] = [local('externalTrafficPolicy'), local('internalTrafficPolicy')];
    const pods = external.length + internal.length === 0 ? [] : await all({ apiVersion: 'v1', kind: 'Pod' });
    return {
      services: services.length,
      external: external.map((service) => described(service, pods)),
      internal: internal.map((service) => described(service, pods)),
    };
  },
  judge: ({ services, external, internal }) => {
    if (external.length + internal.length === 0)
      return pass(`any node answers for each of ${count(services, 'Service')}`);
    const parts = [
      ...(external.length > 0 ? [`externalTrafficPolicy Local: ${some(external)}`] : []),
      ...(internal.length > 0 ? [`internalTrafficPolicy Local: ${some(internal)}`] : []),
    ];
    return warn(
      `${count(external.length + internal.length, 'Service')} ${external.length + internal.length === 1 ? 'is' : 'are'} answered by a node's own pods only, so traffic to a node that is drained is lost: ${parts.join('; ')}`,
      {
        remedy:
          'see that the load balancer asks the health check port, and that each Service has Ready pods on more nodes than maxUnavailable; or set the policy to Cluster for that time',
      },
    );
  },
});

function described(service: KubernetesObject, pods: readonly KubernetesObject[]): string {
  const { namespace, name } = service.metadata;
  const selector = service['spec']?.selector as { [key: string]: string } | undefined;
  const own = pods.filter(
    (pod) =>
      selector !== undefined &&
      pod.metadata.namespace === namespace &&
      isReady(pod) &&
      selects({ matchLabels: selector }, pod.metadata.labels),
  );
  const nodes = new Set(own.map((pod) => String(pod['spec']?.nodeName)));
  return `${namespace}/${name} (${count(own.length, 'pod')} on ${count(nodes.size, 'node')})`;
}
