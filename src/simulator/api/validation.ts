import type { KubernetesObject } from '../types.ts';
import { equal, isObject, type Any } from './json-values.ts';
import type { ServedResource } from './resources.ts';
import { invalid, type FieldError } from './status-error.ts';

const LABEL = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const SERVICE_NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const DNS_LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const required = (field: string, why = ''): FieldError => ({
  field,
  reason: 'FieldValueRequired',
  message: `Required value${why === '' ? '' : `: ${why}`}`,
});
const wrong = (field: string, value: unknown, why: string): FieldError => ({
  field,
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
});

/** The mistakes that people make most. @throws StatusError 422 with one cause for each field */
export function validate(served: ServedResource, next: KubernetesObject, previous?: KubernetesObject): void {
  const errors = [
    ...metadataErrors(served, next),
    ...(served.custom === undefined ? (kindErrors[served.resource]?.(next) ?? []) : []),
    ...(previous === undefined ? [] : changeErrors(served, next, previous)),
  ];
  if (errors.length > 0) throw invalid(served.kind, served.group, next.metadata.name ?? '', errors);
}

function metadataErrors({ resource }: ServedResource, { metadata }: KubernetesObject): FieldError[] {
  const errors: FieldError[] = [];
  const { name } = metadata;
  // RBAC allows any path segment as a name: system:node.
  const free = resource.endsWith('rbac.authorization.k8s.io');
  if (!name) errors.push(required('metadata.name', 'name or generateName is required'));
  else if (free ? /[/%]|^\.\.?$/.test(name) : name.length > 253 || !SUBDOMAIN.test(name)) {
    errors.push(wrong('metadata.name', name, SUBDOMAIN_RULE));
  } else if (['services', 'namespaces'].includes(resource) && !DNS_LABEL.test(name)) {
    errors.push(wrong('metadata.name', name, DNS_LABEL_RULE));
  } else if (resource === 'services' && !SERVICE_NAME.test(name)) {
    errors.push(wrong('metadata.name', name, 'a DNS-1035 label must start with an alphabetic character'));
  }
  errors.push(...labelErrors('metadata.labels', metadata.labels));
  for (const key of Object.keys(metadata.annotations ?? {})) {
    errors.push(...keyErrors('metadata.annotations', key.toLowerCase()));
  }
  return errors;
}

function labelErrors(field: string, labels: { [key: string]: string } | undefined): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...keyErrors(field, key),
    ...(value === '' || (LABEL.test(value) && value.length <= 63) ? [] : [wrong(field, value, LABEL_RULE)]),
  ]);
}

function keyErrors(field: string, key: string): FieldError[] {
  const [name = '', prefix] = key.split('/').toReversed();
  if (!LABEL.test(name) || name.length > 63 || key.split('/').length > 2) return [wrong(field, key, KEY_RULE)];
  if (prefix !== undefined && !SUBDOMAIN.test(prefix)) return [wrong(field, key, `prefix part ${SUBDOMAIN_RULE}`)];
  return [];
}

function podErrors(field: string, spec: Any): FieldError[] {
  if (!isObject(spec) || !Array.isArray(spec['containers']) || spec['containers'].length === 0) {
    return [required(`${field}.containers`)];
  }
  const names = new Set<string>();
  return spec['containers'].flatMap((container: Any, at: number) => {
    const path = `${field}.containers[${at}]`;
    const errors: FieldError[] = [];
    if (!container.name) errors.push(required(`${path}.name`));
    else if (!DNS_LABEL.test(container.name)) errors.push(wrong(`${path}.name`, container.name, DNS_LABEL_RULE));
    if (names.has(container.name)) {
      const message = `Duplicate value: ${JSON.stringify(container.name)}`;
      errors.push({ field: `${path}.name`, reason: 'FieldValueDuplicate', message });
    }
    names.add(container.name);
    if (!container.image) errors.push(required(`${path}.image`));
    return errors;
  });
}

