import { writeFileSync } from 'node:fs';
import { CutoverError } from '../../errors.ts';
import type { Report } from '../../report/types.ts';
import type { Register } from '../command.ts';
import { path } from '../migration-option.ts';
import { printObject } from '../output.ts';

export const report: Register = (command, cli) => {
  command
    .argument('[migration]', 'id of the migration, the start of it, or `latest`', 'latest')
    .option('--out <file>', 'write to this file; without it a page goes to cutover-report-<migration>.html')
    .addHelpText(
      'after',
      '\n`-o html`, `-o markdown` and `-o json` print to standard output unless --out names a file.\n' +
        'The page needs nothing but itself: mail it, print it, keep it with the change.',
    )
    .action(async (id: string, { out }: { out?: string }) => {
      const { output } = cli.options;
      const api = cli.api();
      const url = path('migrations', id, 'report');
      if (output === 'yaml' || output === 'name' || (output === 'json' && out === undefined)) {
        const found = await api.get<Report>(url);
        return printObject(cli, found, `report/${found.migration.id}`, () => []);
      }
      const format = output === 'markdown' || output === 'json' ? output : 'html';
      const text = await api.text(url, { query: { format } });
      const isAsked = output === 'html' || output === 'markdown';
      if (out === undefined && isAsked) return void cli.stdout.write(text);
      const file = out ?? `cutover-report-${(await api.get<Report>(url)).migration.id}.html`;
      writeReport(file, text);
      cli.say(`written to ${file}`);
    });
};

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (cause) {
    throw new CutoverError(
      'Usage',
      `${file} cannot be written: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      { remedy: 'check the path', cause },
    );
  }
}
