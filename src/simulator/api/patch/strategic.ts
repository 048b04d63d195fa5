import { clone, equal, isObject, type Any } from '../json-values.ts';
import { childShape, type Shape } from '../shapes.ts';
import { badRequest } from '../status-error.ts';

const DELETE_FROM = '$deleteFromPrimitiveList/';
const SET_ORDER = '$setElementOrder/';

/**
 * A strategic merge patch: lists with a merge key merge by it, others are replaced. Knows the directives `$patch`
 * (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList` and `$setElementOrder`.
 */
export function strategicMerge(target: unknown, patch: unknown, shape: Shape): Any {
  if (!isObject(patch)) return clone(patch);
  const { $patch: directive, $retainKeys: retained, ...members } = patch;
  if (directive === 'replace') return clone(members);
  if (directive === 'delete') return {};
  const result: Record<string, Any> = isObject(target) ? { ...target } : {};
  if (Array.isArray(retained)) {
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key];
  }
  for (const [key, value] of Object.entries(members)) {
    if (key.startsWith(SET_ORDER)) continue;
    if (key.startsWith(DELETE_FROM)) {
      const field = key.slice(DELETE_FROM.length);
      const gone: unknown[] = Array.isArray(value) ? value : [];
      if (Array.isArray(result[field])) result[field] = result[field].filter((each: unknown) => !gone.includes(each));
      continue;
    }
    if (value === null) {
      delete result[key];
      continue;
    }
    result[key] = mergeMember(result[key], value, childShape(shape, key));
  }
  for (const [key, order] of Object.entries(members)) {
    if (!key.startsWith(SET_ORDER)) continue;
    const field = key.slice(SET_ORDER.length);
    if (Array.isArray(result[field]) && Array.isArray(order)) {
      result[field] = inOrder(result[field], order, childShape(shape, field));
    }
  }
  return result;
}

function mergeMember(current: unknown, value: unknown, shape: Shape): Any {
  if (!Array.isArray(value)) return strategicMerge(current, value, shape);
  const list: unknown[] = Array.isArray(current) ? current : [];
  if (shape.kind !== 'list' || shape.mergeKey === undefined) return withoutDirectives(value);
  if (shape.mergeKey === '') return [...list, ...value.filter((each) => !list.some((own) => equal(own, each)))];
  return mergeList(list, value, shape.mergeKey, shape.element);
}

/** `- $patch: replace` in a list replaces all of it. */
const withoutDirectives = (list: unknown[]) =>
  clone(list.filter((each) => !isObject(each) || each['$patch'] !== 'replace'));

function mergeList(current: unknown[], patch: unknown[], key: string, element: Shape): unknown[] {
  if (patch.some((each) => isObject(each) && each['$patch'] === 'replace')) return withoutDirectives(patch);
  const result = [...current];
  for (const item of patch) {
    if (!isObject(item)) continue;
    const { $patch: directive, ...members } = item;
    if (members[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const at = result.findIndex((each) => isObject(each) && each[key] === members[key]);
    if (directive === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at < 0) result.push(strategicMerge({}, members, element));
    else result[at] = strategicMerge(result[at], members, element);
  }
  return result;
}

/** Listed elements in the given order; others keep their place after the element that they followed. */
function inOrder(list: unknown[], order: unknown[], shape: Shape): unknown[] {
  const key = shape.kind === 'list' ? shape.mergeKey : undefined;
  const keyOf = (item: unknown) => (key && isObject(item) ? item[key] : item);
  const rank = new Map(order.map((item, at) => [keyOf(item), at]));
  let last = -1;
  const ranked = list.map((item, at) => {
    const own = rank.get(keyOf(item));
    if (own !== undefined) last = own;
    return { item, at, rank: own ?? last };
  });
  return ranked.toSorted((left, right) => left.rank - right.rank || left.at - right.at).map(({ item }) => item);
}
