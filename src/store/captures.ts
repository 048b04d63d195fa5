import type { Capture } from '../probe/capture/types.ts';
import type { AuditRecord } from './types.ts';

export interface StageCaptures {
  before?: Capture;
  after?: Capture;
}

/** The newest captures of a stage, of those that steps took as their evidence. */
export function capturesOf(records: Iterable<AuditRecord>, stage: string): StageCaptures {
  const found: StageCaptures = {};
  for (const record of records) {
    if (record.stage !== stage) continue;
    const capture = captureIn(record);
    if (capture?.when === 'before') found.before = capture;
    if (capture?.when === 'after') found.after = capture;
  }
  return found;
}

/** The capture that a record carries. */
export function captureIn({ kind, step, evidence }: AuditRecord): Capture | undefined {
  if (kind !== 'step.ended' || !step?.startsWith('capture-')) return undefined;
  return (evidence as { capture?: Capture } | undefined)?.capture;
}
