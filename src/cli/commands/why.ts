import type { Why } from '../../server/why.ts';
import type { Register } from '../command.ts';
import { migrationOption, path } from '../migration-option.ts';
import { printObject } from '../output.ts';

export const why: Register = (command, cli) => {
  command
    .argument('<node>', 'name of the node')
    .addOption(migrationOption())
    .action(async (node: string, { migration }: { migration: string }) => {
      const found = await cli.api().get<Why>(path('migrations', migration, 'nodes', node, 'why'));
      await printObject(cli, found, `node/${node}`, () => [found.sentence]);
    });
};
