import { InvalidArgumentError } from 'commander';

/** Parses an option that is a number, 0 or more. */
export function nonNegative(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number) || number < 0)
    throw new InvalidArgumentError('It must be a number, 0 or more.');
  return number;
}

/** A TCP port; 0 takes any free one. */
export function port(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number > 65_535) throw new InvalidArgumentError('It must be a port: 0 to 65535.');
  return number;
}
