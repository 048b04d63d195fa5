import { CutoverError } from '../../errors.ts';
import type { PlanView } from '../../server/plan-views.ts';
import type { Register } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { needReason, path, reasonOption } from '../migration-option.ts';
import { printMutation, printObject } from '../output.ts';
import { planLines } from '../render/plan-lines.ts';
import { followStatus } from '../follow-status.ts';

/** Preflight may run first. */
const launchMs = 330_000;

interface Options {
  reason: string;
  takeOver?: boolean;
  dryRun?: boolean;
  watch?: boolean;
  detailedExitcode?: boolean;
}

export const launch: Register = (command, cli) => {
  command
    .argument('[plan]', 'hash of the compiled plan, the start of it, or `latest`', 'latest')
    .addOption(reasonOption())
    .option(
      '--take-over',
      'take the cluster over from an installation that is gone: it must not renew its lease for a minute; needs --reason',
    )
    .option('--dry-run', 'say what would be launched, and launch nothing')
    .option('-w, --watch', 'follow it')
    .option('--detailed-exitcode', 'exit with 14 when preflight blocks')
    .action(async (hash: string, options: Options) => {
      if (options.takeOver) needReason(options.reason, 'taking a cluster over');
      const api = cli.api();
      const plan = await api.get<PlanView>(path('plans', hash));
      if (options.dryRun) {
        await printObject(cli, plan, `plan/${plan.hash}`, () => planLines(plan, cli.style));
        return cli.say('dry run: nothing was launched');
      }
      const body = { planHash: plan.hash, reason: options.reason, takeOver: options.takeOver ?? false };
      const launched = await api
        .post<{ migration: string }>('/v1/migrations', body, { timeoutMs: launchMs })
        .catch((error: unknown) => {
          if (!(error instanceof CutoverError && error.type === 'ChecksFailed' && options.detailedExitcode))
            throw error;
          cli.say(`error: ${error.message}\n  ${error.remedy}`);
          cli.exitCode = exitCodes.blockedByPreflight;
        });
      if (!launched) return;
      await printMutation(cli, launched, `migration/${launched.migration}`, 'launched');
      if (options.watch)
        await followStatus(cli, launched.migration, { detailedExitcode: options.detailedExitcode ?? false });
      else if (cli.options.output === 'table') cli.say(`watch it with: cutover status -w ${launched.migration}`);
    });
};
