import { nearest } from '../plan/nearest.ts';

/** For a name that does not exist: `did you mean X?` with the nearest one, else which there are, else that there are none. */
export function suggestion(name: string, known: readonly string[], kind: string): string {
  const near = nearest(name, known);
  if (near !== undefined) return `did you mean ${near}?`;
  if (known.length === 0) return `there is no ${kind} yet`;
  const shown = known.slice(0, 8).join(', ');
  return `there is ${shown}${known.length > 8 ? ` and ${known.length - 8} more` : ''}`;
}
