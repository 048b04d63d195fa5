import type { KubernetesObject } from '../kubernetes/types.ts';

/**
 * Calico 3.28 reads its own kinds from `crd.projectcalico.org/v1`; `projectcalico.org/v3` is the same objects through
 * Calico's API server, and from 3.30 on also their own definitions.
 */
const calicoVersions = ['crd.projectcalico.org/v1', 'projectcalico.org/v3'];

export const isCalico = ({ apiVersion }: Pick<KubernetesObject, 'apiVersion'>): boolean =>
  calicoVersions.includes(apiVersion);

const ofCalico = [
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'NetworkSet',
  'GlobalNetworkSet',
  'Tier',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
];

/** Every kind of policy that a cluster may have, whoever enforces it. */
export const policyKinds = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  ...calicoVersions.flatMap((apiVersion) => ofCalico.map((kind) => ({ apiVersion, kind }))),
  { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy' },
  { apiVersion: 'cilium.io/v2', kind: 'CiliumClusterwideNetworkPolicy' },
  { apiVersion: 'policy.networking.k8s.io/v1alpha1', kind: 'AdminNetworkPolicy' },
  { apiVersion: 'policy.networking.k8s.io/v1alpha1', kind: 'BaselineAdminNetworkPolicy' },
  { apiVersion: 'policy.networking.k8s.io/v1alpha2', kind: 'ClusterNetworkPolicy' },
] as const;

/** Kinds that the Calico of the bundle does not act on, and why (§7.22-23 of the migration facts). */
export const foreignKinds: { [kind: string]: string } = {
  CiliumNetworkPolicy: 'only Cilium enforces it',
  CiliumClusterwideNetworkPolicy: 'only Cilium enforces it',
  AdminNetworkPolicy: 'Calico enforces it from 3.29 to 3.31 only',
  BaselineAdminNetworkPolicy: 'Calico enforces it up to 3.31 only, if at all',
  ClusterNetworkPolicy: 'Calico enforces it from 3.32 on',
};

/** `NetworkPolicy shop/web`, with the vendor where two have a kind of that name. */
export function nameOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  const vendor = isCalico({ apiVersion }) && kind === 'NetworkPolicy' ? 'Calico ' : '';
  const owner = metadata.namespace === undefined ? '' : `${metadata.namespace}/`;
  return `${vendor}${kind} ${owner}${metadata.name}`;
}
