import { isObject, type Any } from './json-values.ts';
import { attributesOf, elementOf, modelOf, valueOf } from './models.ts';
import type { ServedResource } from './resources.ts';

/**
 * What a value is, as far as merging has to know. `any` has no schema: its objects merge by key and its lists are
 * replaced whole.
 */
export type Shape =
  | { kind: 'leaf' | 'any' }
  | { kind: 'object'; atomic: boolean; retainKeys: boolean; field(name: string): Shape | undefined }
  | { kind: 'map'; atomic: boolean; element: Shape }
  | {
      kind: 'list';
      element: Shape;
      /** x-kubernetes-list-type: how server-side apply sees it. */
      type: 'atomic' | 'set' | 'map';
      /** x-kubernetes-list-map-keys. */
      keys: string[];
      /** x-kubernetes-patch-merge-key: how a strategic merge patch sees it; `` merges plain values as a set. */
      mergeKey: string | undefined;
    };

export const ANY: Shape = { kind: 'any' };
const LEAF: Shape = { kind: 'leaf' };

interface ListRule {
  keys?: string[];
  mergeKey?: string;
  set?: boolean;
}

const by = (key: string): ListRule => ({ keys: [key], mergeKey: key });
const set: ListRule = { set: true, mergeKey: '' };
const container: { [field: string]: ListRule } = {
  env: by('name'),
  ports: { keys: ['containerPort', 'protocol'], mergeKey: 'containerPort' },
  volumeMounts: by('mountPath'),
  volumeDevices: by('devicePath'),
};

/** Lists that are not simply replaced: listType, listMapKey and patchMergeKey of staging/src/k8s.io/api. */
const listRules: { [model: string]: { [field: string]: ListRule } } = {
  V1ObjectMeta: { ownerReferences: by('uid'), finalizers: set },
  V1PodSpec: {
    containers: by('name'),
    initContainers: by('name'),
    ephemeralContainers: by('name'),
    volumes: by('name'),
    imagePullSecrets: by('name'),
    hostAliases: by('ip'),
    resourceClaims: by('name'),
    schedulingGates: by('name'),
    topologySpreadConstraints: { keys: ['topologyKey', 'whenUnsatisfiable'], mergeKey: 'topologyKey' },
  },
  V1Container: container,
  V1EphemeralContainer: container,
  V1PodStatus: { podIPs: by('ip'), hostIPs: { mergeKey: 'ip' } },
  V1NodeSpec: { podCIDRs: set },
  V1NodeStatus: { addresses: by('type') },
  V1ServiceSpec: { ports: { keys: ['port', 'protocol'], mergeKey: 'port' } },
  V1ServiceAccount: { secrets: by('name') },
  V1MutatingWebhookConfiguration: { webhooks: by('name') },
  V1ValidatingWebhookConfiguration: { webhooks: by('name') },
  V1MutatingWebhook: { matchConditions: by('name') },
  V1ValidatingWebhook: { matchConditions: by('name') },
  V1ResourceRequirements: { claims: { keys: ['name'] } },
};

/** Objects that belong to one manager as a whole (x-kubernetes-map-type: atomic). */
const atomicModels = new Set([
  'V1LabelSelector',
  'V1ObjectReference',
  'V1LocalObjectReference',
  'V1TypedLocalObjectReference',
  'V1SecretReference',
  'V1SecretKeySelector',
  'V1ConfigMapKeySelector',
  'V1ObjectFieldSelector',
  'V1ResourceFieldSelector',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1RoleRef',
  'V1OwnerReference',
  'V1JSONSchemaProps',
]);
const atomicMaps = new Set(['V1PodSpec.nodeSelector', 'V1ServiceSpec.selector']);
/** Fields whose strategic merge drops members that the patch does not retain. */
const retainKeys = new Set(['V1DeploymentSpec.strategy', 'V1Volume']);

const shapes = new Map<string, Shape>();

