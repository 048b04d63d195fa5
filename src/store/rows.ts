import { CutoverError } from '../errors.ts';
import type { AuditRecord } from './types.ts';

/** A record as it is stored. */
export interface Row {
  seq: number;
  /** Canonical JSON of the record without its hash. */
  body: string;
  hash: string;
  mac: string;
}

/** @throws CutoverError RecordBroken */
export function recordOf({ seq, body, hash }: Omit<Row, 'mac'>): AuditRecord {
  try {
    return { ...(JSON.parse(body) as Omit<AuditRecord, 'hash'>), hash };
  } catch (error) {
    throw new CutoverError(
      'RecordBroken',
      `record ${seq} was changed after it was written: it cannot be read any more`,
      { cause: error },
    );
  }
}
