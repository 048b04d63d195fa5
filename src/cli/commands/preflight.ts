import type { Evidence } from '../../../activities/types.ts';
import type { Register } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { path } from '../migration-option.ts';
import { printObject } from '../output.ts';
import { evidenceLines, verdictCounts } from '../render/evidence-lines.ts';

const preflightMs = 330_000;

export const preflight: Register = (command, cli) => {
  command
    .argument('[plan]', 'hash of the compiled plan, the start of it, or `latest`', 'latest')
    .option('--all', 'show the checks that passed, too')
    .option('--detailed-exitcode', 'exit with 14 instead of 1 when a check blocks')
    .action(async (hash: string, options: { all?: boolean; detailedExitcode?: boolean }) => {
      cli.say('asking the cluster; nothing is changed');
      const evidence = await cli
        .api()
        .post<Evidence>(`${path('plans', hash)}/preflight`, {}, { timeoutMs: preflightMs });
      await printObject(cli, evidence, `evidence/${evidence.digest}`, () => [
        `preflight: ${verdictCounts(evidence.checks)}`,
        ...evidenceLines(evidence.checks, cli.style, options.all),
      ]);
      if (evidence.verdict === 'block')
        cli.exitCode = options.detailedExitcode ? exitCodes.blockedByPreflight : exitCodes.error;
    });
};
