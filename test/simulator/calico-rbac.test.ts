import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { createObjectStore } from '../../src/simulator/api/object-store.ts';
import { forbiddenAtStart } from '../../src/simulator/cni/calico-rbac.ts';
import type { KubernetesObject } from '../../src/simulator/types.ts';
import { realClock } from '../conformance/target.ts';

const manifest = readFileSync(new URL('../../plans/manifests/calico/20-rbac.yaml', import.meta.url), 'utf8');
const pod = (serviceAccountName: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'calico-node-x', namespace: 'kube-system' },
  spec: { serviceAccountName },
});

/** A store with the roles of a manifest. */
function storeWith(yaml: string) {
  const store = createObjectStore(realClock);
  for (const object of parseAllDocuments(yaml).map((document) => document.toJS() as KubernetesObject)) {
    const resource = { ClusterRole: 'clusterroles', ClusterRoleBinding: 'clusterrolebindings' }[object.kind];
    if (resource) store.create(`${resource}.rbac.authorization.k8s.io`, object);
  }
  return store;
}

it("lets Calico's agent start with the roles of the ready manifests", () => {
  expect(forbiddenAtStart(storeWith(manifest), pod('calico-node'))).toBeUndefined();
});

it('does not let it start without leave to look for an older version, as on the lab', () => {
  const store = storeWith(manifest.replace(/^.*- globalfelixconfigs\n/m, ''));

  expect(forbiddenAtStart(store, pod('calico-node'))).toContain('cannot get resource "globalfelixconfigs"');
});

it('asks nothing of a pod without an account of its own', () => {
  expect(forbiddenAtStart(storeWith(''), pod('default'))).toBeUndefined();
});
