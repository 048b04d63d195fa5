import { readFileSync } from 'node:fs';
import { CutoverError } from '../../errors.ts';
import type { PolicyReport } from '../../policy/report.ts';
import type { Register } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { path } from '../migration-option.ts';
import { printObject } from '../output.ts';
import { policyLines } from '../render/policy-lines.ts';

const reportMs = 330_000;

interface Options {
  flows?: string;
  matrix?: boolean;
  detailedExitcode?: boolean;
}

export const policy: Register = (command, cli) => {
  command
    .command('report', { isDefault: true })
    .description('hazards: what would be cut, by which policy and rule, and what to write')
    .argument('[plan]', 'hash of the compiled plan, the start of it, or `latest`', 'latest')
    .option('--flows <file.yaml>', 'flows that must keep working, instead of those of the plan')
    .option('--matrix', 'the verdict of every workload to every port of every other, too')
    .option('--detailed-exitcode', 'exit with 14 when a hazard needs an acknowledgement')
    .addHelpText(
      'after',
      '\nA hazard is acknowledged in the plan: spec.acknowledge: [{ id: policy-hazards/<id>, reason: … }].',
    )
    .action(async (hash: string, { flows: file, matrix = false, detailedExitcode }: Options) => {
      const flows = file === undefined ? undefined : { text: readFlows(file), file };
      cli.say('asking the cluster; nothing is changed');
      const report = await cli
        .api()
        .post<PolicyReport>(
          `${path('plans', hash)}/policy`,
          { ...(flows && { flows }), matrix },
          { timeoutMs: reportMs },
        );
      await printObject(cli, report, 'policy/report', () =>
        policyLines(report, cli.style, cli.options.output === 'wide'),
      );
      if (detailedExitcode && report.hazards.some(({ severity }) => severity === 'block'))
        cli.exitCode = exitCodes.blockedByPreflight;
    });
};

function readFlows(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new CutoverError(
      'Usage',
      `the file of flows ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      { remedy: 'check the path; it holds `flows:` and a list of `{ from: shop/web, to: shop/api, port: 80 }`', cause },
    );
  }
}
