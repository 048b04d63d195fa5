import type { KubernetesObject } from '../types.ts';
import { humanDuration } from './human-duration.ts';
import type { Any } from './json-values.ts';
import { podColumns } from './pod-columns.ts';

/** One column that `kubectl get` prints. `wide` ones come with `-o wide`. */
export interface Column {
  name: string;
  cell(object: KubernetesObject, now: number): string | number | boolean | null;
  type?: string;
  format?: string;
  wide?: boolean;
}

const NONE = '<none>';

const ago = (time: string | undefined, now: number) =>
  time === undefined || time === null ? '<unknown>' : humanDuration(now - Date.parse(time));

const column = (name: string, cell: Column['cell'], type = 'string'): Column => ({ name, cell, type });
const number = (name: string, cell: Column['cell']) => column(name, cell, 'integer');
const wide = (...columns: Column[]): Column[] => columns.map((each) => ({ ...each, wide: true }));

export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  cell: ({ metadata }) => metadata.name,
};
export const ageColumn = column('Age', ({ metadata }, now) => ago(metadata.creationTimestamp, now));
const createdColumn = column('Created At', ({ metadata }) => metadata.creationTimestamp ?? '', 'date');

const labelText = (labels: { [key: string]: string } | undefined) => {
  const text = Object.entries(labels ?? {})
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  return text === '' ? NONE : text;
};

function selectorText(selector: Any): string {
  if (selector === undefined) return NONE;
  const operators: { [operator: string]: (key: string, values: string[]) => string } = {
    In: (key, values) => `${key} in (${values.join(',')})`,
    NotIn: (key, values) => `${key} notin (${values.join(',')})`,
    Exists: (key) => key,
    DoesNotExist: (key) => `!${key}`,
  };
  const parts = [
    ...(selector.matchLabels === undefined ? [] : [labelText(selector.matchLabels)]),
    ...(selector.matchExpressions ?? []).map((each: Any) => operators[each.operator]?.(each.key, each.values ?? [])),
  ];
  return parts.length === 0 ? NONE : parts.join(',');
}

const containers = ({ spec }: KubernetesObject): Any[] => spec.template?.spec?.containers ?? [];
const templateColumns = wide(
  column('Containers', (object) =>
    containers(object)
      .map(({ name }) => name)
      .join(','),
  ),
  column('Images', (object) =>
    containers(object)
      .map(({ image }) => image)
      .join(','),
  ),
);
const selectorColumn = wide(column('Selector', ({ spec }) => selectorText(spec.selector)));

function nodeStatus({ spec, status }: KubernetesObject): string {
  const ready = status?.conditions?.find((each: Any) => each.type === 'Ready');
  const text = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return spec?.unschedulable === true ? `${text},SchedulingDisabled` : text;
}

function nodeRoles({ metadata }: KubernetesObject): string {
  const roles = Object.entries(metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith('node-role.kubernetes.io/')) return [key.slice('node-role.kubernetes.io/'.length)];
    return key === 'kubernetes.io/role' && value !== '' ? [value] : [];
  });
  return roles.length === 0
    ? NONE
    : roles
        .filter((each) => each !== '')
        .toSorted()
        .join(',');
}

const address = (type: string) => (node: KubernetesObject) =>
  node['status']?.addresses?.find((each: Any) => each.type === type)?.address ?? NONE;
const nodeInfo = (field: string) => (node: KubernetesObject) => node['status']?.nodeInfo?.[field] || '<unknown>';

function servicePorts({ spec }: KubernetesObject): string {
  const ports = (spec.ports ?? []).map((each: Any) =>
    each.nodePort ? `${each.port}:${each.nodePort}/${each.protocol}` : `${each.port}/${each.protocol}`,
  );
  return ports.length === 0 ? NONE : ports.join(',');
}

function externalAddresses({ spec, status }: KubernetesObject): string {
  if (spec.type === 'ExternalName') return spec.externalName;
  const given = [
    ...(status?.loadBalancer?.ingress ?? []).map((each: Any) => each.ip ?? each.hostname),
    ...(spec.externalIPs ?? []),
  ];
  if (given.length > 0) return given.join(',');
  return spec.type === 'LoadBalancer' ? '<pending>' : NONE;
}

