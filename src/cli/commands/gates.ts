import type { GateView } from '../../store/views.ts';
import type { Register } from '../command.ts';
import { migrationOption, path } from '../migration-option.ts';
import { printList, printObject } from '../output.ts';
import { gateLines } from '../render/gate-lines.ts';
import { age, clock } from '../time.ts';

export const gates: Register = (command, cli) => {
  command
    .argument('[gate]', 'id of a gate: shows it whole, with its evidence')
    .addOption(migrationOption())
    .action(async (gate: string | undefined, { migration }: { migration: string }) => {
      const now = Date.now();
      if (gate !== undefined) {
        const found = await cli.api().get<GateView>(path('migrations', migration, 'gates', gate));
        return printObject(cli, found, `gate/${found.id}`, () => gateLines(found, { now, style: cli.style }));
      }
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
      if (open && cli.options.output === 'table') cli.say(`read its evidence with: cutover gates ${open.id}`);
    });
};
