import type { KubernetesObject } from '../../types.ts';
import { equal } from '../json-values.ts';
import { apiVersionOf } from '../resources.ts';
import { shapeOf } from '../shapes.ts';
import { badRequest, statusError } from '../status-error.ts';
import { compare, fieldPath, isWithin, mergeApplied, removeFields, withoutNulls } from './field-set.ts';
import { isSame, ownableFields, readManagers, writeManagers, type Manager, type Writer } from './managed-fields.ts';

interface Conflict {
  manager: Manager;
  path: string;
}

/**
 * Server-side apply: lays the configuration over the live object, takes away what this manager applied before and no
 * longer does, and keeps account of who owns what.
 * @returns the next object, its managedFields included
 * @throws StatusError 409 naming managers and fields when others own what would change and `force` is not set
 */
export function serverSideApply(
  live: KubernetesObject | undefined,
  config: KubernetesObject,
  writer: Writer,
  force: boolean,
): KubernetesObject {
  if (config.metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
  const shape = shapeOf(writer.served);
  const managers = readManagers(live);
  const others = managers.filter((each) => !isSame(each, writer, 'Apply'));
  const last = managers.find((each) => isSame(each, writer, 'Apply'));

  const wanted = withoutNulls(config);
  const applied = new Set(ownableFields(wanted, writer).keys());
  const base = live ?? ({ apiVersion: config.apiVersion, kind: config.kind, metadata: {} } as KubernetesObject);
  let next: KubernetesObject = mergeApplied(base, onlyReachable(wanted, writer), shape);

  const { changed } = compare(ownableFields(base, writer), ownableFields(next, writer));
  const conflicts = others.flatMap((manager) =>
    [...changed].filter((path) => manager.fields.has(path)).map((path) => ({ manager, path })),
  );
  const mayMove = writer.manager === 'kubectl' && live !== undefined && conflicts.length > 0;
  const moved = mayMove ? unchangedSinceClientApply(live, writer) : new Set<string>();
  if (!force && conflicts.some(({ path }) => !moved.has(path))) throw conflictError(conflicts);
  for (const { manager, path } of conflicts) manager.fields.delete(path);

  const isOwned = (path: string) => others.some(({ fields }) => fields.has(path)) || applied.has(path);
  const isUsed = (path: string) =>
    isOwned(path) ||
    [...applied].some((each) => isWithin(each, path)) ||
    others.some(({ fields }) => [...fields].some((each) => isWithin(each, path)));
  const dropped = [...(last?.fields ?? [])].filter((path) => !isUsed(path));
  if (dropped.length > 0) next = removeFields(next, shape, dropped, isOwned);

  const sameFields = last?.fields.size === applied.size && [...applied].every((path) => last.fields.has(path));
  const mine: Manager = {
    manager: writer.manager,
    operation: 'Apply',
    apiVersion: apiVersionOf(writer.served),
    subresource: writer.subresource,
    time: sameFields && changed.size === 0 ? last.time : writer.time,
    fields: applied,
  };
  return { ...next, metadata: { ...next.metadata, managedFields: writeManagers([...others, mine]) } };
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Fields that client-side apply wrote and nobody has changed since: `kubectl apply --server-side` takes them over
 * without a conflict (apimachinery, util/managedfields/internal/lastappliedmanager.go).
 */
function unchangedSinceClientApply(live: KubernetesObject, writer: Writer): Set<string> {
  const annotation = live.metadata.annotations?.[LAST_APPLIED];
  if (annotation === undefined) return new Set();
  try {
    const applied = ownableFields(JSON.parse(annotation) as KubernetesObject, writer);
    const now = ownableFields(live, writer);
    return new Set([...applied].filter(([path, value]) => equal(now.get(path), value)).map(([path]) => path));
  } catch {
    return new Set();
  }
}

/** What the configuration says outside of this (sub)resource is ignored. */
function onlyReachable(config: KubernetesObject, { served, subresource }: Writer): KubernetesObject {
  if (subresource === 'status') {
    const { name, namespace } = config.metadata;
    const metadata = namespace === undefined ? { name } : { name, namespace };
    return { apiVersion: config.apiVersion, kind: config.kind, metadata, status: config['status'] };
  }
  if (!served.hasStatus) return config;
  const { status: _, ...rest } = config;
  return rest as KubernetesObject;
}

/** Worded as apiserver/pkg/endpoints/.../fieldmanager/internal/conflict.go does. */
function conflictError(conflicts: Conflict[]) {
  const sorted = conflicts.toSorted((left, right) => nameOf(left.manager).localeCompare(nameOf(right.manager)));
  const causes = sorted.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${nameOf(manager)}`,
    field: fieldPath(path),
  }));
  const [only] = causes;
  if (causes.length === 1 && only !== undefined) {
    const message = `Apply failed with 1 conflict: ${only.message}: ${only.field}`;
    return statusError(409, 'Conflict', message, { causes });
  }
  const lines: string[] = [];
  for (const [at, { message, field }] of causes.entries()) {
    if (causes[at - 1]?.message !== message) lines.push(`${message.replace('conflict', 'conflicts')}:`);
    lines.push(`- ${field}`);
  }
  return statusError(409, 'Conflict', `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`, { causes });
}

function nameOf({ manager, operation, apiVersion, subresource, time }: Manager): string {
  const name = subresource === '' ? `"${manager}"` : `"${manager}" with subresource "${subresource}"`;
  if (operation === 'Apply') return name;
  return time === '' ? `${name} using ${apiVersion}` : `${name} using ${apiVersion} at ${time}`;
}
