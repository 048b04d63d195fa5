import type { KubernetesObject } from '../types.ts';
import type { Any } from './json-values.ts';
import type { ApiObjectStore } from './object-store.ts';

/** One resource in one version, as discovery announces it and requests reach it. */
export interface ServedResource {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  /** Name in the store: `pods`, `daemonsets.apps`. */
  resource: string;
  /** Whether status is written through `/status` only. */
  hasStatus: boolean;
  /** Whether it can be scaled through `/scale`. */
  hasScale: boolean;
  /** Further subresources and the kind that they take: `eviction` -> `policy/v1 Eviction`. */
  subresources: Subresource[];
  /** Stored under another resource and shape: events.k8s.io. */
  storedAs?: string;
  /** For custom resources: what the CRD says about this version. */
  custom?: { schema: Any; columns: { name: string; type: string; jsonPath: string; priority?: number }[] };
}

export interface Subresource {
  name: string;
  kind: string;
  groupVersion?: string;
  verbs: string[];
}

export const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

const apiVersionOf = ({ group, version }: { group: string; version: string }) =>
  group === '' ? version : `${group}/${version}`;

type Options = Partial<Pick<ServedResource, 'shortNames' | 'categories' | 'hasStatus' | 'hasScale' | 'subresources'>>;

function define(groupVersion: string, kind: string, plural: string, namespaced: boolean, options: Options = {}) {
  const [group, version] = groupVersion.includes('/')
    ? (groupVersion.split('/') as [string, string])
    : ['', groupVersion];
  const served: ServedResource = {
    group,
    version,
    plural,
    singular: kind.toLowerCase(),
    kind,
    shortNames: [],
    categories: [],
    namespaced,
    resource: group === '' ? plural : `${plural}.${group}`,
    hasStatus: false,
    hasScale: false,
    subresources: [],
    ...options,
  };
  return served;
}

const all = ['all'];
const exec: Subresource[] = ['exec', 'attach', 'portforward'].map((name) => ({
  name,
  kind: `Pod${{ exec: 'Exec', attach: 'Attach', portforward: 'PortForward' }[name]}Options`,
  verbs: ['create', 'get'],
}));

const builtIn: ServedResource[] = [
  define('v1', 'ConfigMap', 'configmaps', true, { shortNames: ['cm'] }),
  define('v1', 'Endpoints', 'endpoints', true, { shortNames: ['ep'] }),
  define('v1', 'Event', 'events', true, { shortNames: ['ev'] }),
  define('v1', 'Namespace', 'namespaces', false, { shortNames: ['ns'], hasStatus: true }),
  define('v1', 'Node', 'nodes', false, { shortNames: ['no'], hasStatus: true }),
  define('v1', 'Pod', 'pods', true, {
    shortNames: ['po'],
    categories: all,
    hasStatus: true,
    subresources: [
      { name: 'binding', kind: 'Binding', verbs: ['create'] },
      { name: 'eviction', kind: 'Eviction', groupVersion: 'policy/v1', verbs: ['create'] },
      ...exec.slice(0, 1),
      { name: 'log', kind: 'Pod', verbs: ['get'] },
    ],
  }),
  define('v1', 'ReplicationController', 'replicationcontrollers', true, {
    shortNames: ['rc'],
    categories: all,
    hasStatus: true,
  }),
  define('v1', 'Secret', 'secrets', true),
  define('v1', 'ServiceAccount', 'serviceaccounts', true, { shortNames: ['sa'] }),
  define('v1', 'Service', 'services', true, { shortNames: ['svc'], categories: all, hasStatus: true }),
  define('apps/v1', 'ControllerRevision', 'controllerrevisions', true),
  define('apps/v1', 'DaemonSet', 'daemonsets', true, { shortNames: ['ds'], categories: all, hasStatus: true }),
  define('apps/v1', 'Deployment', 'deployments', true, {
    shortNames: ['deploy'],
    categories: all,
    hasStatus: true,
    hasScale: true,
  }),
  define('apps/v1', 'ReplicaSet', 'replicasets', true, {
    shortNames: ['rs'],
    categories: all,
    hasStatus: true,
    hasScale: true,
  }),
  define('apps/v1', 'StatefulSet', 'statefulsets', true, {
    shortNames: ['sts'],
    categories: all,
    hasStatus: true,
    hasScale: true,
  }),
  define('batch/v1', 'Job', 'jobs', true, { categories: all, hasStatus: true }),
  define('coordination.k8s.io/v1', 'Lease', 'leases', true),
  define('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', true),
  { ...define('events.k8s.io/v1', 'Event', 'events', true, { shortNames: ['ev'] }), storedAs: 'events' },
  define('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', true, { shortNames: ['netpol'] }),
  define('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', true, { shortNames: ['pdb'], hasStatus: true }),
  define('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings', false),
  define('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', false),
  define('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings', true),
  define('rbac.authorization.k8s.io/v1', 'Role', 'roles', true),
  define('scheduling.k8s.io/v1', 'PriorityClass', 'priorityclasses', false, { shortNames: ['pc'] }),
  define('admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 'mutatingwebhookconfigurations', false, {
    categories: ['api-extensions'],
  }),
  define(
    'admissionregistration.k8s.io/v1',
    'ValidatingWebhookConfiguration',
    'validatingwebhookconfigurations',
    false,
    {
      categories: ['api-extensions'],
    },
  ),
  define('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions', false, {
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    hasStatus: true,
  }),
];

