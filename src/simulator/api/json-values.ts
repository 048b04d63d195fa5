/** Copying, freezing and comparing of plain JSON values: objects of the store are frozen, changed copies replace them. */

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- works on any JSON
export type Any = any;

/** Deep copy; members that are `undefined` are left out, as JSON does. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (value === null || typeof value !== 'object') return value;
  const copy: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) if (member !== undefined) copy[key] = clone(member);
  return copy as T;
}

export function freeze<T>(value: T): T {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) freeze(member);
  return Object.freeze(value);
}

export const isObject = (value: unknown): value is Record<string, Any> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** Deep equality; a member that is `undefined` counts as absent. */
export function equal(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((each, at) => equal(each, right[at]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  for (const key in left) if (!equal(left[key], right[key])) return false;
  for (const key in right) if (right[key] !== undefined && left[key] === undefined) return false;
  return true;
}