const atMost = (items: string[], limit: number) =>
  items.length === 0
    ? NONE
    : items.length > limit
      ? `${items.slice(0, limit).join(',')} + ${items.length - limit} more...`
      : items.join(',');

function endpointAddresses({ subsets }: KubernetesObject): string {
  const found = (subsets ?? []).flatMap(({ addresses = [], ports = [] }: Any) =>
    ports.length === 0
      ? addresses.map(({ ip }: Any) => ip)
      : ports.flatMap(({ port }: Any) => addresses.map(({ ip }: Any) => `${ip}:${port}`)),
  );
  return atMost(found, 3);
}

const eventColumns: Column[] = [
  column('Last Seen', (event, now) => {
    const last = event['series']?.lastObservedTime ?? event['lastTimestamp'] ?? event['eventTime'];
    const first = event['firstTimestamp'] ?? event['eventTime'];
    const count = event['series']?.count ?? event['count'] ?? 1;
    return count > 1 ? `${ago(last, now)} (x${count} over ${ago(first, now)})` : ago(last, now);
  }),
  column('Type', (event) => event['type']),
  column('Reason', (event) => event['reason']),
  column('Object', ({ involvedObject }) => `${String(involvedObject.kind).toLowerCase()}/${involvedObject.name}`),
  ...wide(
    column('Subobject', ({ involvedObject }) => involvedObject.fieldPath ?? ''),
    column('Source', ({ source }) => [source?.component, source?.host].filter(Boolean).join(', ')),
  ),
  column('Message', (event) => String(event['message'] ?? '').trim()),
  ...wide(
    column('First Seen', (event, now) => ago(event['firstTimestamp'] ?? event['eventTime'], now)),
    number('Count', (event) => event['count'] ?? 1),
    nameColumn,
  ),
];

const roleRef = column('Role', ({ roleRef: role }) => `${role.kind}/${role.name}`);
const subjects = (kind: string) => (binding: KubernetesObject) =>
  (binding['subjects'] ?? [])
    .filter((each: Any) => each.kind === kind)
    .map((each: Any) => (each.namespace === undefined ? each.name : `${each.namespace}/${each.name}`))
    .join(', ');
const bindingColumns = [
  nameColumn,
  roleRef,
  ageColumn,
  ...wide(
    column('Users', subjects('User')),
    column('Groups', subjects('Group')),
    column('ServiceAccounts', subjects('ServiceAccount')),
  ),
];
const webhookColumns = [nameColumn, number('Webhooks', ({ webhooks }) => webhooks?.length ?? 0), ageColumn];

