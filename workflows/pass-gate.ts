import type { GateSpec } from '../src/plan/types.ts';
import { bySelf, honourPause, interrupted, pauseBySelf, show, type ClusterState, type Stage } from './cluster-state.ts';
import { Gate } from './gate.ts';

/** Waits at a gate until it lets the migration pass; a rejection or the gate's time pauses, and resuming opens it again. */
export async function passGate(m: ClusterState, stage: Stage, spec: GateSpec): Promise<void> {
  for (;;) {
    await honourPause(m);
    if (interrupted(m)) return;
    show(m, 'at-gate', spec.id);
    const wave = m.wave ? { wave: m.wave } : {};
    m.gate = new Gate(spec, {
      place: { migration: m.input.migration, planHash: m.input.planHash, stage: stage.id, ...wave },
      requester: m.input.requester,
      missing: m.missing,
      record: (kind, fields) => m.record(kind, { stage: stage.id, ...wave, ...fields }),
      interrupted: () => interrupted(m) || m.carry.pause !== null,
      show: (gate) => void (m.openGate = gate),
    });
    const { end, onReject } = await m.gate.pass();
    m.gate = null;
    if (end === 'passed') return;
    if (end === 'interrupted') continue;
    const back = end === 'rejected' ? onReject === 'rollback-wave' : spec.onTimeout === 'rollback-wave';
    const reason = end === 'rejected' ? `gate ${spec.id} was rejected` : `gate ${spec.id} was not decided in time`;
    if (back && m.wave)
      m.rollbacks.push({ actor: bySelf, reason, at: new Date().toISOString(), scope: { wave: m.wave } });
    else pauseBySelf(m, `${reason}; resume opens it again`);
  }
}
