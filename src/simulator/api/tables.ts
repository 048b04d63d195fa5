import type { KubernetesObject } from '../types.ts';
import { humanDuration } from './human-duration.ts';
import { isObject, type Any } from './json-values.ts';
import { apiVersionOf, type ServedResource } from './resources.ts';
import { ageColumn, nameColumn, tableColumns, type Column } from './table-columns.ts';

/** What goes out: the objects themselves, or what the Accept header asks for instead. */
export type Format = 'object' | 'table' | 'metadata';

const columnsOf = (served: ServedResource): Column[] =>
  served.custom === undefined
    ? (tableColumns[served.storedAs ?? served.resource] ?? [nameColumn, ageColumn])
    : customColumns(served.custom.columns);

const definitionOf = ({ name, type = 'string', format = '', wide = false }: Column) => ({
  name,
  type,
  format,
  description: '',
  priority: wide ? 1 : 0,
});

/** A meta.k8s.io/v1 Table. `include` says how much of the object rides along: `Metadata` unless asked otherwise. */
export function tableOf(
  served: ServedResource,
  objects: KubernetesObject[],
  metadata: object,
  options: { now: number; include?: string; definitions?: boolean },
) {
  const columns = columnsOf(served);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: options.definitions === false ? null : columns.map(definitionOf),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, options.now) ?? null),
      ...rideAlong(object, options.include),
    })),
  };
}

function rideAlong(object: KubernetesObject, include: string | undefined) {
  if (include === 'None') return {};
  return { object: include === 'Object' ? object : metadataOf(object) };
}

export const metadataOf = (object: KubernetesObject) => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata,
});

/** additionalPrinterColumns of a CRD; without any: name and age, as the API server does. */
function customColumns(columns: NonNullable<ServedResource['custom']>['columns']): Column[] {
  if (columns.length === 0) return [nameColumn, ageColumn];
  return [
    nameColumn,
    ...columns.map(({ name, type, jsonPath, priority = 0 }) => ({
      name,
      type: type === 'date' ? 'string' : type,
      wide: priority > 0,
      cell: (object: KubernetesObject, now: number) => {
        const value = atJsonPath(object, jsonPath);
        if (value === undefined || value === null) return null;
        if (type === 'date') return humanDuration(now - Date.parse(value));
        return typeof value === 'object' ? JSON.stringify(value) : value;
      },
    })),
  ];
}

/** The simple paths that CRDs use: `.spec.a`, `.status.conditions[?(@.type=="Ready")].status`, `[0]`. */
function atJsonPath(object: KubernetesObject, path: string): Any {
  const steps = path.match(/\[\?\(@\.[^)]*\)\]|\[[^\]]*\]|[^.[\]]+(?:\\\.[^.[\]]+)*/g) ?? [];
  return steps.reduce((value: Any, step) => {
    if (value === undefined || value === null) return undefined;
    const filter = /^\[\?\(@\.([\w.]+)\s*==\s*["']([^"']*)["']\)\]$/.exec(step);
    if (filter !== null) return value.find?.((each: Any) => isObject(each) && String(each[filter[1]!]) === filter[2]);
    const index = /^\[(\d+)\]$/.exec(step);
    return index === null ? value[step.replaceAll('\\.', '.')] : value[Number(index[1])];
  }, object);
}

/** `Pod` -> `PodList`, with the items as they go over the wire. */
export const listKind = (served: ServedResource) => ({ kind: `${served.kind}List`, apiVersion: apiVersionOf(served) });
