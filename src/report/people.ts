import { gateOf } from '../store/gate-of.ts';
import type { AuditRecord, RecordKind } from '../store/types.ts';
import type { Act } from './types.ts';

/** What people do to a migration, and how that reads. */
const verbs: { readonly [kind in RecordKind]?: (record: AuditRecord) => string } = {
  'migration.requested': () => 'launched the migration',
  'gate.decided': ({ outcome }) => (outcome === 'reject' ? 'rejected the gate' : 'approved the gate'),
  'refresh.requested': () => 'asked for fresh evidence',
  'pause.requested': ({ outcome }) => `asked for a pause${outcome ? ` (${outcome})` : ''}`,
  resumed: () => 'resumed',
  'abort.requested': () => 'aborted',
  'rollback.requested': () => 'asked to take back',
  'retry.requested': () => 'asked to try again',
  'skip.requested': () => 'asked to go on without',
  'attempt.refused': () => 'was refused',
};

/** Launches, decisions, pauses and all else that a person did, in order; refused attempts too. */
export const actsOf = (records: readonly AuditRecord[]): Act[] =>
  records.flatMap((record) => {
    const what = verbs[record.kind]?.(record);
    if (what === undefined) return [];
    const { at, actor, reason = '', evidenceDigest = '', node, wave, message = '' } = record;
    const about = gateOf(record) ?? node ?? wave ?? '';
    return [
      {
        at,
        actor,
        what,
        about,
        reason: reason || (record.kind === 'attempt.refused' ? message : ''),
        evidenceDigest,
      },
    ];
  });
