import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { nameOf, runningContainers, specOf, userPods, workloadsOf } from './pods.ts';

type Facts = {
  /** Workloads with hostPorts and their pods. */
  workloads: string[];
  /** Pods that bind the port of the probes: `shop/edge-1 on worker-1`. */
  probePort: string[];
  /** `shop/edge-1: 30123`. */
  inNodePorts: string[];
  /** Two pods with one port on one node: `worker-1: TCP 8080 by shop/a and shop/b`. */
  twice: string[];
  /** Plugins of the conf that the bundle installs; empty when nobody read it. */
  plugins: string[];
  port: number;
};

/** What kube-apiserver has without --service-node-port-range; its flags cannot be asked over the API. */
const nodePorts = { first: 30000, last: 32767 };

/** Ports of the node itself that pods bind: free for the probes, apart from NodePorts, and served by the new network, too. */
export const hostPorts = defineCheck<Facts>({
  id: 'host-ports',
  layer: 'cluster',
  title: 'Ports of nodes that pods bind go on working',
  scope: 'cluster',
  ask: async (asker) => {
    const { manifests, plan } = asker;
    const pods = (await userPods(asker)).filter((pod) => portsOf(pod).length > 0);
    const { hostPort: port } = plan.probe;
    const byPlace = Map.groupBy(
      pods.flatMap((pod) => portsOf(pod).map((own) => ({ pod, own }))),
      ({ pod, own }) => `${specOf(pod).nodeName ?? ''}: ${own.protocol} ${own.port}`,
    );
    return {
      workloads: workloadsOf(pods),
      probePort: pods
        .filter((pod) => portsOf(pod).some((own) => own.port === port))
        .map((pod) => `${nameOf(pod)} on ${specOf(pod).nodeName ?? 'no node'}`),
      inNodePorts: pods.flatMap((pod) =>
        portsOf(pod)
          .filter((own) => own.port >= nodePorts.first && own.port <= nodePorts.last)
          .map((own) => `${nameOf(pod)}: ${own.port}`),
      ),
      twice: [...byPlace]
        .filter(([place, { length }]) => length > 1 && !place.startsWith(':'))
        .map(([place, users]) => `${place} by ${users.map(({ pod }) => nameOf(pod)).join(' and ')}`),
      plugins: pluginsOf((await manifests?.()) ?? []),
      port,
    };
  },
  judge: ({ workloads, probePort, inNodePorts, twice, plugins, port }) => {
    if (probePort.length > 0) {
      return block(`port ${port} of nodes, which the probes need, is bound by ${some(probePort)}`, {
        remedy: 'set probe.hostPort in the plan to a port that nobody uses',
      });
    }
    if (workloads.length > 0 && plugins.length > 0 && !plugins.includes('portmap')) {
      return block(
        `${count(workloads.length, 'workload')} with hostPorts would lose them: the new conf has no portmap (${some(workloads)})`,
        { remedy: 'add the plugin portmap with the capability portMappings to cni_network_config of the bundle' },
      );
    }
    if (twice.length > 0) {
      return warn(`two pods claim one port of a node: ${some(twice)}`, {
        remedy: 'find out which of them answers; the other one may win after its node has migrated',
      });
    }
    if (inNodePorts.length > 0) {
      return warn(`hostPorts lie among the NodePorts (${nodePorts.first}-${nodePorts.last}): ${some(inNodePorts)}`, {
        remedy: 'move them out of that range: a NodePort of the same number would take their traffic',
      });
    }
    return pass(
      workloads.length === 0
        ? 'no pod binds a port of its node'
        : `${count(workloads.length, 'workload')} with hostPorts, dark only while their node migrates: ${some(workloads)}`,
    );
  },
});

/** A pod in the node's own network binds its ports itself; no portmap is needed for those, but they are taken as well. */
function portsOf(pod: KubernetesObject): { protocol: string; port: number }[] {
  const spec = specOf(pod);
  const own = runningContainers(spec).flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, protocol = 'TCP' }) => (hostPort === undefined ? [] : [{ protocol, port: hostPort }])),
  );
  return own;
}

/** Types of the plugins in the template of the conf that Calico's install-cni writes. */
function pluginsOf(objects: readonly KubernetesObject[]): string[] {
  const templates = objects.flatMap((each) =>
    each.kind === 'ConfigMap' ? [String(each['data']?.cni_network_config ?? '')] : [],
  );
  return templates.flatMap((text) => [...text.matchAll(/"type"\s*:\s*"([a-z-]+)"/g)].map(([, type]) => type!));
}
