import type { KubernetesObject } from '../../types.ts';
import type { Any } from '../json-values.ts';
import { apiVersionOf, type ServedResource } from '../resources.ts';
import { shapeOf } from '../shapes.ts';
import { compare, fieldsOf, fromFieldsV1, isWithin, toFieldsV1, type Fields } from './field-set.ts';

/** Who wrote which fields of an object. */
export interface Manager {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource: string;
  time: string;
  fields: Set<string>;
}

export interface Writer {
  served: ServedResource;
  manager: string;
  subresource: string;
  /** RFC 3339, in seconds. */
  time: string;
}

/** Fields that belong to nobody. */
const systemFields = ['apiVersion', 'kind'].map((each) => `f:${each}`);
const systemMetadata = [
  'name',
  'namespace',
  'uid',
  'selfLink',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'managedFields',
  'resourceVersion',
].map((each) => `f:metadata\nf:${each}`);
const unowned = new Set([...systemFields, ...systemMetadata, 'f:metadata']);

/** The fields that a writer to this (sub)resource can own. */
export function ownableFields(
  object: KubernetesObject,
  { served, subresource }: Pick<Writer, 'served' | 'subresource'>,
): Fields {
  const { managedFields: _, ...metadata } = object.metadata;
  const fields = fieldsOf({ ...object, metadata }, shapeOf(served));
  for (const path of fields.keys()) {
    const inStatus = path === 'f:status' || isWithin(path, 'f:status');
    const reachable = subresource === 'status' ? inStatus : !(served.hasStatus && inStatus);
    if (!reachable || unowned.has(path)) fields.delete(path);
  }
  return fields;
}

export function readManagers(object: KubernetesObject | undefined): Manager[] {
  const entries = (object?.metadata['managedFields'] as Any[] | undefined) ?? [];
  return entries
    .filter((entry) => entry?.operation !== undefined)
    .map((entry) => ({
      manager: entry.manager ?? '',
      operation: entry.operation,
      apiVersion: entry.apiVersion ?? '',
      subresource: entry.subresource ?? '',
      time: entry.time ?? '',
      fields: fromFieldsV1(entry.fieldsV1),
    }));
}

export function writeManagers(managers: Manager[]): Any[] {
  return managers
    .filter(({ fields }) => fields.size > 0)
    .toSorted(
      (left, right) =>
        left.operation.localeCompare(right.operation) ||
        left.time.localeCompare(right.time) ||
        left.manager.localeCompare(right.manager),
    )
    .map(({ manager, operation, apiVersion, subresource, time, fields }) => ({
      manager,
      operation,
      apiVersion,
      ...(time === '' ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: toFieldsV1(fields),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

export const isSame = (left: Manager, { manager, subresource }: Writer, operation: Manager['operation']) =>
  left.manager === manager && left.subresource === subresource && left.operation === operation;

/** managedFields after a create, update or patch: what it changed is its own now, and nobody else's. */
export function trackUpdate(previous: KubernetesObject | undefined, next: KubernetesObject, writer: Writer): Any[] {
  const given = next.metadata['managedFields'] as Any[] | undefined;
  const isReset = given !== undefined && given.every((entry) => Object.keys(entry).length === 0);
  if (isReset && previous !== undefined && previous.metadata['managedFields'] !== undefined) return [];
  const managers = readManagers(given === undefined || isReset ? previous : next);
  const before = previous === undefined ? new Map<string, unknown>() : ownableFields(previous, writer);
  const { changed, removed } = compare(before, ownableFields(next, writer));
  if (changed.size === 0 && removed.size === 0) return writeManagers(managers);
  let own = managers.find((each) => isSame(each, writer, 'Update'));
  for (const { fields } of managers) {
    for (const path of changed) fields.delete(path);
    for (const path of removed) fields.delete(path);
  }
  if (changed.size > 0 && own === undefined) {
    const { manager, subresource, time, served } = writer;
    const apiVersion = apiVersionOf(served);
    managers.push((own = { manager, operation: 'Update', apiVersion, subresource, time, fields: new Set() }));
  }
  if (own !== undefined) {
    for (const path of changed) own.fields.add(path);
    own.time = writer.time;
  }
  return writeManagers(managers);
}
