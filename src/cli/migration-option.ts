import { Option } from 'commander';
import { CutoverError } from '../errors.ts';

/** `-m`: which migration; gates and nodes are named within one. */
export const migrationOption = (): Option =>
  new Option('-m, --migration <id>', 'id of the migration, or the start of it').default('latest');

export const reasonOption = (description = 'why; it goes into the audit log'): Option =>
  new Option('--reason <text>', description).default('', 'none');

/** Where nobody may act without saying why; a dry run is no act. */
export const requiredReason = (): Option => reasonOption('why; required, it goes into the audit log');

/** @throws CutoverError Usage when there is none */
export function needReason(reason: string, what: string): void {
  if (reason.trim() === '')
    throw new CutoverError('Usage', `${what} needs a reason`, { remedy: 'say it with --reason' });
}

/** A path of the API; the parts are names, encoded here. */
export const path = (...parts: string[]): string => `/v1/${parts.map(encodeURIComponent).join('/')}`;
