import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { Evidence } from '../activities/types.ts';
import type { GateSpec, StepPlace } from '../src/plan/types.ts';
import { sameSubject } from '../src/names.ts';
import { failureOf, refuse } from './failures.ts';
import type { DecideArgs, OpenGate, RefreshArgs } from './messages.ts';
import type { Recorder } from './recorder.ts';
import { judging } from './stubs.ts';

export type GateEnd = 'passed' | 'rejected' | 'timed-out' | 'interrupted';

/** How long to wait before evidence that blocks is taken again: doubles from the first to the last, in ms. */
const recheckMs = { first: 15_000, last: 300_000 };

/** What the gate needs of the migration around it. */
export interface GateHost {
  place: StepPlace;
  requester: string;
  /** Nodes that should be on the new network by now and are not. */
  missing: string[];
  record: Recorder;
  /** True when something more urgent than this gate came up: an abort, a rollback. */
  interrupted(): boolean;
  /** Shows or hides the gate: what `decide` acts on and the query `status` answers. */
  show(gate: OpenGate | null): void;
}

/**
 * Accepts a decision or refuses it: pure, synchronous, for the validator of the update `decide`.
 * @param now ms since the epoch
 * @throws ApplicationFailure GateClosed | PlanHashMismatch | EvidenceMismatch | EvidenceExpired | AlreadyDecided |
 * NotAllowed | ChecksFailed | WaveIncomplete
 */
export function validateDecision(
  gate: OpenGate | null,
  args: DecideArgs,
  requester: string,
  planHash: string,
  now = Date.now(),
): void {
  if (!gate || gate.id !== args.gate)
    throw refuse('GateClosed', `gate ${args.gate} is not open${gate ? `; ${gate.id} is` : ''}`);
  if (args.planHash !== planHash)
    throw refuse(
      'PlanHashMismatch',
      `the decision names plan ${args.planHash.slice(0, 12)}, this migration runs plan ${planHash.slice(0, 12)}`,
    );
  if (args.evidenceDigest !== gate.evidenceDigest)
    throw refuse(
      'EvidenceMismatch',
      `the evidence of gate ${gate.id} is now ${gate.evidenceDigest.slice(0, 12)}, the decision names ${args.evidenceDigest.slice(0, 12)}`,
    );
  if (gate.spec.approvers.length > 0 && !gate.spec.approvers.some((name) => sameSubject(name, args.actor)))
    throw refuse(
      'NotAllowed',
      `${args.actor} is not among the approvers of gate ${gate.id} (${gate.spec.approvers.join(', ')})`,
    );
  if (args.verdict === 'reject') return;
  if (!gate.spec.requesterMayApprove && sameSubject(args.actor, requester))
    throw refuse('NotAllowed', `${args.actor} launched this migration and may not approve gate ${gate.id}`);
  if (gate.missing !== undefined && gate.missing.length > 0 && !args.incomplete)
    throw refuse(
      'WaveIncomplete',
      `gate ${gate.id} cannot be passed by an approval alone: ${someNodes(gate.missing)} ${gate.missing.length === 1 ? 'is' : 'are'} not on the new network`,
    );
  if (gate.approvals.some(({ actor }) => sameSubject(actor, args.actor)))
    throw refuse('AlreadyDecided', `${args.actor} has approved gate ${gate.id} already`);
  if (gate.askedAnewBy !== undefined)
    throw refuse(
      'EvidenceMismatch',
      `the evidence of gate ${gate.id} is being taken anew, as ${gate.askedAnewBy} asked: what it says shows in a moment`,
    );
  if (gate.evidenceVerdict === 'block')
    throw refuse('ChecksFailed', `checks block gate ${gate.id}; they are asked again by themselves`);
  if (isExpired(gate, now))
    throw refuse(
      'EvidenceExpired',
      `the evidence of gate ${gate.id} is ${age(now - Date.parse(gate.evidenceAt!))} old, and the plan allows ${age(gate.spec.evidenceMaxAgeSeconds! * 1000)}: take it anew with \`cutover gates refresh ${gate.id}\`, read it, and decide again`,
    );
}

