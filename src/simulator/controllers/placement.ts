import type { KubernetesObject } from '../types.ts';

/** Whether a pod may be on a node, by the rules of kube-scheduler's filter plugins. */

export interface Taint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Toleration {
  key?: string;
  operator?: 'Exists' | 'Equal';
  value?: string;
  effect?: string;
  tolerationSeconds?: number;
}

export const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

export const tolerates = (tolerations: readonly Toleration[], taint: Taint) =>
  tolerations.some(
    ({ key, operator = 'Equal', value = '', effect }) =>
      (!effect || effect === taint.effect) &&
      (key ? key === taint.key : operator === 'Exists') &&
      (operator === 'Exists' || value === (taint.value ?? '')),
  );

/** Taints of the node with these effects that nothing tolerates. */
export function untolerated(
  node: KubernetesObject,
  tolerations: readonly Toleration[],
  effects: Taint['effect'][],
): Taint[] {
  return ((node.spec?.taints ?? []) as Taint[]).filter(
    (taint) => effects.includes(taint.effect) && !tolerates(tolerations, taint),
  );
}

interface Requirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values?: string[];
}

interface SelectorTerm {
  matchExpressions?: Requirement[];
  matchFields?: Requirement[];
}

/** nodeSelector and required node affinity. */
export function matchesNode(podSpec: KubernetesObject['spec'], node: KubernetesObject): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(podSpec.nodeSelector ?? {})) if (labels[key] !== value) return false;
  const terms = requiredTerms(podSpec);
  return (
    terms === undefined ||
    terms.some(({ matchExpressions = [], matchFields = [] }) => {
      // A term without any requirement matches nothing (corev1 NodeSelectorTerm).
      if (matchExpressions.length + matchFields.length === 0) return false;
      return (
        matchExpressions.every((each) => meets(each, labels[each.key])) &&
        matchFields.every((each) => meets(each, each.key === 'metadata.name' ? node.metadata.name : undefined))
      );
    })
  );
}

/** The one node that a DaemonSet's pod is bound for, so that nobody has to look at all the others. */
export function pinnedNode(podSpec: KubernetesObject['spec']): string | undefined {
  const [term, ...others] = requiredTerms(podSpec) ?? [];
  const field = term?.matchFields?.[0];
  if (others.length > 0 || field?.key !== 'metadata.name' || field.operator !== 'In') return undefined;
  return field.values?.length === 1 ? field.values[0] : undefined;
}

const requiredTerms = (podSpec: KubernetesObject['spec']): SelectorTerm[] | undefined =>
  podSpec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;

function meets({ operator, values = [] }: Requirement, value: string | undefined): boolean {
  if (operator === 'Exists') return value !== undefined;
  if (operator === 'DoesNotExist') return value === undefined;
  if (operator === 'NotIn') return value === undefined || !values.includes(value);
  if (value === undefined) return false;
  if (operator === 'In') return values.includes(value);
  return operator === 'Gt' ? Number(value) > Number(values[0]) : Number(value) < Number(values[0]);
}

/** `18080/TCP` for each host port that a pod asks for. */
export const hostPorts = (pod: KubernetesObject): string[] =>
  (pod.spec.containers ?? []).flatMap((container: { ports?: { hostPort?: number; protocol?: string }[] }) =>
    (container.ports ?? [])
      .filter(({ hostPort }) => hostPort !== undefined)
      .map(({ hostPort, protocol = 'TCP' }) => `${hostPort}/${protocol}`),
  );
