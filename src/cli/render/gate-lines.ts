import type { GateView } from '../../store/views.ts';
import type { Style } from '../style.ts';
import { age, clock, duration, stamp } from '../time.ts';
import { evidenceLines, verdictCounts } from './evidence-lines.ts';

/** One gate, whole: the question, what is still needed, what happens without a decision, the evidence, who decided. */
export function gateLines(gate: GateView, { now, style }: { now: number; style: Style }): string[] {
  const { spec, evidence } = gate;
  const open = gate.state === 'open';
  const field = (name: string, value: string): string => `${`${name}:`.padEnd(14)}${value}`;
  return [
    `${style.bold(gate.id)}  ${open ? style.yellow(`‖ open for ${age(gate.openedAt, now)}`) : gate.state}`,
    field('Migration', `${gate.migration}, ${gate.wave === '' ? `stage ${gate.stage}` : `after wave ${gate.wave}`}`),
    ...(spec.note === undefined ? [] : [field('Know before', style.yellow(spec.note))]),
    field('Plan', `sha256:${gate.planHash}`),
    field('Evidence', `sha256:${evidence.digest} of ${stamp(evidence.at)}: ${verdictCounts(evidence.checks)}`),
    field('Approvals', approvals(gate)),
    ...(open ? [field('Needs', gate.needs.length > 0 ? gate.needs.join('; ') : 'nothing more')] : []),
    ...(open && gate.soakUntil !== '' && Date.parse(gate.soakUntil) > now
      ? [field('Soak', `until ${clock(gate.soakUntil)}, ${duration(Date.parse(gate.soakUntil) - now)} more`)]
      : []),
    ...(open
      ? [
          field(
            'Time limit',
            gate.expiresAt === ''
              ? 'none: it waits until somebody decides'
              : `${clock(gate.expiresAt)}, in ${duration(Date.parse(gate.expiresAt) - now)}; then: ${gate.atTimeout}`,
          ),
        ]
      : [field('Closed', `${stamp(gate.closedAt)}: ${gate.message}`)]),
    field(
      'May approve',
      `${spec.approvers.length > 0 ? spec.approvers.join(', ') : 'anybody with the token'}${spec.requesterMayApprove ? '' : ', but not who launched it'}`,
    ),
    ...gate.decisions.map(({ actor, verdict, at, reason }) =>
      field(
        'Decided',
        `${verdict === 'approve' ? 'approved' : style.red('rejected')} by ${actor} at ${clock(at)}${reason === '' ? '' : `: ${reason}`}`,
      ),
    ),
    '',
    ...evidenceLines(evidence.checks, style, true),
  ];
}

function approvals({ spec, decisions }: GateView): string {
  if (spec.approvals === 0) return 'none needed';
  const given = decisions.filter(({ verdict }) => verdict === 'approve');
  return `${given.length} of ${spec.approvals}${given.length > 0 ? ` (${given.map(({ actor }) => actor).join(', ')})` : ''}`;
}
