import type { PlanView } from '../../server/plan-views.ts';
import type { GateView, MigrationSummary, MigrationView } from '../../store/views.ts';
import type { Register } from '../command.ts';
import { outputs } from '../cli.ts';
import { commands } from '../commands.ts';
import { path } from '../migration-option.ts';

/** A shell that waits for names is a shell that hangs. */
const patienceMs = 1_500;

/** What stands at the first place of a command. */
const firstArguments: { [command: string]: 'migration' | 'gate' | 'node' | 'plan' } = {
  status: 'migration',
  report: 'migration',
  pause: 'migration',
  resume: 'migration',
  abort: 'migration',
  gates: 'gate',
  approve: 'gate',
  reject: 'gate',
  why: 'node',
  history: 'node',
  retry: 'node',
  skip: 'node',
  plan: 'plan',
  preflight: 'plan',
  launch: 'plan',
};

/** Words that stand at the first place of a command, or before what stands there. */
const fixed: { [command: string]: string[] } = {
  policy: ['report'],
  completion: ['bash', 'zsh', 'fish'],
  audit: ['list', 'verify', 'export'],
  capture: ['show'],
  gates: ['show', 'refresh'],
};
const optionValues: { [option: string]: string[] } = {
  '-o': [...outputs],
  '--output': [...outputs],
  '--after': ['now', 'node', 'wave'],
  '--mode': ['rollback', 'hold'],
  '--format': ['ndjson', 'csv'],
};

export const complete: Register = (command, cli) => {
  const ask = <T>(url: string): Promise<T> => cli.api().get<T>(url, { timeoutMs: patienceMs });

  const names = async (kind: string, migration: string): Promise<string[]> => {
    switch (kind) {
      case 'migration':
        return (await ask<{ items: MigrationSummary[] }>('/v1/migrations')).items.map(({ id }) => id);
      case 'plan':
        return (await ask<{ items: PlanView[] }>('/v1/plans')).items.map(({ hash }) => hash.slice(0, 12));
      case 'gate':
        return (await ask<{ items: GateView[] }>(path('migrations', migration, 'gates'))).items.map(({ id }) => id);
      case 'wave':
        return (await ask<MigrationView>(path('migrations', migration))).stages.flatMap(({ waves }) =>
          waves.map(({ id }) => id),
        );
      default:
        return (await ask<MigrationView>(path('migrations', migration))).stages.flatMap(({ waves }) =>
          waves.flatMap(({ nodes }) => nodes.map(({ name }) => name)),
        );
    }
  };

  command
    .argument('[words...]', 'the command line so far, without `cutover`; the last word is the one to complete')
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const current = words.at(-1) ?? '';
      const before = words.slice(0, -1);
      const found = await candidates(before, current, names).catch(() => []);
      cli.print(found.filter((name) => name.startsWith(current)));
    });
};

async function candidates(
  before: readonly string[],
  current: string,
  names: (kind: string, migration: string) => Promise<string[]>,
): Promise<string[]> {
  const last = before.at(-1) ?? '';
  const entry = commands.find(({ name, hidden }) => !hidden && before.includes(name));
  const at = before.findIndex((word) => word === '-m' || word === '--migration');
  const migration = (at >= 0 ? before[at + 1] : undefined) ?? 'latest';
  if (last === '-m' || last === '--migration') return names('migration', '');
  if (last === '--node') return names('node', migration);
  if (last === '--wave') return names('wave', migration);
  if (last === '--gate') return names('gate', migration);
  if (optionValues[last]) return optionValues[last];
  if (last === '-f' || last === '--file' || last === '--out') return [];
  if (!entry) return commands.flatMap(({ name, hidden }) => (hidden ? [] : [name]));
  const said = before.slice(before.indexOf(entry.name) + 1);
  const chosen = fixed[entry.name]?.find((word) => said.includes(word));
  if (current.startsWith('-')) return optionsOf(entry.name, chosen);
  const words = chosen ? [] : (fixed[entry.name] ?? []);
  const kind = firstArguments[entry.name];
  if (!kind) return words;
  const found = await names(kind, migration).catch(() => []);
  return [...words, ...found, ...(kind === 'migration' || kind === 'plan' ? ['latest'] : [])];
}

/** The options of a command and of the one below it that is chosen, as commander knows them. */
async function optionsOf(name: string, chosen: string | undefined): Promise<string[]> {
  const { Command } = await import('commander');
  const entry = commands.find((one) => one.name === name)!;
  const probe = new Command(name);
  (await entry.load())(probe, undefined as never);
  const below =
    probe.commands.find((one) => one.name() === chosen) ?? (probe.options.length === 0 && probe.commands[0]);
  const own = [...probe.options, ...(below ? below.options : [])].flatMap(({ long }) => (long ? [long] : []));
  return [...new Set([...own, '--output', '--server', '--as', '--no-color'])];
}
