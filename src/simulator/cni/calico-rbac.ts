import type { KubernetesObject, ObjectStore } from '../types.ts';

const group = 'crd.projectcalico.org';
/**
 * What calico-node 3.28 reads before anything else, and without leave for which it ends: it looks for a version of Calico
 * before 3 (measured on the lab; node/pkg/lifecycle/startup).
 */
const readAtStart = ['globalfelixconfigs'];

interface Rule {
  apiGroups?: string[];
  resources?: string[];
  verbs?: string[];
}

/** Why an agent of that service account may not start; undefined when it may. The simulated API itself refuses nobody. */
export function forbiddenAtStart(store: ObjectStore, pod: KubernetesObject): string | undefined {
  const { namespace = 'default' } = pod.metadata;
  const account = String(pod['spec']?.serviceAccountName ?? 'default');
  // A pod without an account of its own is none that a manifest of Calico makes.
  if (account === 'default') return undefined;
  const rules = rulesOf(store, namespace, account);
  const missing = readAtStart.find((resource) => !rules.some((rule) => allowsGet(rule, resource)));
  return missing === undefined
    ? undefined
    : `unable to query global Felix configuration to determine Calico version: connection is unauthorized: ${missing}.${group} is forbidden: User "system:serviceaccount:${namespace}:${account}" cannot get resource "${missing}"`;
}

function rulesOf(store: ObjectStore, namespace: string, account: string): Rule[] {
  return store
    .list('clusterrolebindings.rbac.authorization.k8s.io')
    .filter((binding) =>
      ((binding['subjects'] ?? []) as { kind: string; name: string; namespace?: string }[]).some(
        (subject) => subject.kind === 'ServiceAccount' && subject.name === account && subject.namespace === namespace,
      ),
    )
    .flatMap(
      (binding) =>
        (store.get('clusterroles.rbac.authorization.k8s.io', undefined, binding['roleRef'].name)?.['rules'] ??
          []) as Rule[],
    );
}

const allowsGet = ({ apiGroups = [], resources = [], verbs = [] }: Rule, resource: string): boolean =>
  [group, '*'].some((each) => apiGroups.includes(each)) &&
  [resource, '*'].some((each) => resources.includes(each)) &&
  ['get', '*'].some((each) => verbs.includes(each));
