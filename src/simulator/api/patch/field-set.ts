import { clone, equal, isObject, type Any } from '../json-values.ts';
import { childShape, type Shape } from '../shapes.ts';

/**
 * Fields of an object as structured-merge-diff names them: a path is its elements (`f:spec`, `k:{"name":"web"}`,
 * `v:"x"`) joined by newlines. The value is what stands there; `ITEM` for the presence of a list item itself.
 */
export type Fields = Map<string, unknown>;

export const ITEM = Symbol('list item');
const SEPARATOR = '\n';

export const join = (path: string, element: string) => (path === '' ? element : `${path}${SEPARATOR}${element}`);
export const elementsOf = (path: string) => path.split(SEPARATOR);
export const isWithin = (path: string, parent: string) => path.startsWith(`${parent}${SEPARATOR}`);

/** `k:{"containerPort":80,"protocol":"TCP"}`: the protocol has a default, so it may be left out. */
export function itemKey(item: unknown, keys: string[]): string {
  const values: Record<string, unknown> = {};
  for (const key of keys.toSorted()) {
    const value = isObject(item) ? item[key] : undefined;
    if (value !== undefined) values[key] = value;
    else if (key === 'protocol') values[key] = 'TCP';
  }
  return `k:${JSON.stringify(values)}`;
}

/** Every field of a value. */
export function fieldsOf(value: unknown, shape: Shape, path = '', into: Fields = new Map()): Fields {
  if (isObject(value) && isGranular(shape) && Object.keys(value).length > 0) {
    for (const [key, member] of Object.entries(value)) {
      if (member !== undefined && member !== null)
        fieldsOf(member, childShape(shape, key), join(path, `f:${key}`), into);
    }
  } else if (Array.isArray(value) && shape.kind === 'list' && shape.type !== 'atomic' && value.length > 0) {
    for (const item of value) {
      if (shape.type === 'set') into.set(join(path, `v:${JSON.stringify(item)}`), item);
      else {
        const at = join(path, itemKey(item, shape.keys));
        // An owner reference belongs to one manager as a whole; a container is shared field by field.
        into.set(at, isGranular(shape.element) ? ITEM : item);
        if (isGranular(shape.element)) fieldsOf(item, shape.element, at, into);
      }
    }
  } else if (path !== '') into.set(path, value);
  return into;
}

const isGranular = (shape: Shape) =>
  shape.kind === 'any' || ((shape.kind === 'object' || shape.kind === 'map') && !shape.atomic);

/** Fields that are new or different in `next`, and those that are gone. */
export function compare(previous: Fields, next: Fields): { changed: Set<string>; removed: Set<string> } {
  const changed = new Set<string>();
  const removed = new Set<string>();
  for (const [path, value] of next) {
    if (!previous.has(path) || !equal(previous.get(path), value)) changed.add(path);
  }
  for (const path of previous.keys()) if (!next.has(path)) removed.add(path);
  return { changed, removed };
}

/** The wire form: nested objects, `.` for the item itself. */
export function toFieldsV1(paths: Iterable<string>): Record<string, Any> {
  const root: Record<string, Any> = {};
  const members = [...paths].toSorted();
  for (const path of members) {
    let node = root;
    for (const element of elementsOf(path)) node = node[element] ??= {};
    node['.'] = {};
  }
  dropLeafDots(root);
  return root;
}

/** A leaf is `{}`: the dot stands only beside deeper fields. */
function dropLeafDots(node: Record<string, Any>) {
  if (Object.keys(node).length === 1 && node['.'] !== undefined) delete node['.'];
  for (const [key, child] of Object.entries(node)) if (key !== '.') dropLeafDots(child);
}

export function fromFieldsV1(fields: unknown, path = '', into: Set<string> = new Set()): Set<string> {
  if (!isObject(fields)) return into;
  const keys = Object.keys(fields);
  if (path !== '' && (keys.length === 0 || keys.includes('.'))) into.add(path);
  for (const key of keys) if (key !== '.') fromFieldsV1(fields[key], join(path, key), into);
  return into;
}

/** `.spec.template.spec.containers[name="web"].image`: how a conflict names a field. */
export function fieldPath(path: string): string {
  return elementsOf(path)
    .map((element) => {
      if (element.startsWith('f:')) return `.${element.slice(2)}`;
      if (element.startsWith('v:')) return `[=${element.slice(2)}]`;
      const keys = Object.entries(JSON.parse(element.slice(2)) as Record<string, unknown>);
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}

/** The applied configuration laid over the live object. */
export function mergeApplied(live: unknown, applied: unknown, shape: Shape): Any {
  if (isObject(applied) && isObject(live) && isGranular(shape)) {
    const result: Record<string, Any> = { ...live };
    for (const [key, value] of Object.entries(applied)) {
      if (value !== null && value !== undefined) result[key] = mergeApplied(live[key], value, childShape(shape, key));
    }
    return result;
  }
  if (Array.isArray(applied) && Array.isArray(live) && shape.kind === 'list' && shape.type !== 'atomic') {
    if (shape.type === 'set') return [...live, ...applied.filter((each) => !live.some((own) => equal(own, each)))];
    const result: unknown[] = [...live];
    const places = new Map(live.map((item, at) => [itemKey(item, shape.keys), at]));
    for (const item of applied) {
      const at = places.get(itemKey(item, shape.keys));
      if (at === undefined) result.push(withoutNulls(item));
      else result[at] = mergeApplied(live[at], item, shape.element);
    }
    return result;
  }
  return withoutNulls(applied);
}

export function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T;
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null && member !== undefined)
      .map(([key, member]) => [key, withoutNulls(member)]),
  ) as T;
}

function parentsOf(path: string): string[] {
  const elements = elementsOf(path);
  return elements.slice(1).map((_, at) => elements.slice(0, at + 1).join(SEPARATOR));
}

/** A copy without these fields; objects that become empty by it go too, unless `keep` says no. */
export function removeFields(value: Any, shape: Shape, paths: Iterable<string>, keep: (path: string) => boolean): Any {
  const result = clone(value);
  const all = new Set(paths);
  // What goes with its list item is not taken out of it first: without its key the item could not be found.
  const topmost = [...all].filter((path) => !parentsOf(path).some((parent) => all.has(parent)));
  const deepestFirst = topmost.toSorted((left, right) => elementsOf(right).length - elementsOf(left).length);
  for (const path of deepestFirst) removeAt(result, shape, elementsOf(path), '', keep);
  return result;
}

function removeAt(
  target: Any,
  shape: Shape,
  [element = '', ...rest]: string[],
  path: string,
  keep: (path: string) => boolean,
) {
  const here = join(path, element);
  if (element.startsWith('f:')) {
    const key = element.slice(2);
    if (!isObject(target) || target[key] === undefined) return;
    if (rest.length === 0) {
      delete target[key];
      return;
    }
    removeAt(target[key], childShape(shape, key), rest, here, keep);
    const left: unknown = target[key];
    if (left !== null && typeof left === 'object' && Object.keys(left).length === 0 && !keep(here)) delete target[key];
    return;
  }
  if (!Array.isArray(target) || shape.kind !== 'list') return;
  const at = target.findIndex((item) =>
    element.startsWith('k:') ? itemKey(item, shape.keys) === element : `v:${JSON.stringify(item)}` === element,
  );
  if (at < 0) return;
  if (rest.length === 0) target.splice(at, 1);
  else removeAt(target[at], shape.element, rest, here, keep);
}