/** Per resource, as in the API server's own printers (pkg/printers/internalversion/printers.go). */
export const tableColumns: { [resource: string]: Column[] } = {
  pods: [nameColumn, ...podColumns.narrow, ageColumn, ...wide(...podColumns.wide)],
  nodes: [
    nameColumn,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    ageColumn,
    column('Version', ({ status }) => status?.nodeInfo?.kubeletVersion ?? ''),
    ...wide(
      column('Internal-IP', address('InternalIP')),
      column('External-IP', address('ExternalIP')),
      column('OS-Image', nodeInfo('osImage')),
      column('Kernel-Version', nodeInfo('kernelVersion')),
      column('Container-Runtime', nodeInfo('containerRuntimeVersion')),
    ),
  ],
  namespaces: [nameColumn, column('Status', ({ status }) => status?.phase ?? ''), ageColumn],
  services: [
    nameColumn,
    column('Type', ({ spec }) => spec.type),
    column('Cluster-IP', ({ spec }) => spec.clusterIP || NONE),
    column('External-IP', externalAddresses),
    column('Port(s)', servicePorts),
    ageColumn,
    ...wide(column('Selector', ({ spec }) => labelText(spec.selector))),
  ],
  endpoints: [nameColumn, column('Endpoints', endpointAddresses), ageColumn],
  events: eventColumns,
  configmaps: [
    nameColumn,
    number('Data', (map) => Object.keys({ ...map['data'], ...map['binaryData'] }).length),
    ageColumn,
  ],
  secrets: [
    nameColumn,
    column('Type', ({ type }) => type ?? ''),
    number('Data', ({ data }) => Object.keys(data ?? {}).length),
    ageColumn,
  ],
  serviceaccounts: [nameColumn, number('Secrets', ({ secrets }) => secrets?.length ?? 0), ageColumn],
  'deployments.apps': [
    nameColumn,
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`),
    number('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0),
    number('Available', ({ status }) => status?.availableReplicas ?? 0),
    ageColumn,
    ...templateColumns,
    ...selectorColumn,
  ],
  'replicasets.apps': [
    nameColumn,
    number('Desired', ({ spec }) => spec.replicas ?? 1),
    number('Current', ({ status }) => status?.replicas ?? 0),
    number('Ready', ({ status }) => status?.readyReplicas ?? 0),
    ageColumn,
    ...templateColumns,
    ...selectorColumn,
  ],
  'daemonsets.apps': [
    nameColumn,
    number('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0),
    number('Current', ({ status }) => status?.currentNumberScheduled ?? 0),
    number('Ready', ({ status }) => status?.numberReady ?? 0),
    number('Up-to-date', ({ status }) => status?.updatedNumberScheduled ?? 0),
    number('Available', ({ status }) => status?.numberAvailable ?? 0),
    column('Node Selector', ({ spec }) => labelText(spec.template?.spec?.nodeSelector)),
    ageColumn,
    ...templateColumns,
    ...selectorColumn,
  ],
  'statefulsets.apps': [
    nameColumn,
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`),
    ageColumn,
    ...templateColumns,
  ],
  'controllerrevisions.apps': [
    nameColumn,
    column('Controller', ({ metadata }) => {
      const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
      if (owner === undefined) return NONE;
      const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
      return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
    }),
    number('Revision', ({ revision }) => revision),
    ageColumn,
  ],
  'jobs.batch': [
    nameColumn,
    column('Status', ({ status }) => (status?.succeeded ? 'Complete' : 'Running')),
    column('Completions', ({ spec, status }) => `${status?.succeeded ?? 0}/${spec.completions ?? 1}`),
    column('Duration', ({ status }, now) => (status?.startTime ? ago(status.startTime, now) : '')),
    ageColumn,
    ...templateColumns,
    ...selectorColumn,
  ],
  'poddisruptionbudgets.policy': [
    nameColumn,
    column('Min Available', ({ spec }) => String(spec.minAvailable ?? 'N/A')),
    column('Max Unavailable', ({ spec }) => String(spec.maxUnavailable ?? 'N/A')),
    number('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed ?? 0),
    ageColumn,
  ],
  'leases.coordination.k8s.io': [nameColumn, column('Holder', ({ spec }) => spec?.holderIdentity ?? ''), ageColumn],
  'endpointslices.discovery.k8s.io': [
    nameColumn,
    column('AddressType', ({ addressType }) => addressType),
    column('Ports', ({ ports }) =>
      atMost(
        (ports ?? []).map(({ port }: Any) => String(port ?? '*')),
        3,
      ),
    ),
    column('Endpoints', ({ endpoints }) =>
      atMost(
        (endpoints ?? []).flatMap(({ addresses }: Any) => addresses ?? []),
        3,
      ),
    ),
    ageColumn,
  ],
  'networkpolicies.networking.k8s.io': [
    nameColumn,
    column('Pod-Selector', ({ spec }) => selectorText(spec?.podSelector)),
    ageColumn,
  ],
  'priorityclasses.scheduling.k8s.io': [
    nameColumn,
    number('Value', ({ value }) => value),
    column('Global-Default', ({ globalDefault }) => globalDefault === true, 'boolean'),
    ageColumn,
    column('PreemptionPolicy', ({ preemptionPolicy }) => preemptionPolicy ?? 'PreemptLowerPriority'),
  ],
  'roles.rbac.authorization.k8s.io': [nameColumn, createdColumn],
  'clusterroles.rbac.authorization.k8s.io': [nameColumn, createdColumn],
  'rolebindings.rbac.authorization.k8s.io': bindingColumns,
  'clusterrolebindings.rbac.authorization.k8s.io': bindingColumns,
  'customresourcedefinitions.apiextensions.k8s.io': [nameColumn, createdColumn],
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': webhookColumns,
  'validatingwebhookconfigurations.admissionregistration.k8s.io': webhookColumns,
};
