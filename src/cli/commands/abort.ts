import { Option } from 'commander';
import type { MigrationView } from '../../store/views.ts';
import { confirm } from '../ask.ts';
import type { Register } from '../command.ts';
import { needReason, path, requiredReason } from '../migration-option.ts';
import { postAct } from '../post-act.ts';

interface Options {
  mode: 'rollback' | 'hold';
  reason: string;
  yes?: boolean;
  dryRun?: boolean;
}

export const abort: Register = (command, cli) => {
  command
    .argument('[migration]', 'id of the migration, or the start of it', 'latest')
    .addOption(
      new Option(
        '--mode <mode>',
        'what happens to nodes in flight: rollback takes them back, hold leaves them as they are, cordoned',
      )
        .choices(['rollback', 'hold'])
        .default('rollback'),
    )
    .addOption(requiredReason())
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'say what would happen, and do nothing')
    .addHelpText(
      'after',
      '\nNodes that are done stay on the new network. An aborted migration cannot be taken up again, but the next one adopts what it leaves: plan and launch anew. To take everything back, use `cutover rollback --all` instead.',
    )
    .action(async (id: string, { mode, reason, yes, dryRun }: Options) => {
      if (!dryRun) needReason(reason, 'an abort');
      const { id: migration, counts } = await cli.api().get<MigrationView>(path('migrations', id));
      const flight = counts.inFlight + counts.waiting;
      const sentence = `${counts.migrated} ${counts.migrated === 1 ? 'node stays' : 'nodes stay'} on the new network, ${flight} in flight ${mode === 'rollback' ? 'go back' : 'are left as they are'}, ${counts.pending} not touched`;
      if (dryRun) return cli.print(`migration/${migration} would be aborted: ${sentence} (dry run)`);
      if (await confirm(cli, `Abort ${migration} for good? ${sentence}.`, yes ?? false))
        await postAct(cli, `${path('migrations', migration)}/abort`, { mode, reason }, 'aborting');
    });
};
