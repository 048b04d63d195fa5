import type { BlockedWorkload } from '../../checks/cluster/blocked-workloads.ts';
import { exposureText, rollbackText } from '../../checks/gate-bundle.ts';
import type { GateView } from '../../store/views.ts';
import type { Style } from '../style.ts';
import { age, clock, duration, stamp } from '../time.ts';
import { table } from '../table.ts';
import { verdictCounts } from '../../checks/acknowledge.ts';
import { evidenceLines } from './evidence-lines.ts';
import { continuityLines, matrixLines } from './matrix-lines.ts';

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
    ...(open && evidence.expiresAt !== '' ? [field('Grows old', growsOld(gate, now, style))] : []),
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
    ...(evidence.bundle
      ? [
          // A stage that flips the cluster as a whole has no nodes that are ahead of others.
          ...(evidence.bundle.rollback.clusterWide
            ? []
            : [
                field(
                  'Nodes',
                  `${evidence.bundle.nodes.migrated.length} of ${evidence.bundle.nodes.of} on the new network`,
                ),
              ]),
          field('Policies', exposureText(evidence.bundle.exposure)),
          field('Going back', rollbackText(evidence.bundle.rollback)),
        ]
      : []),
    ...section('Paths:', matrixLines(evidence.checks, style)),
    ...section('Bystanders:', continuityLines(evidence.checks)),
    ...section('Workloads that stand still:', blockedLines(evidence.checks)),
    ...(gate.changes
      ? section(
          `Since the evidence of ${stamp(gate.changes.since)}:`,
          gate.changes.what.length === 0 ? ['nothing changed'] : gate.changes.what.map((what) => `  ${what}`),
        )
      : []),
    '',
    ...evidenceLines(evidence.checks, style, true),
  ];
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, ...lines];

function growsOld({ id, evidence }: GateView, now: number, style: Style): string {
  const left = Date.parse(evidence.expiresAt) - now;
  return left > 0
    ? `at ${clock(evidence.expiresAt)}, in ${duration(left)}`
    : style.yellow(`it is too old to be approved since ${clock(evidence.expiresAt)}: \`cutover gates refresh ${id}\``);
}

function blockedLines(checks: GateView['evidence']['checks']): string[] {
  const found = checks.find(({ id }) => id === 'blocked-workloads')?.evidence as
    { blocked?: BlockedWorkload[] } | null | undefined;
  if (!found?.blocked || found.blocked.length === 0) return [];
  return table(found.blocked, [
    { header: 'OWNER', value: ({ owner }) => owner },
    { header: 'PODS', value: ({ pods }) => String(pods.length) },
    { header: 'NODES', value: ({ nodes }) => nodes.slice(0, 3).join(',') },
    { header: 'SINCE', value: ({ since }) => clock(since) },
    { header: 'REASON', value: ({ reason }) => reason },
  ]);
}

function approvals({ spec, decisions }: GateView): string {
  if (spec.approvals === 0) return 'none needed';
  const given = decisions.filter(({ verdict }) => verdict === 'approve');
  return `${given.length} of ${spec.approvals}${given.length > 0 ? ` (${given.map(({ actor }) => actor).join(', ')})` : ''}`;
}
