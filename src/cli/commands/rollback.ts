import { CutoverError } from '../../errors.ts';
import type { MigrationView, NodeView } from '../../store/views.ts';
import { confirm } from '../ask.ts';
import type { Register } from '../command.ts';
import { migrationOption, needReason, path, requiredReason } from '../migration-option.ts';
import { postAct } from '../post-act.ts';
import { suggestion } from '../../server/suggestion.ts';

interface Options {
  migration: string;
  node?: string;
  wave?: string;
  all?: boolean;
  reason: string;
  yes?: boolean;
  dryRun?: boolean;
}

export const rollback: Register = (command, cli) => {
  command
    .option('--node <name>', 'take one node back')
    .option('--wave <id>', 'take one wave back')
    .option('--all', 'take everything back, and end the migration')
    .addOption(migrationOption())
    .addOption(requiredReason())
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'list the nodes that would go back, and do nothing')
    .action(async ({ migration, node, wave, all, reason, yes, dryRun }: Options) => {
      if ([node, wave, all].filter((scope) => scope !== undefined).length !== 1)
        throw new CutoverError('Usage', 'say what goes back: one of --node NAME, --wave ID, --all', {
          remedy: 'see `cutover rollback --help`',
        });
      if (!dryRun) needReason(reason, 'a rollback');
      const view = await cli.api().get<MigrationView>(path('migrations', migration));
      const affected = affectedNodes(view, node, wave);
      if (dryRun)
        return cli.print(
          affected.length === 0
            ? 'no node would go back (dry run)'
            : affected.map(({ name, state }) => `node/${name} would go back (now ${state}, dry run)`),
        );
      const scope = node !== undefined ? { node } : wave !== undefined ? { wave } : { all: true };
      const question = `Take ${node !== undefined ? `node ${node}` : wave !== undefined ? `wave ${wave}` : 'everything'} back to ${view.from}: ${affected.length} node${affected.length === 1 ? '' : 's'} (${affected.map(({ name }) => name).join(', ') || 'none has begun'})?`;
      if (await confirm(cli, question, yes ?? false))
        await postAct(cli, `${path('migrations', view.id)}/rollback`, { scope, reason }, 'rolling back', node);
    });
};

/** Nodes that have left the old network, or are on their way. @throws CutoverError NotFound for a name the plan lacks */
function affectedNodes(view: MigrationView, node: string | undefined, wave: string | undefined): NodeView[] {
  const waves = view.stages.flatMap((stage) => stage.waves);
  const missing = (kind: string, name: string, known: string[]): never => {
    throw new CutoverError('NotFound', `migration ${view.id} has no ${kind} ${name}`, {
      remedy: suggestion(name, known, kind),
    });
  };
  if (wave !== undefined && !waves.some(({ id }) => id === wave))
    missing(
      'wave',
      wave,
      waves.map(({ id }) => id),
    );
  const nodes = waves.filter(({ id }) => wave === undefined || id === wave).flatMap((one) => one.nodes);
  if (node !== undefined && !nodes.some(({ name }) => name === node))
    missing(
      'node',
      node,
      nodes.map(({ name }) => name),
    );
  return nodes.filter(
    ({ name, state }) =>
      (node === undefined || name === node) &&
      ['running', 'waiting', 'migrated', 'held', 'rolling-back'].includes(state),
  );
}
