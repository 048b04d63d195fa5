import type { MigrationSummary, MigrationView } from '../../store/views.ts';
import type { Register } from '../command.ts';
import { followStatus, statusExitCode } from '../follow-status.ts';
import { path } from '../migration-option.ts';
import { printList, printObject } from '../output.ts';
import { drawn, migrationMarks } from '../render/glyphs.ts';
import { statusLines } from '../render/status-lines.ts';
import { nonNegative } from '../numbers.ts';
import { age } from '../time.ts';

interface Options {
  all?: boolean;
  watch?: boolean;
  timeout: number;
  detailedExitcode?: boolean;
}

export const status: Register = (command, cli) => {
  command
    .argument('[migration]', 'id of the migration, the start of it, or `latest`', 'latest')
    .option('-A, --all', 'list every migration')
    .option(
      '-w, --watch',
      'follow it until it ends; on a terminal redrawn in place, elsewhere what changed is appended',
    )
    .option('--timeout <seconds>', 'with -w: give up after this long; 0 never', nonNegative, 0)
    .option('--detailed-exitcode', 'exit with 11 at a gate, 12 rejected, 13 rolled back, 124 when --timeout is over')
    .action(async (id: string, options: Options) => {
      if (options.all) return list();
      if (options.watch)
        return void (await followStatus(cli, id, {
          timeoutSeconds: options.timeout,
          detailedExitcode: options.detailedExitcode ?? false,
        }));
      const view = await cli.api().get<MigrationView>(path('migrations', id));
      await printObject(cli, view, `migration/${view.id}`, () =>
        statusLines(view, {
          now: Date.now(),
          width: cli.stdout.columns ?? Infinity,
          style: cli.style,
          nodesShown: Infinity,
        }).map(({ text }) => text),
      );
      if (options.detailedExitcode) cli.exitCode = statusExitCode(view);
    });

  const list = async (): Promise<void> => {
    const { items } = await cli.api().get<{ items: MigrationSummary[] }>('/v1/migrations');
    const now = Date.now();
    await printList(cli, items, {
      kind: 'migration',
      name: ({ id }) => id,
      none: 'there is no migration yet: cutover launch',
      columns: [
        { header: 'NAME', value: ({ id }) => id },
        { header: 'STATUS', value: ({ state }) => drawn(cli.style, migrationMarks[state]) },
        { header: 'FROM', value: ({ from }) => from },
        { header: 'TO', value: ({ to }) => to },
        { header: 'MIGRATED', value: ({ counts }) => `${counts.migrated}/${counts.nodes}` },
        { header: 'FAILURES', value: ({ failures, failureBudget }) => `${failures}/${failureBudget}` },
        { header: 'WAITS-FOR', value: waitsFor },
        { header: 'REQUESTER', value: ({ requester }) => requester, wide: true },
        { header: 'PLAN', value: ({ plan }) => plan.hash.slice(0, 12), wide: true },
        { header: 'CLUSTER', value: ({ cluster }) => cluster.server, wide: true },
        { header: 'AGE', value: ({ startedAt }) => age(startedAt, now) },
      ],
    });
  };
};

function waitsFor({ gate, pause, counts }: MigrationSummary): string {
  if (gate !== '') return `gate/${gate}`;
  if (pause) return `resume (paused by ${pause.actor})`;
  return counts.waiting > 0 ? `a person, for ${counts.waiting} node${counts.waiting > 1 ? 's' : ''}` : '';
}
