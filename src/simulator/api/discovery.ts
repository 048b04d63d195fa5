import { apiVersionOf, VERBS, type ResourceTable, type ServedResource } from './resources.ts';

export const KUBERNETES_VERSION = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.2',
  gitCommit: '8cc511e399b929453cd98ae65b419c3cc227ec79',
  gitTreeState: 'clean',
  buildDate: '2025-11-11T19:21:14Z',
  goVersion: 'go1.24.9',
  compiler: 'gc',
  platform: 'linux/amd64',
};

/** Groups that exist only to be posted to. */
const REVIEWS: ServedResource[] = [
  review('authorization.k8s.io', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', false),
  review('authorization.k8s.io', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', false),
  review('authorization.k8s.io', 'SubjectAccessReview', 'subjectaccessreviews', false),
  review('authorization.k8s.io', 'LocalSubjectAccessReview', 'localsubjectaccessreviews', true),
  review('authentication.k8s.io', 'SelfSubjectReview', 'selfsubjectreviews', false),
];

function review(group: string, kind: string, plural: string, namespaced: boolean): ServedResource {
  const resource = `${plural}.${group}`;
  const names = { shortNames: [], categories: [], singular: kind.toLowerCase() };
  return {
    group,
    version: 'v1',
    kind,
    plural,
    namespaced,
    resource,
    ...names,
    hasStatus: false,
    hasScale: false,
    subresources: [],
  };
}

const isReview = ({ kind }: ServedResource) => kind.endsWith('Review');
const verbsOf = (served: ServedResource) => (isReview(served) ? ['create'] : VERBS);
const everything = (table: ResourceTable) => [...table.all(), ...REVIEWS];

interface Group {
  name: string;
  versions: string[];
}

function groupsOf(table: ResourceTable): Group[] {
  const groups = new Map<string, Set<string>>();
  for (const { group, version } of everything(table)) {
    if (!groups.has(group)) groups.set(group, new Set());
    groups.get(group)!.add(version);
  }
  return [...groups].map(([name, versions]) => ({ name, versions: [...versions].toSorted(byVersion) }));
}

/** v2 before v1 before v1beta2 before v1alpha1. */
function byVersion(left: string, right: string): number {
  const rank = (version: string) => {
    const [, major = '0', stage, minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    return (stage === undefined ? 2e6 : stage === 'beta' ? 1e6 : 0) + Number(major) * 1000 + Number(minor);
  };
  return rank(right) - rank(left);
}

const subresourcesOf = (served: ServedResource) => [
  ...served.subresources,
  ...(served.hasScale
    ? [{ name: 'scale', kind: 'Scale', groupVersion: 'autoscaling/v1', verbs: ['get', 'patch', 'update'] }]
    : []),
  ...(served.hasStatus ? [{ name: 'status', kind: served.kind, verbs: ['get', 'patch', 'update'] }] : []),
];

/** `/api/v1` and `/apis/<group>/<version>`. */
export function resourceList(table: ResourceTable, group: string, version: string) {
  const resources = everything(table)
    .filter((each) => each.group === group && each.version === version)
    .flatMap((served) => [
      {
        name: served.plural,
        singularName: served.singular,
        namespaced: served.namespaced,
        kind: served.kind,
        verbs: verbsOf(served),
        ...(served.shortNames.length > 0 ? { shortNames: served.shortNames } : {}),
        ...(served.categories.length > 0 ? { categories: served.categories } : {}),
      },
      ...subresourcesOf(served).map(({ name, kind, groupVersion, verbs }) => ({
        name: `${served.plural}/${name}`,
        singularName: '',
        namespaced: served.namespaced,
        ...(groupVersion === undefined
          ? {}
          : { group: groupVersion.split('/')[0], version: groupVersion.split('/')[1] }),
        kind,
        verbs,
      })),
    ]);
  if (resources.length === 0) return undefined;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf({ group, version }), resources };
}

/** `/api` without aggregated discovery. */
export const coreVersions = (address: string) => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

const groupEntry = ({ name, versions }: Group) => {
  const entries = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: entries, preferredVersion: entries[0] };
};

/** `/apis` without aggregated discovery. */
export const groupList = (table: ResourceTable) => ({
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: groupsOf(table)
    .filter(({ name }) => name !== '')
    .map(groupEntry),
});

/** `/apis/<group>`. */
export function groupOf(table: ResourceTable, name: string) {
  const found = groupsOf(table).find((each) => each.name === name && name !== '');
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(found) };
}

/** Aggregated discovery (KEP-3352): one document for `/api`, one for `/apis`. */
export function aggregated(table: ResourceTable, core: boolean, version: string) {
  const items = groupsOf(table)
    .filter(({ name }) => (name === '') === core)
    .map((group) => ({
      metadata: { ...(group.name === '' ? {} : { name: group.name }), creationTimestamp: null },
      versions: group.versions.map((each) => ({
        version: each,
        freshness: 'Current',
        resources: everything(table)
          .filter((served) => served.group === group.name && served.version === each)
          .map(aggregatedResource),
      })),
    }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function aggregatedResource(served: ServedResource) {
  const { group, version, kind } = served;
  const subresources = subresourcesOf(served).map((each) => {
    const [subGroup = '', subVersion = ''] = each.groupVersion?.split('/') ?? [group, version];
    const responseKind = { group: subGroup, version: subVersion, kind: each.kind };
    return { subresource: each.name, responseKind, verbs: each.verbs };
  });
  return {
    resource: served.plural,
    responseKind: { group, version, kind },
    scope: served.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: served.singular,
    verbs: verbsOf(served),
    ...(served.shortNames.length > 0 ? { shortNames: served.shortNames } : {}),
    ...(served.categories.length > 0 ? { categories: served.categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  };
}
