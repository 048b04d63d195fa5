import type { KubernetesObject } from '../../kubernetes/types.ts';
import { isReady } from '../../probe/pods.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';

type Hook = {
  /** `istio-sidecar-injector / rev.namespace.sidecar-injector.istio.io`. */
  name: string;
  service: string;
  /** Ready pods behind it and the nodes that they are on. */
  pods: number;
  nodes: number;
};

type Facts = { hooks: Hook[]; configurations: number };

interface Rule {
  resources?: string[];
}

/** What is created or changed while a node migrates. */
const touched = /^(\*|\*\/\*|pods|pods\/\*|pods\/eviction|pods\/binding|nodes|nodes\/status|daemonsets)$/;

/**
 * Webhooks that must answer before a pod can start. One that runs in the cluster is asked over the pod network: when its only
 * pod is away, or on the node that is changing, no pod starts anywhere, not even the next agent.
 */
export const webhooks = defineCheck<Facts>({
  id: 'webhooks',
  layer: 'cluster',
  title: 'No webhook can keep pods from starting',
  scope: 'cluster',
  ask: async ({ all }) => {
    const group = 'admissionregistration.k8s.io/v1';
    const configurations = (
      await Promise.all([
        all({ apiVersion: group, kind: 'ValidatingWebhookConfiguration' }),
        all({ apiVersion: group, kind: 'MutatingWebhookConfiguration' }),
      ])
    ).flat();
    const strict = configurations.flatMap(({ metadata, webhooks: hooks = [] }) =>
      (hooks as { name: string; failurePolicy?: string; rules?: Rule[]; clientConfig?: { service?: Place } }[])
        .filter(({ failurePolicy = 'Fail', rules = [] }) => failurePolicy === 'Fail' && rules.some(concerns))
        .flatMap(({ name, clientConfig }) =>
          clientConfig?.service === undefined
            ? []
            : [{ name: `${metadata.name} / ${name}`, place: clientConfig.service }],
        ),
    );
    if (strict.length === 0) return { hooks: [], configurations: configurations.length };
    const [services, pods] = await Promise.all([
      all({ apiVersion: 'v1', kind: 'Service' }),
      all({ apiVersion: 'v1', kind: 'Pod' }),
    ]);
    return {
      configurations: configurations.length,
      hooks: strict.map(({ name, place }) => {
        const behind = podsBehind(place, services, pods);
        return {
          name,
          service: `${place.namespace}/${place.name}`,
          pods: behind.length,
          nodes: new Set(behind.map((pod) => String(pod['spec']?.nodeName))).size,
        };
      }),
    };
  },
  judge: ({ hooks, configurations }) => {
    const dead = hooks.filter(({ pods }) => pods === 0);
    if (dead.length > 0) {
      return block(
        `${count(dead.length, 'webhook')} with failurePolicy Fail ${dead.length === 1 ? 'has' : 'have'} no Ready pod behind ${dead.length === 1 ? 'it' : 'them'}, so pods are refused: ${some(dead.map(described))}`,
        { remedy: 'repair its pods, or delete its configuration when nothing needs it any more' },
      );
    }
    const single = hooks.filter(({ nodes }) => nodes < 2);
    if (single.length > 0) {
      return warn(
        `${count(single.length, 'webhook')} with failurePolicy Fail ${single.length === 1 ? 'depends' : 'depend'} on one node: ${some(single.map(described))}`,
        {
          remedy:
            'run two replicas on two nodes, or set failurePolicy to Ignore for that time: no pod starts while that node migrates',
        },
      );
    }
    return pass(
      `none of ${count(configurations, 'webhook configuration')} can keep pods from starting${hooks.length > 0 ? `: ${some(hooks.map(described))}` : ''}`,
    );
  },
});

interface Place {
  namespace: string;
  name: string;
}

const concerns = ({ resources = [] }: Rule): boolean => resources.some((resource) => touched.test(resource));

const described = ({ name, service, pods, nodes }: Hook): string =>
  `${name} by ${service} (${count(pods, 'Ready pod')} on ${count(nodes, 'node')})`;

function podsBehind(
  { namespace, name }: Place,
  services: readonly KubernetesObject[],
  pods: readonly KubernetesObject[],
): KubernetesObject[] {
  const service = services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  const selector = service?.['spec']?.selector as { [key: string]: string } | undefined;
  if (selector === undefined) return [];
  return pods.filter(
    (pod) =>
      pod.metadata.namespace === namespace && isReady(pod) && selects({ matchLabels: selector }, pod.metadata.labels),
  );
}
