import { Option } from 'commander';

/** `-m`: which migration; gates and nodes are named within one. */
export const migrationOption = (): Option =>
  new Option('-m, --migration <id>', 'id of the migration, or the start of it').default('latest');

export const reasonOption = (description = 'why; it goes into the audit log'): Option =>
  new Option('--reason <text>', description).default('', 'none');

/** Where nobody may act without saying why. */
export const requiredReason = (): Option =>
  new Option('--reason <text>', 'why; it goes into the audit log').makeOptionMandatory();

/** A path of the API; the parts are names, encoded here. */
export const path = (...parts: string[]): string => `/v1/${parts.map(encodeURIComponent).join('/')}`;
