import type { Accepted } from '../../server/acts.ts';
import type { GateView } from '../../store/views.ts';
import type { Cli } from '../cli.ts';
import type { Register } from '../command.ts';
import { migrationOption, path, reasonOption } from '../migration-option.ts';
import { printList, printMutation, printObject } from '../output.ts';
import { gateLines } from '../render/gate-lines.ts';
import { age, clock } from '../time.ts';

export const gates: Register = (command, cli) => {
  command
    .argument('[gate]', 'id of a gate: shows it whole, as `gates show` does')
    .addOption(migrationOption())
    .action((gate: string | undefined, { migration }: { migration: string }) =>
      gate === undefined ? list(cli, migration) : show(cli, migration, gate),
    );

  command
    .command('show <gate>')
    .description('one gate whole: its evidence, what changed since the evidence before, what rolling back would cost')
    .addOption(migrationOption())
    .action((gate: string, { migration }: { migration: string }) => show(cli, migration, gate));

  command
    .command('refresh <gate>')
    .description('take the evidence of an open gate anew; approvals of the older evidence count no more')
    .addOption(migrationOption())
    .addOption(reasonOption())
    .action(async (gate: string, { migration, reason }: { migration: string; reason: string }) => {
      const view = await gateOf(cli, migration, gate);
      const url = `${path('migrations', view.migration, 'gates', gate)}/refresh`;
      const answer = await cli.api().post<Accepted>(url, { reason });
      await printMutation(cli, answer, `gate/${gate}`, 'asked anew');
    });
};

const gateOf = (cli: Cli, migration: string, gate: string): Promise<GateView> =>
  cli.api().get<GateView>(path('migrations', migration, 'gates', gate));

async function show(cli: Cli, migration: string, gate: string): Promise<void> {
  const found = await gateOf(cli, migration, gate);
  return printObject(cli, found, `gate/${found.id}`, () => gateLines(found, { now: Date.now(), style: cli.style }));
}

async function list(cli: Cli, migration: string): Promise<void> {
  const now = Date.now();
  const { items } = await cli.api().get<{ items: GateView[] }>(path('migrations', migration, 'gates'));
  await printList(cli, items, {
    kind: 'gate',
    name: ({ id }) => id,
    none: 'the migration has not come to a gate yet',
    columns: [
      { header: 'NAME', value: ({ id }) => id },
      { header: 'STATUS', value: ({ state }) => (state === 'open' ? cli.style.yellow('‖ open') : state) },
      { header: 'EVIDENCE', value: ({ evidence }) => evidence.verdict },
      {
        header: 'APPROVALS',
        value: ({ spec, decisions }) =>
          `${decisions.filter(({ verdict }) => verdict === 'approve').length}/${spec.approvals}`,
      },
      { header: 'NEEDS', value: ({ needs, state }) => (state === 'open' ? needs.join('; ') : '') },
      {
        header: 'TIME-LIMIT',
        value: ({ expiresAt, atTimeout, state }) =>
          state !== 'open' ? '' : expiresAt === '' ? 'none' : `${clock(expiresAt)}, then ${atTimeout}`,
      },
      { header: 'DECIDED-BY', value: ({ decisions }) => decisions.map(({ actor }) => actor).join(','), wide: true },
      { header: 'DIGEST', value: ({ evidence }) => evidence.digest.slice(0, 12), wide: true },
      { header: 'AGE', value: ({ openedAt }) => age(openedAt, now) },
    ],
  });
  const [open] = items.filter(({ state }) => state === 'open');
  if (open && cli.options.output === 'table') cli.say(`read its evidence with: cutover gates show ${open.id}`);
}
