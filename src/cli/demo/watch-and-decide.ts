import { CutoverError } from '../../errors.ts';
import type { GateView, MigrationView } from '../../store/views.ts';
import { ask } from '../ask.ts';
import type { Cli } from '../cli.ts';
import type { Api } from '../client.ts';
import { followStatus } from '../follow-status.ts';
import { path } from '../migration-option.ts';
import { gateLines } from '../render/gate-lines.ts';
import { approver, requester, type DemoOptions } from './demo-options.ts';
import type { Story } from './story.ts';

export interface Watch {
  migration: string;
  as(actor: string): Api;
  story: Story;
  options: DemoOptions;
  narrate(text: string): void;
  /** Before somebody decides at a gate. */
  atGate(gate: GateView): Promise<void>;
  home: string;
  signal: AbortSignal;
}

/** Follows the migration; at each gate the following stops, somebody decides, and it goes on. */
export async function watchAndDecide(
  cli: Cli,
  { migration, as, story, options, narrate, atGate, home, signal }: Watch,
): Promise<MigrationView> {
  const decided = new Set<string>();
  const shown = new Map<string, string>();
  const until = options.timeoutSeconds > 0 ? Date.now() + options.timeoutSeconds * 1000 : Infinity;
  const failed = (sentence: string) =>
    new CutoverError('Internal', `the demo failed: ${sentence}`, { remedy: `its logs and records are in ${home}` });
  const api = as(requester);
  const watching: Cli = { ...cli, options: { ...cli.options, output: 'table' }, api: () => api };
  for (;;) {
    const break_ = new AbortController();
    let stuck = '';
    const limit = Number.isFinite(until)
      ? setTimeout(() => break_.abort(), Math.max(0, until - Date.now()))
      : undefined;
    const view = await followStatus(watching, migration, {
      signal: AbortSignal.any([break_.signal, signal]),
      above: story.lines,
      shown,
      onView: (next) => {
        story.read(next);
        stuck = options.interactive ? '' : whyStuck(next);
        if (stuck !== '' || (next.openGate && wantsPeople(next.openGate) && !decided.has(keyOf(next.openGate))))
          break_.abort();
      },
    });
    clearTimeout(limit);
    if (view.endedAt !== '' || signal.aborted) return view;
    if (stuck !== '') throw failed(stuck);
    if (Date.now() >= until) throw failed(`it did not end within ${options.timeoutSeconds} s`);

    const gate = view.openGate!;
    await atGate(gate);
    decided.add(keyOf(gate));
    narrate(`Gate ${gate.id}: it waits for somebody else than ${requester}, and shows what there is to know.`);
    cli.print(gateLines(gate, { now: Date.now(), style: cli.style }));
    await decideGate(cli, as(approver), gate, options.interactive, home);
  }
}

/** Newer evidence makes it another question. */
const keyOf = (gate: GateView): string => `${gate.id} ${gate.evidence.digest}`;

const wantsPeople = (gate: GateView): boolean =>
  gate.spec.approvals > 0 &&
  gate.evidence.verdict !== 'block' &&
  gate.decisions.every(({ actor }) => actor !== approver);

/** What the demo does not recover from by itself. */
function whyStuck(view: MigrationView): string {
  if (view.pause?.tookEffect) return `the migration paused: ${view.pause.reason}`;
  const waiting = view.stages
    .flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes))
    .find(({ state }) => state === 'waiting');
  return waiting ? `${waiting.name} waits for a person: ${waiting.message}` : '';
}

async function decideGate(cli: Cli, api: Api, gate: GateView, interactive: boolean, home: string): Promise<void> {
  let verdict: 'approve' | 'reject' = 'approve';
  let reason = 'the evidence is good';
  if (interactive) {
    const elsewhere = `in another terminal: CUTOVER_HOME=${home} bin/cutover approve ${gate.id} --as ${approver} --reason WHY`;
    if (!cli.interactive) return cli.print(['', `Decide ${elsewhere}`]);
    const answer = await ask(
      cli,
      `\nYou are ${approver}. [a]pprove, [r]eject, or anything else to decide in another terminal: `,
      '',
    );
    if (!/^[ar]/i.test(answer)) return cli.print(`Decide ${elsewhere}`);
    verdict = /^r/i.test(answer) ? 'reject' : 'approve';
    reason = (await ask(cli, 'Reason: ', '')) || 'decided in the demo';
  }
  try {
    await api.post(`${path('migrations', gate.migration, 'gates', gate.id)}/decision`, {
      verdict,
      reason,
      onReject: 'hold',
      planHash: gate.planHash,
      evidenceDigest: gate.evidence.digest,
    });
  } catch (error) {
    // The soak took new evidence while this one was read: it is shown and decided anew.
    if (error instanceof CutoverError && (error.type === 'EvidenceMismatch' || error.type === 'GateClosed'))
      return cli.print(error.message);
    throw error;
  }
  cli.print(['', `${approver} ${verdict === 'approve' ? 'approves' : 'rejects'}: ${reason}`]);
}
