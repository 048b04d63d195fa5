import { count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';

type Facts = {
  policies: {
    /** `namespace/name`. */
    name: string;
    types: string[];
    /** Pods that it selects today. */
    pods: number;
  }[];
};

/**
 * Lists every NetworkPolicy. Flannel enforces none, Calico all of them: each becomes live on a pod the moment Calico
 * owns it (§0.15 of the migration facts). Nobody knows whether an object that never did anything is right.
 */
export const networkPolicies = defineCheck<Facts>({
  id: 'network-policies',
  layer: 'cluster',
  title: 'No dormant policy wakes up',
  scope: 'cluster',
  ask: async ({ kubernetes }) => {
    const policies = await kubernetes.list({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' });
    const pods = policies.length === 0 ? [] : await kubernetes.list({ apiVersion: 'v1', kind: 'Pod' });
    return {
      policies: policies.map((policy) => ({
        name: `${policy.metadata.namespace}/${policy.metadata.name}`,
        types: policy['spec']?.policyTypes ?? ['Ingress'],
        pods: pods.filter(
          (pod) =>
            pod.metadata.namespace === policy.metadata.namespace &&
            pod['spec']?.hostNetwork !== true &&
            selects(policy['spec']?.podSelector ?? {}, pod.metadata.labels),
        ).length,
      })),
    };
  },
  judge: ({ policies }) => {
    if (policies.length === 0) return pass('there is no NetworkPolicy');
    const listed = policies.map(({ name, types, pods }) => `${name} (${types.join(' and ')}, ${count(pods, 'pod')})`);
    return warn(
      `${count(policies.length, 'policy', 'policies')} that nobody enforces today ${policies.length === 1 ? 'becomes' : 'become'} live with Calico: ${some(listed, 5)}`,
      {
        remedy:
          'have the owner of each confirm what it allows, or delete it; a wrong one cuts its pods off as their node migrates',
      },
    );
  },
});
