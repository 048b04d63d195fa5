import { Option } from 'commander';
import type { Register } from '../command.ts';
import { path, reasonOption } from '../migration-option.ts';
import { postAct } from '../post-act.ts';

export const pause: Register = (command, cli) => {
  command
    .argument('[migration]', 'id of the migration, or the start of it', 'latest')
    .addOption(
      new Option(
        '--after <scope>',
        'when: now stops before the next step, node lets nodes in flight finish, wave lets the wave finish',
      )
        .choices(['now', 'node', 'wave'])
        .default('node'),
    )
    .addOption(reasonOption())
    .action((migration: string, { after, reason }: { after: string; reason: string }) =>
      postAct(cli, `${path('migrations', migration)}/pause`, { scope: after, reason }, 'paused'),
    );
};
