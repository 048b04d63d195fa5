import type { Register } from '../command.ts';
import { migrationOption, path, reasonOption } from '../migration-option.ts';
import { postAct } from '../post-act.ts';

export const retry: Register = (command, cli) => {
  command
    .argument('<node>', 'name of the node')
    .addOption(migrationOption())
    .addOption(reasonOption())
    .action((node: string, { migration, reason }: { migration: string; reason: string }) =>
      postAct(cli, `${path('migrations', migration, 'nodes', node)}/retry`, { reason }, 'retried', node),
    );
};
