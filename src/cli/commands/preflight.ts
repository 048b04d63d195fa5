import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Evidence } from '../../../activities/types.ts';
import { verdictCounts } from '../../checks/acknowledge.ts';
import type { PreflightProgress } from '../../server/plans.ts';
import type { Cli } from '../cli.ts';
import type { Register } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { path } from '../migration-option.ts';
import { printObject } from '../output.ts';
import { junit } from '../render/junit.ts';
import { preflightLines } from '../render/preflight-lines.ts';

const preflightMs = 330_000;
/** Somebody who watches must never wonder whether it still moves. */
const progressEveryMs = 1_000;

export const preflight: Register = (command, cli) => {
  command
    .argument('[plan]', 'hash of the compiled plan, the start of it, or `latest`', 'latest')
    .option('--all', 'show the checks that passed, too')
    .option('--detailed-exitcode', 'exit with 14 instead of 1 when a check blocks')
    .addHelpText(
      'after',
      '\n`-o junit` writes JUnit XML for CI: a test suite for each layer, a test case for each check.',
    )
    .action(async (hash: string, options: { all?: boolean; detailedExitcode?: boolean }) => {
      const requestId = randomUUID();
      cli.say('asking the cluster; nothing is changed');
      const progress = showProgress(cli, `${path('plans', hash)}/preflight/${requestId}`);
      const evidence = await cli
        .api()
        .post<Evidence>(`${path('plans', hash)}/preflight`, {}, { timeoutMs: preflightMs, requestId })
        .finally(progress.stop);
      if (cli.options.output === 'junit') cli.print(junit('cutover preflight', evidence.checks, evidence.at));
      else
        await printObject(cli, evidence, `evidence/${evidence.digest}`, () => [
          ...preflightLines(evidence.checks, cli.style, options.all),
          `preflight: ${verdictCounts(evidence.checks)}`,
        ]);
      if (evidence.verdict === 'warn')
        cli.say('a launch is refused until the plan acknowledges what warns: spec.acknowledge');
      if (evidence.verdict === 'block')
        cli.exitCode = options.detailedExitcode ? exitCodes.blockedByPreflight : exitCodes.error;
    });
};

/** Says on stderr how far it is: one line that is written over on a terminal, one line for each news elsewhere. */
export function showProgress(
  cli: Pick<Cli, 'api' | 'say'>,
  progressPath: string,
  stream = process.stderr,
): { stop(): void } {
  const end = new AbortController();
  const started = Date.now();
  const follow = async (): Promise<void> => {
    while (!end.signal.aborted) {
      const { done, of } = await cli
        .api()
        .get<PreflightProgress>(progressPath, { signal: end.signal })
        .catch(() => ({ done: 0, of: 0 }));
      if (end.signal.aborted) return;
      const seconds = Math.round((Date.now() - started) / 1000);
      const line = of === 0 ? `waiting for a worker, ${seconds} s` : `${done} of ${of} checks, ${seconds} s`;
      if (stream.isTTY) stream.write(`\r${line}\u001b[K`);
      else cli.say(line);
      await sleep(progressEveryMs, undefined, { signal: end.signal }).catch(() => undefined);
    }
  };
  void follow();
  return {
    stop: () => {
      end.abort();
      if (stream.isTTY) stream.write('\r\u001b[K');
    },
  };
}
