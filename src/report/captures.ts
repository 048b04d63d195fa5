import type { CompiledPlan } from '../plan/types.ts';
import { judgeCaptures } from '../probe/capture/judge.ts';
import { capturesOf } from '../store/captures.ts';
import type { AuditRecord } from '../store/types.ts';
import type { CaptureReport } from './types.ts';

/** What was measured before and after each stage, and what that says. Pure. */
export const captureReports = (
  { stages }: CompiledPlan,
  records: readonly AuditRecord[],
  titleOf: (route: string) => string,
): CaptureReport[] =>
  stages.map(({ id: stage, route }) => {
    const { before, after } = capturesOf(records, stage);
    return {
      stage,
      title: titleOf(route),
      before: before ?? null,
      after: after ?? null,
      judgement: judgeCaptures(before, after),
    };
  });
