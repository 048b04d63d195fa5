import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { isObject, type Any } from './json-values.ts';
import { apiVersionOf, type ResourceTable, type ServedResource } from './resources.ts';
import { decodeProtobuf, PROTOBUF } from './protobuf.ts';
import { badRequest, statusError } from './status-error.ts';
import type { Format } from './tables.ts';

const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** A request for a resource, taken apart as the API server's RequestInfo. */
export interface ApiRequest {
  method: string;
  /** get, list, watch, create, update, patch, delete, deletecollection */
  verb: string;
  url: URL;
  served: ServedResource;
  namespace?: string;
  name?: string;
  subresource?: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  /** Parsed body; undefined without one. */
  body?: Any;
  format: Format;
  dryRun: boolean;
  fieldManager: string;
}

interface Target {
  served: ServedResource;
  namespace?: string;
  name?: string;
  subresource?: string;
}

/** Which resource a path means; undefined when nothing of that name is served. */
export function targetOf(table: ResourceTable, path: string): Target | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return undefined;
  const [group = '', version = ''] = core ? ['', parts[1]] : [parts[1], parts[2]];
  let rest = parts.slice(core ? 2 : 3);
  let namespace: string | undefined;
  // /namespaces/x/pods is about pods in x; /namespaces/x and /namespaces/x/status are about the namespace.
  if (rest[0] === 'namespaces' && rest.length > 2 && !['status', 'finalize'].includes(rest[2]!)) {
    namespace = rest[1];
    rest = rest.slice(2);
  }
  const [plural = '', name, subresource] = rest;
  const served = table.find(group, version, plural);
  if (served === undefined || rest.length > 3) return undefined;
  if (namespace !== undefined && !served.namespaced) return undefined;
  return {
    served,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

export function requestOf(target: Target, message: IncomingMessage, url: URL, body: Any): ApiRequest {
  const { method = 'GET', headers } = message;
  const query = url.searchParams;
  const dryRun = query.getAll('dryRun').length > 0 || (isObject(body) && (body['dryRun'] ?? []).length > 0);
  return {
    method,
    verb: verbOf(method, target, query),
    url,
    ...target,
    query,
    headers,
    ...(body === undefined ? {} : { body }),
    format: formatOf(headers.accept ?? ''),
    dryRun: dryRun && query.get('dryRun') !== '',
    // The API server takes the manager's name from the User-Agent when none is given.
    fieldManager: query.get('fieldManager') || (headers['user-agent'] ?? 'unknown').split('/')[0]!,
  };
}

function verbOf(method: string, { name }: Target, query: URLSearchParams): string {
  if (method === 'GET' || method === 'HEAD') {
    if (isTrue(query.get('watch'))) return 'watch';
    return name === undefined ? 'list' : 'get';
  }
  if (method === 'POST') return 'create';
  if (method === 'PUT') return 'update';
  if (method === 'PATCH') return 'patch';
  if (method === 'DELETE') return name === undefined ? 'deletecollection' : 'delete';
  return method.toLowerCase();
}

export const isTrue = (value: string | null) => value === 'true' || value === '1';

/** The first of the accepted media types that can be served. @throws StatusError 406 */
function formatOf(accept: string): Format {
  if (accept === '') return 'object';
  for (const type of accept.split(',').map((each) => each.trim())) {
    const [media = '', ...parameters] = type.split(';').map((each) => each.trim());
    if (!['application/json', 'application/*', '*/*', 'text/plain', 'application/yaml'].includes(media)) continue;
    const as = parameters.find((each) => each.startsWith('as='))?.slice(3);
    if (as === undefined) return 'object';
    const current = parameters.includes('v=v1');
    if (as === 'Table' && current) return 'table';
    if ((as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') && current) return 'metadata';
  }
  throw statusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io',
  );
}

export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw statusError(413, 'RequestEntityTooLarge', `limit is ${MAX_BODY_BYTES}: the request is too large`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws StatusError 400 for what does not parse, 415 for other formats */
export function parseBody(bytes: Buffer, contentType = 'application/json'): Any {
  if (bytes.length === 0) return undefined;
  const media = contentType.split(';')[0]!.trim();
  if (media === PROTOBUF) return decodeProtobuf(bytes);
  if (!/json|yaml/.test(media)) {
    throw statusError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (got ${media})`,
    );
  }
  try {
    return media.includes('yaml') ? parseYamlOrJson(bytes.toString()) : JSON.parse(bytes.toString());
  } catch (error) {
    throw badRequest(`error decoding the request: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** JSON is YAML, and clients send it as such; a YAML parser takes far longer for it. */
function parseYamlOrJson(text: string): Any {
  try {
    return JSON.parse(text);
  } catch {
    return parseYaml(text);
  }
}

export const requestKind = ({ served }: ApiRequest) => ({ apiVersion: apiVersionOf(served), kind: served.kind });
