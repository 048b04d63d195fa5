import { count, defineCheck, pass, some, warn } from '../define.ts';
import { runningContainers, specOf, userPods, workloadsOf } from './pods.ts';

type Facts = {
  pods: number;
  /** Containers that were given NET_RAW, NET_ADMIN or everything. */
  capable: string[];
  /** Workloads that ask Calico for it by its own annotation. */
  allowed: string[];
};

export const allowedSourcePrefixes = 'cni.projectcalico.org/allowedSourcePrefixes';
const capabilities = new Set(['NET_RAW', 'NET_ADMIN', 'CAP_NET_RAW', 'CAP_NET_ADMIN', 'ALL']);

/**
 * Pods that may send from addresses that are not theirs (routers, VPN and load balancer pods). Flannel forwards such packets;
 * Calico drops what does not come from the pod's own address, unless the annotation and the FelixConfiguration allow it.
 */
export const spoofingPods = defineCheck<Facts>({
  id: 'spoofing-pods',
  layer: 'cluster',
  title: 'No pod sends from addresses of others',
  scope: 'cluster',
  ask: async (asker) => {
    const pods = (await userPods(asker)).filter((pod) => specOf(pod).hostNetwork !== true);
    const allowed = pods.filter((pod) => pod.metadata.annotations?.[allowedSourcePrefixes] !== undefined);
    const capable = pods.filter((pod) =>
      runningContainers(specOf(pod)).some(
        ({ securityContext = {} }) =>
          securityContext.privileged === true ||
          securityContext.capabilities?.add?.some((each) => capabilities.has(each)) === true,
      ),
    );
    return { pods: pods.length, capable: workloadsOf(capable), allowed: workloadsOf(allowed) };
  },
  judge: ({ pods, capable, allowed }) => {
    const found = [...new Set([...allowed, ...capable])];
    if (found.length === 0) return pass(`none of ${count(pods, 'pod')} may send from an address that is not its own`);
    return warn(
      `${count(found.length, 'workload')} may send from addresses that are not the pod's own, which Calico drops: ${some(found)}`,
      {
        remedy: `ask their owners; where it is meant, annotate the pods with ${allowedSourcePrefixes} and set workloadSourceSpoofing: Any in the FelixConfiguration`,
      },
    );
  },
});