function workloadErrors({ spec }: KubernetesObject): FieldError[] {
  const errors: FieldError[] = [];
  const selector = spec?.selector;
  const labels = spec?.template?.metadata?.labels ?? {};
  if (!isObject(selector) || Object.keys(selector).length === 0) errors.push(required('spec.selector'));
  else if (Object.entries(selector['matchLabels'] ?? {}).some(([key, value]) => labels[key] !== value)) {
    errors.push(wrong('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  }
  errors.push(...labelErrors('spec.template.metadata.labels', labels));
  if (typeof spec?.replicas === 'number' && spec.replicas < 0) {
    errors.push(wrong('spec.replicas', spec.replicas, 'must be greater than or equal to 0'));
  }
  return [...errors, ...podErrors('spec.template.spec', spec?.template?.spec)];
}

const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

const kindErrors: { [resource: string]: (object: KubernetesObject) => FieldError[] } = {
  pods: ({ spec }) => podErrors('spec', spec),
  'deployments.apps': workloadErrors,
  'daemonsets.apps': workloadErrors,
  'replicasets.apps': workloadErrors,
  'statefulsets.apps': workloadErrors,
  services: ({ spec }) => {
    const needsPorts = spec?.type !== 'ExternalName' && spec?.clusterIP !== 'None';
    const errors = needsPorts && !(spec?.ports?.length > 0) ? [required('spec.ports')] : [];
    return [
      ...errors,
      ...(spec?.ports ?? []).flatMap((each: Any, at: number) =>
        Number.isInteger(each.port) && each.port > 0 && each.port < 65536
          ? []
          : [wrong(`spec.ports[${at}].port`, each.port ?? 0, 'must be between 1 and 65535, inclusive')],
      ),
    ];
  },
  nodes: ({ spec }) =>
    (spec?.taints ?? []).flatMap((taint: Any, at: number) =>
      TAINT_EFFECTS.includes(taint.effect)
        ? []
        : [
            {
              // As the real server says it, although taints are in the spec.
              field: `metadata.taints[${at}].effect`,
              reason: 'FieldValueNotSupported',
              message: `Unsupported value: ${JSON.stringify(taint.effect ?? '')}: supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
            },
          ],
    ),
  'poddisruptionbudgets.policy': ({ spec }) =>
    spec?.minAvailable !== undefined && spec?.maxUnavailable !== undefined
      ? [wrong('spec', spec, 'minAvailable and maxUnavailable cannot be both set')]
      : [],
  'customresourcedefinitions.apiextensions.k8s.io': ({ metadata, spec }) => {
    const name = `${spec?.names?.plural}.${spec?.group}`;
    if (!spec?.names?.plural || !spec?.names?.kind) return [required('spec.names.plural')];
    if (metadata.name !== name) {
      return [wrong('metadata.name', metadata.name, `must be spec.names.plural+"."+spec.group`)];
    }
    return (spec.versions?.length ?? 0) === 0 ? [required('spec.versions')] : [];
  },
};

const immutable = (field: string, value: unknown) => [wrong(field, value, 'field is immutable')];

function changeErrors({ resource }: ServedResource, next: KubernetesObject, previous: KubernetesObject): FieldError[] {
  const workload = ['deployments.apps', 'daemonsets.apps', 'replicasets.apps', 'statefulsets.apps'].includes(resource);
  if (workload && !equal(next['spec'].selector, previous['spec'].selector)) {
    return immutable('spec.selector', next['spec'].selector);
  }
  if (resource === 'pods') return podChangeErrors(next, previous);
  if (resource === 'services') {
    const had = previous['spec'].clusterIP;
    const has = next['spec'].clusterIP;
    if (had && has && had !== has && next['spec'].type !== 'ExternalName') return immutable('spec.clusterIPs[0]', has);
  }
  if (['configmaps', 'secrets'].includes(resource) && previous['immutable'] === true) {
    const same = equal(next['data'], previous['data']) && equal(next['binaryData'], previous['binaryData']);
    if (!same || next['immutable'] !== true) {
      const message = 'Forbidden: field is immutable when `immutable` is set';
      return [{ field: 'data', reason: 'FieldValueForbidden', message }];
    }
  }
  return [];
}

/** Of a pod's spec only images, the deadline, added tolerations and a shorter grace may change. */
function podChangeErrors(next: KubernetesObject, previous: KubernetesObject): FieldError[] {
  const fixed = ({ spec }: KubernetesObject) => ({
    ...spec,
    activeDeadlineSeconds: undefined,
    terminationGracePeriodSeconds: undefined,
    tolerations: undefined,
    containers: (spec.containers ?? []).map((each: Any) => ({ ...each, image: undefined })),
    initContainers: (spec.initContainers ?? []).map((each: Any) => ({ ...each, image: undefined })),
  });
  if (equal(fixed(next), fixed(previous))) return [];
  const message =
    'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';
  return [{ field: 'spec', reason: 'FieldValueForbidden', message }];
}
