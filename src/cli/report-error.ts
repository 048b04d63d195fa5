import { CutoverError, errorTable } from '../errors.ts';
import type { Style } from './style.ts';

/** `error: <sentence>` and, on the next line, what to do about it. */
export function errorLines(error: unknown, style: Style): string[] {
  const known =
    error instanceof CutoverError
      ? error
      : new CutoverError('Internal', error instanceof Error ? error.message : String(error));
  return [`${style.red('error:')} ${known.message}`, `  ${known.remedy}`];
}

export const exitCodeOf = (error: unknown): number =>
  error instanceof CutoverError ? errorTable[error.type].exitCode : 1;
