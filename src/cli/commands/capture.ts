import type { CaptureReport } from '../../report/types.ts';
import type { Register } from '../command.ts';
import { migrationOption, path } from '../migration-option.ts';
import { printDocument } from '../output.ts';
import { captureLines } from '../render/capture-lines.ts';

export const capture: Register = (command, cli) => {
  command
    .command('show', { isDefault: true })
    .description('bandwidth, latency and bytes on the wire before and after, with their spread and what they say')
    .addOption(migrationOption())
    .action(async ({ migration }: { migration: string }) => {
      const answer = await cli.api().get<{ items: CaptureReport[] }>(path('migrations', migration, 'captures'));
      const { output } = cli.options;
      if (output === 'json' || output === 'yaml') return printDocument(cli, answer);
      if (output === 'name') return cli.print(answer.items.map(({ stage }) => `capture/${stage}`));
      cli.print(answer.items.flatMap((one) => captureLines(one, cli.style, output === 'wide')));
    });
};
