import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';

/** Arguments of a verb come from the plan, so a wrong one is a bug of the route. @throws CutoverError Internal */
export function text(input: JsonObject, name: string): string {
  const value = input[name];
  if (typeof value !== 'string' || value === '') throw new CutoverError('Internal', `the step gives no ${name}`);
  return value;
}

export function number(input: JsonObject, name: string): number {
  const value = input[name];
  if (typeof value !== 'number') throw new CutoverError('Internal', `the step gives no number for ${name}`);
  return value;
}

export function texts(input: JsonObject, name: string): string[] {
  const value = input[name];
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
    throw new CutoverError('Internal', `the step gives no list of ${name}`);
  return value;
}

/** `1 node`, `3 nodes`. */
export const count = (many: number, one: string, more = `${one}s`): string => `${many} ${many === 1 ? one : more}`;

/** `a, b, c and 4 more`. */
export const some = (items: readonly string[], most = 3): string =>
  items.length <= most ? items.join(', ') : `${items.slice(0, most).join(', ')} and ${items.length - most} more`;
