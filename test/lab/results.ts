import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditRecord } from '../../src/store/types.ts';
import type { CheckRow } from '../checks/target.ts';
import { kept } from './settings.ts';
import type { FlipLoss } from './traffic/flips.ts';
import type { Judged } from './traffic/judge.ts';

export interface StepTime {
  node: string;
  step: string;
  /** `forward` or `back`. */
  direction: string;
  seconds: number;
}

/** What one scenario measured; everything a scenario has no figure for is left out. */
export interface Result {
  scenario: string;
  /** When it ended, RFC 3339. */
  at?: string;
  /** From launch to the end of the migration. */
  seconds?: number;
  nodeSeconds?: Record<string, number>;
  steps?: StepTime[];
  judged?: Judged;
  /** What of the other network was found on nodes at the end. */
  residue?: string[];
  /** What each check said of each state of the cluster. */
  checks?: CheckRow[];
  /** What each cluster-wide flip cost. */
  flips?: FlipLoss[];
  /** Anything else, in one sentence each. */
  notes?: string[];
}

const folder = join(kept.folder, 'results');

/** Keeps what a scenario measured, as JSON, for the tables and for whoever compares. */
export function keepResult(result: Result): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${result.scenario}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

/** Keeps the whole record of a scenario: what was done when, beside what its traffic saw. */
export function keepRecords(scenario: string, records: readonly AuditRecord[]): void {
  mkdirSync(join(folder, 'records'), { recursive: true });
  writeFileSync(join(folder, 'records', `${scenario}.json`), `${JSON.stringify(records, null, 2)}\n`);
}

/** Results that were written since then (ms since the epoch), in the order of their names. */
export function readResults(since = 0): Result[] {
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .filter((name) => statSync(join(folder, name)).mtimeMs >= since)
    .toSorted()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Result);
}

export const resultsFolder = folder;
