import type { Any } from './json-values.ts';
import { attributesOf, elementOf, modelOf, modelText, valueOf, type Attribute } from './models.ts';
import { apiVersionOf, type ResourceTable, type ServedResource } from './resources.ts';
import { modelShape, type Shape } from './shapes.ts';

type Schema = Record<string, Any>;
type Version = 'v2' | 'v3';

const PATCH_TYPES = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];
const WRITE_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation'];

/** The index of `/openapi/v3`: one document for each group and version. */
export function openApiIndex(table: ResourceTable) {
  const paths: Record<string, { serverRelativeURL: string }> = {};
  for (const served of table.all()) {
    const path = pathOf(served);
    // The hash lets clients keep the document; it changes with the served resources.
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${table.revision}` };
  }
  return { paths };
}

const pathOf = (served: Pick<ServedResource, 'group' | 'version'>) =>
  `${served.group === '' ? 'api' : 'apis'}/${apiVersionOf(served)}`;

/** `/openapi/v3/apis/apps/v1`; undefined when that group and version is not served. */
export function openApiV3(table: ResourceTable, path: string) {
  const resources = table.all().filter((each) => pathOf(each) === path);
  if (resources.length === 0) return undefined;
  const { paths, schemas } = describeResources('v3', resources);
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'v1.34.2' }, paths, components: { schemas } };
}

/** `/openapi/v2` as JSON: the whole API in one document. */
export function openApiV2(table: ResourceTable) {
  const { paths, schemas } = describeResources('v2', table.all());
  return { swagger: '2.0', info: { title: 'Kubernetes', version: 'v1.34.2' }, paths, definitions: schemas };
}

function describeResources(version: Version, resources: ServedResource[]) {
  const schemas: Record<string, Schema> = {};
  const paths: Record<string, Schema> = {};
  for (const served of resources) {
    const name = schemaOf(version, served, schemas);
    Object.assign(paths, pathsOf(version, served, name));
  }
  return { paths, schemas };
}

/** `V1PodSpec` -> `io.k8s.api.v1.PodSpec`: kubectl explain shows what comes after the last dot. */
function definitionName(model: string): string {
  const [, group = '', version = '', name = model] =
    /^([A-Z][a-z]+(?=V\d))?(V\d+(?:alpha\d+|beta\d+)?)(\w+)$/.exec(model) ?? [];
  return ['io.k8s.api', group.toLowerCase(), version.toLowerCase(), name].filter((each) => each !== '').join('.');
}

const refTo = (version: Version, name: string) => ({
  $ref: `${version === 'v3' ? '#/components/schemas' : '#/definitions'}/${name}`,
});

function schemaOf(version: Version, served: ServedResource, schemas: Record<string, Schema>): string {
  const { group, version: apiVersion, kind, custom } = served;
  const kinds = [{ group, version: apiVersion, kind }];
  const model = modelOf(served);
  if (custom === undefined && attributesOf(model) !== undefined) {
    addModel(version, model, schemas);
    const name = definitionName(model);
    schemas[name] = { ...schemas[name], 'x-kubernetes-group-version-kind': kinds };
    return name;
  }
  addModel(version, 'V1ObjectMeta', schemas);
  const name = `${group.split('.').toReversed().join('.')}.${apiVersion}.${kind}`;
  const own = custom?.schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const metadata = {
    description: "Standard object's metadata.",
    ...reference(version, definitionName('V1ObjectMeta')),
  };
  schemas[name] = {
    ...own,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      ...own.properties,
      metadata,
    },
    'x-kubernetes-group-version-kind': kinds,
  };
  return name;
}

/** Beside a `$ref` nothing else may stand in v3: hence allOf. */
const reference = (version: Version, name: string) =>
  version === 'v3' ? { allOf: [refTo(version, name)], default: {} } : refTo(version, name);

function addModel(version: Version, model: string, schemas: Record<string, Schema>): void {
  const name = definitionName(model);
  if (schemas[name] !== undefined) return;
  const schema: Schema = (schemas[name] = { type: 'object' });
  const text = modelText(model);
  const shape = modelShape(model);
  if (text.description !== '') schema['description'] = text.description;
  const attributes = [...(attributesOf(model)?.values() ?? [])];
  const required = attributes.filter((each) => text.fields.get(each.name)?.required).map((each) => each.name);
  if (required.length > 0) schema['required'] = required;
  if (shape.kind === 'object' && shape.atomic) schema['x-kubernetes-map-type'] = 'atomic';
  schema['properties'] = Object.fromEntries(
    attributes.map((attribute) => {
      const description = text.fields.get(attribute.name)?.description;
      const field = shape.kind === 'object' ? shape.field(attribute.name) : undefined;
      const property = { ...typeSchema(version, attribute.type, attribute, schemas), ...mergeExtensions(field) };
      return [attribute.name, description ? { description, ...property } : property];
    }),
  );
}

function typeSchema(version: Version, type: string, { format }: Attribute, schemas: Record<string, Schema>): Schema {
  const plain = { name: '', type: '', format: '' };
  const element = elementOf(type);
  if (element !== undefined) {
    const items = typeSchema(version, element, { ...plain, format }, schemas);
    return { type: 'array', items };
  }
  const value = valueOf(type);
  if (value !== undefined) return { type: 'object', additionalProperties: typeSchema(version, value, plain, schemas) };
  if (attributesOf(type) !== undefined) {
    addModel(version, type, schemas);
    return reference(version, definitionName(type));
  }
  if (type === 'IntOrString') {
    if (version === 'v2') return { type: 'string', format: 'int-or-string' };
    return { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
  }
  if (type === 'Date' || type === 'V1MicroTime') return { type: 'string', format: 'date-time' };
  if (type === 'number')
    return { type: format === 'double' ? 'number' : 'integer', ...(format === '' ? {} : { format }) };
  if (type === 'any' || type === 'object') return { type: 'object' };
  return { type, ...(format === '' ? {} : { format }) };
}

/** How kubectl computes a strategic merge patch, and clients understand apply. */
function mergeExtensions(shape: Shape | undefined): Schema {
  if (shape?.kind === 'object' && shape.retainKeys) return { 'x-kubernetes-patch-strategy': 'retainKeys' };
  if (shape?.kind === 'map' && shape.atomic) return { 'x-kubernetes-map-type': 'atomic' };
  if (shape?.kind !== 'list') return {};
  const retains = shape.element.kind === 'object' && shape.element.retainKeys;
  return {
    'x-kubernetes-list-type': shape.type,
    ...(shape.keys.length > 0 ? { 'x-kubernetes-list-map-keys': shape.keys } : {}),
    ...(shape.mergeKey === undefined ? {} : { 'x-kubernetes-patch-strategy': retains ? 'merge,retainKeys' : 'merge' }),
    ...(shape.mergeKey ? { 'x-kubernetes-patch-merge-key': shape.mergeKey } : {}),
  };
}

function pathsOf(version: Version, served: ServedResource, schema: string): Record<string, Schema> {
  const { group, version: apiVersion, kind, plural, namespaced } = served;
  const root = `/${pathOf(served)}`;
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const patchTypes = served.custom === undefined ? PATCH_TYPES : PATCH_TYPES.slice(0, 3);
  const operation = (action: string, bodyTypes: string[] = []) => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version: apiVersion, kind },
    ...(bodyTypes.length === 0 ? {} : writing(version, schema, bodyTypes)),
    responses: { '200': responseOf(version, schema) },
  });
  const inBody = ['application/json', 'application/yaml'];
  const item = {
    get: operation('get'),
    put: operation('put', inBody),
    patch: operation('patch', patchTypes),
    delete: { ...operation('delete'), parameters: [parameter(version, 'dryRun')] },
  };
  return {
    [collection]: { get: operation('list'), post: operation('post', inBody) },
    [`${collection}/{name}`]: item,
    ...(served.hasStatus
      ? { [`${collection}/{name}/status`]: { get: item.get, put: item.put, patch: item.patch } }
      : {}),
    ...(namespaced ? { [`${root}/${plural}`]: { get: operation('list') } } : {}),
  };
}

const parameter = (version: Version, name: string) => ({
  name,
  in: 'query',
  ...(version === 'v3' ? { schema: { type: 'string', uniqueItems: true } } : { type: 'string', uniqueItems: true }),
});

function writing(version: Version, schema: string, types: string[]): Schema {
  const parameters: Schema[] = WRITE_PARAMETERS.map((name) => parameter(version, name));
  if (version === 'v2') {
    return {
      consumes: types,
      parameters: [...parameters, { name: 'body', in: 'body', required: true, schema: refTo(version, schema) }],
    };
  }
  const content = Object.fromEntries(types.map((type) => [type, { schema: refTo(version, schema) }]));
  return { parameters, requestBody: { content, required: true } };
}

const responseOf = (version: Version, schema: string) =>
  version === 'v2'
    ? { description: 'OK', schema: refTo(version, schema) }
    : { description: 'OK', content: { 'application/json': { schema: refTo(version, schema) } } };
