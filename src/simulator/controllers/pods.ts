import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

import type { Random } from '../scenario/random.ts';
import type { KubernetesObject } from '../types.ts';

/** Words about pods that several controllers use. */

export const controllerUid = (object: KubernetesObject): string | undefined =>
  object.metadata.ownerReferences?.find((owner) => owner.controller)?.uid;

export const isTerminating = ({ metadata }: KubernetesObject) => metadata.deletionTimestamp !== undefined;

export const isFinished = ({ status }: KubernetesObject) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** Neither ended nor told to end: what replica counts are about. */
export const isActive = (pod: KubernetesObject) => !isTerminating(pod) && !isFinished(pod);

export const isReady = ({ status }: KubernetesObject): boolean =>
  (status?.conditions ?? []).some((each: Condition) => each.type === 'Ready' && each.status === 'True');

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

/** Sets one condition, and its transition time when the status changes. */
export function setCondition(object: KubernetesObject, condition: Condition, now: number): void {
  const conditions: Condition[] = ((object.status ??= {}).conditions ??= []);
  const at = conditions.findIndex((each) => each.type === condition.type);
  const before = conditions[at];
  const changed = before?.status !== condition.status;
  const lastTransitionTime = changed ? timestamp(now) : before?.lastTransitionTime;
  const next = { ...before, ...condition, ...(lastTransitionTime === undefined ? {} : { lastTransitionTime }) };
  if (at < 0) conditions.push(next);
  else conditions[at] = next;
}

/** As Kubernetes writes it: whole seconds. */
export const timestamp = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Letters and digits that cannot spell a word (apimachinery util/rand). */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

export const randomSuffix = (random: Random, length = 5) =>
  Array.from({ length }, () => alphabet[Math.floor(random.next() * alphabet.length)]).join('');

/** Names a pod template: equal templates have equal hashes, whatever the order of their members. */
export function templateHash(template: unknown): string {
  const digest = createHash('sha256')
    .update(canonicalize(template) ?? '')
    .digest();
  return [...digest.subarray(0, 10)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

/** A pod of a template, owned by `owner`. Its members are the template's own: replace them, do not change them. */
export function podFromTemplate(owner: KubernetesObject, random: Random, name?: string): KubernetesObject {
  const { template } = owner.spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: name ?? `${owner.metadata.name}-${randomSuffix(random)}`,
      ...(name === undefined ? { generateName: `${owner.metadata.name}-` } : {}),
      namespace: owner.metadata.namespace!,
      labels: { ...template.metadata?.labels },
      annotations: { ...template.metadata?.annotations },
      ownerReferences: [ownerReference(owner)],
    },
    spec: { ...template.spec },
  };
}

export const ownerReference = (owner: KubernetesObject) => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** `25%` of a total or a plain number. */
export function amountOf(value: number | string | undefined, total: number, round: 'up' | 'down'): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  const exact = (Number.parseFloat(value) / 100) * total;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

export const splitKey = (key: string): [namespace: string, name: string] => {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
};

export const keyOf = ({ metadata }: KubernetesObject) => `${metadata.namespace ?? ''}/${metadata.name}`;
