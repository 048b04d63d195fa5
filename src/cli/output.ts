import type { Cli } from './cli.ts';
import { table, type Column } from './table.ts';
import { visibleJson } from './visible.ts';

export interface Listing<T> {
  /** `migration`: what `-o name` prints before the slash. */
  kind: string;
  name(item: T): string;
  columns: readonly Column<T>[];
  /** Printed to stderr when there is none, as kubectl does. */
  none: string;
}

/** A list by the `-o` that was asked for. */
export async function printList<T>(cli: Cli, items: readonly T[], listing: Listing<T>): Promise<void> {
  const { output } = cli.options;
  if (output === 'json' || output === 'yaml') return printDocument(cli, { items });
  if (output === 'name') return cli.print(items.map((item) => `${listing.kind}/${listing.name(item)}`));
  if (items.length === 0) return cli.say(listing.none);
  cli.print(table(items, listing.columns, output === 'wide'));
}

/** One object: as JSON, YAML or name when that was asked for, else as `lines` draws it. */
export async function printObject(
  cli: Cli,
  object: object,
  name: string,
  lines: () => readonly string[],
): Promise<void> {
  const { output } = cli.options;
  if (output === 'json' || output === 'yaml') return printDocument(cli, object);
  cli.print(output === 'name' ? name : lines());
}

/** What a mutation did: `gate/after-canary approved`. What happens now goes to stderr. */
export async function printMutation(
  cli: Cli,
  answer: object & { message?: string },
  name: string,
  verbed: string,
): Promise<void> {
  const { output } = cli.options;
  if (output === 'json' || output === 'yaml') return printDocument(cli, answer);
  cli.print(output === 'name' ? name : `${name} ${verbed}`);
  if (output !== 'name' && answer.message) cli.say(answer.message);
}

export async function printDocument(cli: Cli, document: object): Promise<void> {
  if (cli.options.output === 'json') return cli.print(visibleJson(JSON.stringify(document, null, 2)));
  const { stringify } = await import('yaml');
  cli.print(stringify(document, { lineWidth: 0 }).trimEnd());
}
