import { CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { RecordInput, RecordKind } from '../src/store/types.ts';
import { recording } from './stubs.ts';

type Fields = Omit<RecordInput, 'key' | 'kind' | 'at' | 'actor'> & { actor?: string };

export type Recorder = (kind: RecordKind, fields?: Fields) => Promise<void>;

/**
 * Writes what no activity does by itself: a gate opened, a pause took effect. The key is made from the run and a
 * counter, so that a repeated activity writes nothing twice. Never cancelled: what happened is written down.
 */
export function createRecorder(place: Fields): Recorder {
  let sequence = 0;
  return (kind, fields = {}) => {
    const { workflowId, runId } = workflowInfo();
    const key = `${workflowId}:${runId}:${sequence++}`;
    const at = new Date().toISOString();
    return CancellationScope.nonCancellable(() =>
      recording.record({ key, kind, at, actor: 'workflow', ...place, ...fields }),
    );
  };
}
