import { CutoverError } from '../../errors.ts';
import type { Register } from '../command.ts';
import { decide, type DecideOptions } from '../decide.ts';
import { migrationOption, reasonOption } from '../migration-option.ts';

export const reject: Register = (command, cli) => {
  command
    .argument('<gate>', 'id of the gate: see `cutover gates`')
    .addOption(migrationOption())
    .addOption(reasonOption('why; required, it goes into the audit log'))
    .option('--rollback-wave', 'take the wave before the gate back; without it the migration holds here')
    .option('--evidence <sha256:digest>', 'the evidence that you read; refused when it has changed since')
    .option('-y, --yes', 'do not ask: take the evidence as it is now')
    .option('--dry-run', 'show what would be rejected, and reject nothing')
    .action(async (gate: string, { rollbackWave, ...options }: DecideOptions & { rollbackWave?: boolean }) => {
      if (options.reason === '' && !cli.interactive && !options.dryRun)
        throw new CutoverError('Usage', 'a rejection needs a reason', { remedy: 'say it with --reason' });
      await decide(cli, gate, { verdict: 'reject', onReject: rollbackWave ? 'rollback-wave' : 'hold' }, options);
    });
};
