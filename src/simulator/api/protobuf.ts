import { readFileSync } from 'node:fs';
import { Reader } from 'protobufjs/minimal.js';
import type { Any } from './json-values.ts';
import { badRequest } from './status-error.ts';

/**
 * Reads objects that clients send as application/vnd.kubernetes.protobuf: kubectl does since 1.32 wherever it uses
 * typed clients (`kubectl create …`, `auth can-i`). Answers are JSON, which the same clients accept.
 */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');

interface Field {
  name: string;
  type: string;
  repeated: boolean;
  map: boolean;
}

/** Go writes fields that are no pointers even when they are zero; JSON leaves them out. These are pointers. */
const POINTERS = new Set(
  `replicas gracePeriodSeconds terminationGracePeriodSeconds revisionHistoryLimit partition backoffLimit completions
  parallelism activeDeadlineSeconds ttlSecondsAfterFinished tolerationSeconds runAsUser runAsGroup fsGroup defaultMode
  mode progressDeadlineSeconds value automountServiceAccountToken enableServiceLinks controller blockOwnerDeletion
  optional allowPrivilegeEscalation runAsNonRoot immutable readOnlyRootFilesystem privileged suspend orphanDependents
  shareProcessNamespace setHostnameAsFQDN ready serving terminating`.split(/\s+/),
);
/** Embedded structs: their fields stand in the outer object. */
const INLINE = new Set(['ephemeralContainerCommon', 'handler', 'localObjectReference', 'volumeSource']);

let messages: Map<string, Map<number, Field>> | undefined;

/** Field numbers, one message a line; made by scripts/protobuf-fields.mjs. */
function messageTable() {
  if (messages !== undefined) return messages;
  messages = new Map();
  const text = readFileSync(new URL('protobuf-fields.txt', import.meta.url), 'utf8');
  for (const line of text.trim().split('\n')) {
    const [message = '', ...fields] = line.split(' ');
    const entries = fields.map((each): [number, Field] => {
      const [number = '', name = '', type = ''] = each.split(':');
      const plain = type.replace(/\[\]$|\{\}$/, '');
      return [Number(number), { name, type: plain, repeated: type.endsWith('[]'), map: type.endsWith('{}') }];
    });
    messages.set(message, new Map(entries));
  }
  return messages;
}

/** @throws StatusError 400 when it is no Kubernetes object or of a kind whose fields are not known */
export function decodeProtobuf(bytes: Buffer): Any {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw badRequest('provided data does not appear to be a protobuf message');
  try {
    return decodeUnknown(bytes.subarray(MAGIC.length));
  } catch (error) {
    throw badRequest(`error decoding the protobuf request: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** runtime.Unknown: which kind it is, and the object itself as bytes. */
function decodeUnknown(bytes: Uint8Array): Any {
  const typeMeta = { apiVersion: '', kind: '' };
  let raw: Uint8Array = new Uint8Array();
  eachField(bytes, (number, reader) => {
    if (number === 2) raw = reader.bytes();
    else if (number === 1) {
      eachField(reader.bytes(), (part, inner) => {
        typeMeta[part === 1 ? 'apiVersion' : 'kind'] = inner.string();
      });
    } else return false;
    return true;
  });
  const message = messageOf(typeMeta);
  if (!messageTable().has(message)) throw new Error(`no kind ${typeMeta.kind} is known in ${typeMeta.apiVersion}`);
  return { ...typeMeta, ...decode(message, raw) };
}

function messageOf({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  if (kind === 'DeleteOptions') return 'meta.v1.DeleteOptions';
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return `${group.split('.')[0]}.${version}.${kind}`;
}

/** Calls for each field; one that is not taken (`false`) is skipped. */
function eachField(bytes: Uint8Array, take: (number: number, reader: Reader, wire: number) => boolean | void) {
  const reader = Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (take(tag >>> 3, reader, tag & 7) === false) reader.skipType(tag & 7);
  }
}

function decode(message: string, bytes: Uint8Array): Any {
  const special = specials[message];
  if (special !== undefined) return special(bytes);
  const fields = messageTable().get(message);
  const result: Record<string, Any> = {};
  eachField(bytes, (number, reader) => {
    const field = fields?.get(number);
    if (field === undefined) return false;
    const { name, type, repeated, map } = field;
    if (map) {
      const [key, value] = mapEntry(type, reader.bytes());
      (result[name] ??= {})[key] = value;
      return true;
    }
    const value = scalar(type, reader);
    if (repeated) (result[name] ??= []).push(value);
    else if (INLINE.has(name)) Object.assign(result, value);
    else if (!isLeftOut(name, value)) result[name] = value;
    return true;
  });
  return result;
}

const isLeftOut = (name: string, value: unknown) =>
  value === '' || value === undefined || ((value === 0 || value === false) && !POINTERS.has(name));

function mapEntry(type: string, bytes: Uint8Array): [string, unknown] {
  let key = '';
  let value: unknown = type === 'string' || type === 'bytes' ? '' : {};
  eachField(bytes, (number, reader) => {
    if (number === 1) key = reader.string();
    else value = scalar(type, reader);
  });
  return [key, value];
}

function scalar(type: string, reader: Reader): unknown {
  if (type === 'string') return reader.string();
  if (type === 'bytes') return Buffer.from(reader.bytes()).toString('base64');
  if (type === 'bool') return reader.bool();
  if (type === 'double') return reader.double();
  if (type === 'int32') return reader.int32();
  if (type === 'int64') return Number(reader.int64());
  return decode(type, reader.bytes());
}

const numbers = (bytes: Uint8Array) => {
  const found = new Map<number, Any>();
  eachField(bytes, (number, reader, wire) => {
    found.set(number, wire === 0 ? Number(reader.int64()) : Buffer.from(reader.bytes()));
  });
  return found;
};

function time(bytes: Uint8Array): string | undefined {
  const parts = numbers(bytes);
  const seconds = parts.get(1) ?? 0;
  // The zero time of Go is a time that is not set.
  if (bytes.length === 0 || seconds <= 0) return undefined;
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Messages whose JSON is no object of their fields. */
const specials: { [message: string]: (bytes: Uint8Array) => unknown } = {
  'meta.v1.Time': time,
  'meta.v1.MicroTime': (bytes) =>
    time(bytes)?.replace('Z', `.${String(Math.trunc((numbers(bytes).get(2) ?? 0) / 1000)).padStart(6, '0')}Z`),
  'meta.v1.FieldsV1': (bytes) => JSON.parse(String(numbers(bytes).get(1) ?? '{}')),
  'resource.Quantity': (bytes) => String(numbers(bytes).get(1) ?? '0'),
  'intstr.IntOrString': (bytes) => {
    const parts = numbers(bytes);
    return parts.get(1) === 1 ? String(parts.get(3) ?? '') : (parts.get(2) ?? 0);
  },
  'runtime.RawExtension': (bytes) => JSON.parse(String(numbers(bytes).get(1) ?? 'null')),
};
