import type { Register } from '../command.ts';
import { decide, type DecideOptions } from '../decide.ts';
import { migrationOption, reasonOption } from '../migration-option.ts';

export const approve: Register = (command, cli) => {
  command
    .argument('<gate>', 'id of the gate: see `cutover gates`')
    .addOption(migrationOption())
    .addOption(reasonOption())
    .option('--evidence <sha256:digest>', 'the evidence that you read; refused when it has changed since')
    .option('--incomplete', 'pass although nodes that should be on the new network are not; needs --reason')
    .option('-y, --yes', 'do not ask: take the evidence as it is now')
    .option('--dry-run', 'show what would be approved, and approve nothing')
    .action((gate: string, options: DecideOptions) =>
      decide(
        cli,
        gate,
        { verdict: 'approve', onReject: 'hold', ...(options.incomplete ? { incomplete: true } : {}) },
        options,
      ),
    );
};
