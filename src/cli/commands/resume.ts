import type { Register } from '../command.ts';
import { path, reasonOption } from '../migration-option.ts';
import { postAct } from '../post-act.ts';

export const resume: Register = (command, cli) => {
  command
    .argument('[migration]', 'id of the migration, or the start of it', 'latest')
    .addOption(reasonOption())
    .action((migration: string, { reason }: { reason: string }) =>
      postAct(cli, `${path('migrations', migration)}/resume`, { reason }, 'resumed'),
    );
};