/** Whether the evidence that is shown is older than the plan allows. A gate of an older plan has no such limit. */
const isExpired = ({ spec, evidenceAt }: OpenGate, now: number): boolean =>
  spec.evidenceMaxAgeSeconds !== undefined &&
  evidenceAt !== undefined &&
  now - Date.parse(evidenceAt) > spec.evidenceMaxAgeSeconds * 1000;

const age = (ms: number): string => (ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`);

/** The first names, and how many there are in all. */
const someNodes = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more nodes`;

/** @throws ApplicationFailure GateClosed */
export function validateRefresh(gate: OpenGate | null, { gate: id }: RefreshArgs): void {
  if (gate?.id !== id) throw refuse('GateClosed', `gate ${id} is not open${gate ? `; ${gate.id} is` : ''}`);
}

/** Evidence that could not be taken blocks: nothing can be approved on it. */
const unasked = (why: string): Evidence => ({
  checks: [
    {
      id: 'gate-evidence',
      layer: 'cluster',
      title: 'The evidence of this gate can be taken',
      verdict: 'block',
      message: `the evidence could not be taken: ${why}`,
      remedy: 'correct what is named; it is taken again within 5 minutes, or at once with `cutover gates refresh`',
      evidence: null,
    },
  ],
  // A rejection names a digest, too.
  digest: '0'.repeat(64),
  verdict: 'block',
  at: new Date().toISOString(),
});

/** Waits at a gate until people, time and evidence agree, or something ends the waiting. */
export class Gate {
  private readonly decisions: DecideArgs[] = [];
  private readonly refreshes: RefreshArgs[] = [];
  private gate: OpenGate;
  private readonly spec: GateSpec;
  private readonly host: GateHost;

  constructor(spec: GateSpec, host: GateHost) {
    this.spec = spec;
    this.host = host;
    const now = Date.now();
    this.gate = {
      id: spec.id,
      spec,
      openedAt: new Date(now).toISOString(),
      soakUntil: new Date(now + spec.soakSeconds * 1000).toISOString(),
      expiresAt: spec.timeoutSeconds > 0 ? new Date(now + spec.timeoutSeconds * 1000).toISOString() : '',
      evidenceDigest: '',
      evidenceVerdict: 'pass',
      approvals: [],
      ...(host.missing.length > 0 ? { missing: host.missing } : {}),
    };
  }

  /** Takes a decision that the validator let through. */
  decide(args: DecideArgs): OpenGate {
    this.decisions.push(args);
    if (args.verdict === 'approve')
      this.gate = {
        ...this.gate,
        approvals: [...this.gate.approvals, { actor: args.actor, at: args.at, reason: args.reason }],
      };
    this.host.show(this.gate);
    return this.gate;
  }

  /** Somebody wants newer evidence. */
  refresh(args: RefreshArgs): void {
    this.refreshes.push(args);
    this.gate = { ...this.gate, askedAnewBy: args.actor };
    this.host.show(this.gate);
  }

  async pass(): Promise<{ end: GateEnd; onReject?: DecideArgs['onReject'] }> {
    const { spec, host } = this;
    let evidence = await this.takeEvidence();
    let wait = recheckMs.first;
    let soaked = spec.soakSeconds === 0;
    for (;;) {
      const decided = this.decisions.shift();
      if (decided) {
        await host.record('gate.decided', {
          actor: decided.actor,
          reason: decided.reason,
          outcome: decided.verdict,
          evidenceDigest: decided.evidenceDigest,
          evidence: { gate: spec.id },
        });
        if (decided.verdict === 'reject')
          return this.close('rejected', `rejected by ${decided.actor}: ${decided.reason}`, decided.onReject);
        continue;
      }
      const asked = this.refreshes.pop();
      if (asked) {
        this.refreshes.length = 0;
        evidence = await this.takeEvidence(undefined, asked);
        continue;
      }
      if (host.interrupted()) return this.close('interrupted', 'something more urgent came up');
      const now = Date.now();
      if (!soaked && now >= Date.parse(this.gate.soakUntil)) {
        // The soak is over: what it showed counts, so the evidence is taken again before the gate may open.
        soaked = true;
        evidence = await this.takeEvidence(evidence.verdict);
        continue;
      }
      const approved = this.gate.approvals.length >= Math.max(spec.approvals, host.missing.length > 0 ? 1 : 0);
      if (soaked && approved && evidence.verdict !== 'block')
        return this.close(
          'passed',
          spec.approvals > 0
            ? `approved by ${this.gate.approvals.map(({ actor }) => actor).join(', ')}`
            : 'nobody has to approve, and nothing blocks',
        );
      if (this.gate.expiresAt && now >= Date.parse(this.gate.expiresAt))
        return this.close('timed-out', `nobody decided within ${spec.timeoutSeconds} s`);

      const ends = [this.gate.expiresAt, soaked ? '' : this.gate.soakUntil]
        .filter(Boolean)
        .map((at) => Date.parse(at) - now);
      if (evidence.verdict === 'block') ends.push(wait);
      const news = (): boolean => this.decisions.length > 0 || this.refreshes.length > 0 || host.interrupted();
      if (ends.length === 0) await condition(news);
      else if (!(await condition(news, Math.max(1, Math.min(...ends)))) && evidence.verdict === 'block' && soaked) {
        evidence = await this.takeEvidence(evidence.verdict);
        wait = Math.min(wait * 2, recheckMs.last);
      }
    }
  }

  /**
   * Asks the checks and shows the gate with what they said. Approvals stay only while the verdict does, and not when
   * somebody asked for newer evidence: what was approved was the older.
   */
  private async takeEvidence(before?: Evidence['verdict'], asked?: RefreshArgs): Promise<Evidence> {
    const { spec, host } = this;
    const evidence = await this.ask();
    // Nobody has approved what grew old: the newer is shown.
    const stays = this.gate.approvals.length > 0 || !isExpired(this.gate, Date.now());
    if (before === evidence.verdict && stays) return evidence;
    this.gate = {
      ...this.gate,
      evidenceDigest: evidence.digest,
      evidenceVerdict: evidence.verdict,
      // Who asked while these were taken: theirs come next.
      askedAnewBy: this.refreshes.at(-1)?.actor,
      approvals: [],
    };
    if (spec.evidenceMaxAgeSeconds !== undefined) this.gate = { ...this.gate, evidenceAt: evidence.at };
    await host.record('gate.opened', {
      ...(asked ? { actor: asked.actor, reason: asked.reason } : {}),
      checks: evidence.checks,
      evidenceDigest: evidence.digest,
      outcome: evidence.verdict,
      message:
        spec.approvals > 0
          ? `waits for ${spec.approvals} approval${spec.approvals > 1 ? 's' : ''}`
          : 'waits for its checks and its soak',
      evidence: {
        gate: spec.id,
        ...(host.missing.length > 0 ? { missing: host.missing } : {}),
        spec: { ...spec },
        openedAt: this.gate.openedAt,
        soakUntil: this.gate.soakUntil,
        expiresAt: this.gate.expiresAt,
        ...(evidence.bundle ? { bundle: { ...evidence.bundle } } : {}),
      },
    });
    host.show(this.gate);
    return evidence;
  }

  /**
   * Asks, for as long as the cluster and the store can be asked; what comes up meanwhile is done first. A question that fails
   * for another reason blocks the gate, and is asked again like every evidence that blocks.
   */
  private async ask(): Promise<Evidence> {
    const { spec, host } = this;
    const scope = new CancellationScope();
    const asking = scope.run(() =>
      judging.gatherEvidence({ place: host.place, checks: spec.checks, nodes: [] }).catch((error: unknown) => {
        if (isCancellation(error)) return unasked('something more urgent came up');
        return unasked(failureOf(error, 'gathering evidence').message);
      }),
    );
    let done = false;
    void asking.then(() => void (done = true));
    await condition(() => done || host.interrupted());
    if (!done) scope.cancel();
    return asking;
  }

  private async close(
    end: GateEnd,
    message: string,
    onReject?: DecideArgs['onReject'],
  ): Promise<{ end: GateEnd; onReject?: DecideArgs['onReject'] }> {
    this.host.show(null);
    await this.host.record('gate.closed', { outcome: end, message, evidence: { gate: this.spec.id } });
    return onReject === undefined ? { end } : { end, onReject };
  }
}
