import type { NodeHistory } from '../../store/views.ts';
import type { Register } from '../command.ts';
import { migrationOption, path } from '../migration-option.ts';
import { printObject } from '../output.ts';
import { historyLines } from '../render/history-lines.ts';

export const history: Register = (command, cli) => {
  command
    .argument('<node>', 'name of the node')
    .addOption(migrationOption())
    .action(async (node: string, { migration }: { migration: string }) => {
      const found = await cli.api().get<NodeHistory>(path('migrations', migration, 'nodes', node, 'history'));
      await printObject(cli, found, `node/${node}`, () => historyLines(found, cli.style));
    });
};