const CRDS = 'customresourcedefinitions.apiextensions.k8s.io';

export interface ResourceTable {
  all(): ServedResource[];
  find(group: string, version: string, plural: string): ServedResource | undefined;
  byKind(apiVersion: string, kind: string): ServedResource | undefined;
  /** Changes whenever a CRD adds or removes a resource: discovery caches hang on it. */
  readonly revision: number;
  stop(): void;
}

/** The served resources: the built-in ones and those of the CustomResourceDefinitions that the store holds. */
export function createResourceTable(store: ApiObjectStore): ResourceTable {
  const custom = new Map<string, ServedResource[]>();
  const index = new Map<string, ServedResource>();
  let revision = 1;

  function reindex() {
    revision += 1;
    index.clear();
    for (const each of [...builtIn, ...[...custom.values()].flat()]) {
      index.set(`${each.group}/${each.version}/${each.plural}`, each);
    }
  }

  function serve(crd: KubernetesObject) {
    custom.set(crd.metadata.name, versionsOf(crd));
    reindex();
    establish(store, crd);
  }

  function withdraw(crd: KubernetesObject) {
    const { plural } = crd['spec'].names;
    const resource = `${plural}.${crd['spec'].group}`;
    custom.delete(crd.metadata.name);
    reindex();
    for (const { metadata } of store.list(resource)) store.remove(resource, metadata.namespace, metadata.name);
  }

  reindex();
  for (const crd of store.list(CRDS)) serve(crd);
  const stop = store.watch(CRDS, ({ type, object }) => (type === 'DELETED' ? withdraw(object) : serve(object)));

  return {
    all: () => [...index.values()],
    find: (group, version, plural) => index.get(`${group}/${version}/${plural}`),
    byKind: (apiVersion, kind) =>
      [...index.values()].find((each) => each.kind === kind && apiVersionOf(each) === apiVersion),
    get revision() {
      return revision;
    },
    stop,
  };
}

function versionsOf(crd: KubernetesObject): ServedResource[] {
  const { group, names, scope, versions = [] } = crd['spec'];
  return versions
    .filter((version: Any) => version.served)
    .map((version: Any) => ({
      ...define(`${group}/${version.name}`, names.kind, names.plural, scope === 'Namespaced', {
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        hasStatus: version.subresources?.status !== undefined,
      }),
      singular: names.singular || String(names.kind).toLowerCase(),
      custom: { schema: version.schema?.openAPIV3Schema, columns: version.additionalPrinterColumns ?? [] },
    }));
}

/** The conditions that `kubectl wait --for=condition=established` asks for. */
function establish(store: ApiObjectStore, crd: KubernetesObject) {
  const established = crd['status']?.conditions?.some((each: Any) => each.type === 'Established');
  if (established === true && crd['status'].acceptedNames?.plural === crd['spec'].names.plural) return;
  store.mutate(CRDS, undefined, crd.metadata.name, (next) => {
    const { names, versions } = next['spec'];
    names.singular ||= String(names.kind).toLowerCase();
    names.listKind ||= `${names.kind}List`;
    const lastTransitionTime = crd.metadata.creationTimestamp;
    next['spec'].conversion ??= { strategy: 'None' };
    next['status'] = {
      acceptedNames: names,
      storedVersions: versions.filter((each: Any) => each.storage).map((each: Any) => each.name),
      conditions: [
        {
          type: 'NamesAccepted',
          status: 'True',
          reason: 'NoConflicts',
          message: 'no conflicts found',
          lastTransitionTime,
        },
        {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
          lastTransitionTime,
        },
      ],
    };
  });
}

export { apiVersionOf };