/** The shape of a Kubernetes type by the name of its model. */
export function modelShape(model: string): Shape {
  const known = shapes.get(model);
  if (known !== undefined) return known;
  const attributes = attributesOf(model);
  if (attributes === undefined) return ['any', 'object'].includes(model) ? ANY : LEAF;
  const fields = new Map<string, Shape>();
  const shape: Shape = {
    kind: 'object',
    atomic: atomicModels.has(model),
    retainKeys: retainKeys.has(model),
    field(name) {
      const attribute = attributes.get(name);
      if (attribute === undefined) return undefined;
      let found = fields.get(name);
      if (found === undefined) fields.set(name, (found = attributeShape(model, name, attribute.type)));
      return found;
    },
  };
  shapes.set(model, shape);
  return shape;
}

function attributeShape(model: string, field: string, type: string): Shape {
  const element = elementOf(type);
  if (element !== undefined) {
    const conditions = field === 'conditions' && model.endsWith('Status');
    const rule = listRules[model]?.[field] ?? (conditions ? by('type') : {});
    const listType = rule.set === true ? 'set' : rule.keys === undefined ? 'atomic' : 'map';
    const element_ = modelShape(element);
    return { kind: 'list', element: element_, type: listType, keys: rule.keys ?? [], mergeKey: rule.mergeKey };
  }
  const value = valueOf(type);
  if (value !== undefined) {
    const item = elementOf(value);
    const inner: Shape =
      item === undefined
        ? modelShape(value)
        : { kind: 'list', element: modelShape(item), type: 'atomic', keys: [], mergeKey: undefined };
    return { kind: 'map', atomic: atomicMaps.has(`${model}.${field}`), element: inner };
  }
  const shape = modelShape(type);
  return shape.kind === 'object' && retainKeys.has(`${model}.${field}`) ? { ...shape, retainKeys: true } : shape;
}

/** The shape of a custom resource's schema (structural OpenAPI v3). */
export function schemaShape(schema: Any): Shape {
  if (!isObject(schema)) return ANY;
  if (schema['type'] === 'array') {
    return {
      kind: 'list',
      element: schemaShape(schema['items']),
      type: schema['x-kubernetes-list-type'] ?? 'atomic',
      keys: schema['x-kubernetes-list-map-keys'] ?? [],
      mergeKey: undefined,
    };
  }
  const atomic = schema['x-kubernetes-map-type'] === 'atomic';
  if (isObject(schema['properties'])) {
    const { properties } = schema;
    const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
    return {
      kind: 'object',
      atomic,
      retainKeys: false,
      field: (name) => (properties[name] === undefined ? (open ? ANY : undefined) : schemaShape(properties[name])),
    };
  }
  if (isObject(schema['additionalProperties'])) {
    return { kind: 'map', atomic, element: schemaShape(schema['additionalProperties']) };
  }
  return schema['type'] === 'object' || schema['type'] === undefined ? ANY : LEAF;
}

/** The shape of the objects of a resource. */
export function shapeOf({ group, version, kind, custom }: ServedResource): Shape {
  if (custom === undefined) return modelShape(modelOf({ group, version, kind }));
  const own = schemaShape(custom.schema);
  const field = (name: string) => {
    if (name === 'metadata') return modelShape('V1ObjectMeta');
    if (name === 'apiVersion' || name === 'kind') return LEAF;
    return own.kind === 'object' ? own.field(name) : ANY;
  };
  return { kind: 'object', atomic: false, retainKeys: false, field };
}

export function childShape(shape: Shape, name: string): Shape {
  if (shape.kind === 'object') return shape.field(name) ?? ANY;
  if (shape.kind === 'map') return shape.element;
  return ANY;
}

/** Paths of fields that the type does not have: `spec.template.spec.contaners`. */
export function unknownFields(shape: Shape, value: unknown, path = ''): string[] {
  if (shape.kind === 'list' && Array.isArray(value)) {
    return value.flatMap((each, at) => unknownFields(shape.element, each, `${path}[${at}]`));
  }
  if (!isObject(value) || (shape.kind !== 'object' && shape.kind !== 'map')) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const at = path === '' ? key : `${path}.${key}`;
    if (shape.kind === 'map') return unknownFields(shape.element, member, at);
    const inner = shape.field(key);
    return inner === undefined ? [at] : unknownFields(inner, member, at);
  });
}
