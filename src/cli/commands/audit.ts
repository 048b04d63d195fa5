import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { CutoverError } from '../../errors.ts';
import { notedHead } from '../../store/noted-head.ts';
import type { AuditRecord, NotedHead, OutsideCover, VerifyReport } from '../../store/types.ts';
import type { Register } from '../command.ts';
import { nonNegative } from '../numbers.ts';
import { printList, printObject } from '../output.ts';
import { stamp } from '../time.ts';

interface Filters {
  migration?: string;
  node?: string;
  gate?: string;
  actor?: string;
  kind?: string;
  after?: number;
  limit?: number;
}

const withFilters = (command: Command): Command =>
  command
    .option('-m, --migration <id>', 'only of this migration')
    .option('--node <name>', 'only about this node')
    .option('--gate <id>', 'only about this gate')
    .option('--actor <name>', 'only by this person')
    .option('--kind <kinds>', 'only of these kinds, comma separated: gate.decided,attempt.refused')
    .option('--after <seq>', 'only after this record', nonNegative)
    .option('--limit <count>', 'at most so many', nonNegative);

const queryOf = ({ migration, node, gate, actor, kind, after, limit }: Filters) => ({
  migration,
  node,
  gate,
  actor,
  kind,
  after,
  limit,
});

export const audit: Register = (command, cli) => {
  withFilters(command.command('list', { isDefault: true }))
    .description('records, in order')
    .action(async (filters: Filters) => {
      const { items } = await cli.api().get<{ items: AuditRecord[] }>('/v1/audit', { query: queryOf(filters) });
      await printList(cli, items, {
        kind: 'record',
        name: ({ seq }) => String(seq),
        none: 'no record matches',
        columns: [
          { header: 'SEQ', value: ({ seq }) => String(seq) },
          { header: 'TIME', value: ({ at }) => stamp(at) },
          { header: 'KIND', value: ({ kind }) => kind },
          { header: 'ACTOR', value: ({ actor }) => actor },
          { header: 'ABOUT', value: about },
          { header: 'OUTCOME', value: ({ outcome }) => outcome ?? '' },
          { header: 'MIGRATION', value: ({ migration }) => migration ?? '', wide: true },
          { header: 'HASH', value: ({ hash }) => hash.slice(0, 12), wide: true },
          {
            header: 'MESSAGE',
            value: ({ message, reason }) => [message, reason && `reason: ${reason}`].filter(Boolean).join('; '),
          },
        ],
      });
    });

  command
    .command('verify')
    .description('whether the chain of records is whole; exit code 1 when it is not')
    .option('--file <export>', 'verify this export instead; needs no server')
    .option('--database <file>', 'verify this database with its .head and its key beside it; needs no server')
    .option('--head <seq:hash>', 'a head that was noted before, which the record must contain (an export: end with)')
    .option('--key <file>', 'with --file: the key of the record, which proves where the export was made')
    .addHelpText(
      'after',
      '\nNote the head that this prints where the owner of the database cannot change it, or set CUTOVER_ANCHOR (docs/security.md).',
    )
    .action(
      async ({ file, head, database, key }: { file?: string; head?: string; database?: string; key?: string }) => {
        const noted = head === undefined ? undefined : notedHead(head);
        const report =
          database !== undefined
            ? await verifyDatabase(database, noted, cli.env)
            : file !== undefined
              ? await verifyFile(file, noted, key)
              : await cli.api().get<VerifyReport>('/v1/audit/verify', { query: { head }, timeoutMs: 0 });
        await printObject(cli, report, `audit/${report.head.hash}`, () => [
          report.ok
            ? `${cli.style.green('✔ whole')}: ${report.records} records, head ${report.head.seq}:${report.head.hash}`
            : `${cli.style.red('✖ broken')}: ${report.problems.length} problem${report.problems.length === 1 ? '' : 's'} in ${report.records} records`,
          ...report.problems.map((problem) => `  ${problem}`),
          ...(report.outside ? [coverage(report.outside, report.records)] : []),
        ]);
        if (!report.ok) throw new CutoverError('RecordBroken', 'the audit record is not what was written');
      },
    );

  withFilters(command.command('export'))
    .description('records as newline-delimited JSON or CSV')
    .addOption(new Option('--format <format>', 'how').choices(['ndjson', 'csv']).default('ndjson'))
    .option('--out <file>', 'write to this file instead of standard output')
    .action(async ({ format, out, ...filters }: Filters & { format: string; out?: string }) => {
      const text = await cli.api().text('/v1/audit/export', { query: { ...queryOf(filters), format }, timeoutMs: 0 });
      if (out === undefined) {
        cli.stdout.write(text);
        return;
      }
      try {
        writeFileSync(out, text, { mode: 0o600 });
      } catch (cause) {
        throw new CutoverError(
          'Usage',
          `${out} cannot be written: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
          { remedy: 'check the path', cause },
        );
      }
      cli.say(`written to ${out}`);
    });
};

const coverage = ({ target, entries, seq, at, since }: OutsideCover, records: number): string =>
  seq === 0
    ? `anchor outside (${target}): covers no record yet`
    : `anchor outside (${target}): the first ${seq} of ${records} records are covered as of ${at}; ${entries} head${entries === 1 ? '' : 's'} kept since ${since}`;

async function verifyFile(
  file: string,
  noted: NotedHead | undefined,
  keyFile: string | undefined,
): Promise<VerifyReport> {
  const [{ verifyExport }, { readRecordKey }] = await Promise.all([
    import('../../store/export.ts'),
    import('../../store/key.ts'),
  ]);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CutoverError(
      'Usage',
      `${file} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      { remedy: 'check the path', cause },
    );
  }
  const { header: _header, ...report } = verifyExport(text, {
    ...(noted && { expectedHead: noted.hash }),
    ...(keyFile !== undefined && { key: readRecordKey(keyFile, { isOurs: false }) }),
  });
  return report;
}

async function verifyDatabase(
  path: string,
  noted: NotedHead | undefined,
  env: NodeJS.ProcessEnv,
): Promise<VerifyReport> {
  if (!existsSync(path))
    throw new CutoverError('Usage', `${path} does not exist`, {
      remedy: 'name the database of a server: cutover.db in its CUTOVER_HOME',
    });
  const { openStore } = await import('../../store/sqlite.ts');
  const store = openStore(path, { env });
  try {
    return store.verify(noted);
  } finally {
    store.close();
  }
}

function about({ node, step, wave, stage, evidence }: AuditRecord): string {
  const gate = (evidence as { gate?: string } | undefined)?.gate;
  if (gate) return `gate/${gate}`;
  if (node) return step ? `${node}:${step}` : node;
  return step ?? wave ?? stage ?? '';
}
