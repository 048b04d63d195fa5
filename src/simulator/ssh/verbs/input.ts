import { failure } from './model.ts';

/** Input fields, as strict as lib.sh takes them. */
const value = (input: object, name: string): unknown => {
  const found = (input as Record<string, unknown>)[name];
  if (found === undefined) throw failure('BadInput', `the input has no "${name}"`);
  return found;
};

export function plainName(input: object, name: string): string {
  const text = String(value(input, name));
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(text)) throw failure('BadInput', `"${name}" is not a plain name: ${text}`);
  return text;
}

export function number(input: object, name: string): number {
  const text = String(value(input, name));
  if (!/^(0|[1-9]\d{0,17})$/.test(text)) throw failure('BadInput', `"${name}" is not a whole number: ${text}`);
  return Number(text);
}

export function portList(input: object, name: string): number[] {
  const text = String(value(input, name));
  if (!/^[0-9,]*$/.test(text)) throw failure('BadInput', `"${name}" is not a list of port numbers: ${text}`);
  return text.split(',').filter(Boolean).map(Number);
}
