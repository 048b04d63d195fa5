import type { GateView } from '../store/views.ts';
import { ask } from './ask.ts';
import type { Cli } from './cli.ts';
import { path } from './migration-option.ts';
import { printMutation } from './output.ts';
import { gateLines } from './render/gate-lines.ts';

export interface DecideOptions {
  migration: string;
  reason: string;
  /** `sha256:…` of the evidence that the person read. */
  evidence?: string;
  yes?: boolean;
  /** Of an approval only. */
  incomplete?: boolean;
  dryRun?: boolean;
}

/**
 * Decides on a gate, naming plan and evidence as they were seen. Without --evidence the gate is shown first and the
 * person is asked; --yes takes the evidence as it is now.
 */
export async function decide(
  cli: Cli,
  gate: string,
  decision: { verdict: 'approve' | 'reject'; onReject: 'hold' | 'rollback-wave'; incomplete?: boolean },
  options: DecideOptions,
): Promise<void> {
  const api = cli.api();
  const view = await api.get<GateView>(path('migrations', options.migration, 'gates', gate));
  const verbed = decision.verdict === 'approve' ? 'approved' : 'rejected';
  let { reason } = options;

  // A gate that is closed is left to the server to refuse, which writes the attempt down.
  if (view.state === 'open' && options.evidence === undefined && !options.yes) {
    for (const line of gateLines(view, { now: Date.now(), style: cli.errorStyle })) cli.say(line);
    if (!options.dryRun) {
      const remedy = `name what you read with --evidence sha256:${view.evidence.digest}, or say --yes to take it as it is now`;
      const answer = await ask(
        cli,
        `\n${decision.verdict === 'approve' ? 'Approve' : 'Reject'} as ${cli.actor()}? [y/N] `,
        remedy,
      );
      if (!/^y(es)?$/i.test(answer)) {
        cli.say('nothing was decided');
        cli.exitCode = 1;
        return;
      }
      if (reason === '') reason = await ask(cli, 'Reason (it goes into the audit log): ', remedy);
    }
  }
  if (options.dryRun)
    return cli.print(
      `gate/${gate} would be ${verbed} as ${cli.actor()} on evidence sha256:${view.evidence.digest} (dry run)`,
    );

  const answer = await api.post<{ message: string }>(`${path('migrations', view.migration, 'gates', gate)}/decision`, {
    ...decision,
    reason,
    planHash: view.planHash,
    evidenceDigest: options.evidence ?? view.evidence.digest,
  });
  await printMutation(cli, answer, `gate/${gate}`, verbed);
}
