import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CutoverError } from '../../errors.ts';
import type { CompiledPlan } from '../../plan/types.ts';
import type { PlanView } from '../../server/plan-views.ts';
import type { Register } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { path } from '../migration-option.ts';
import { printList, printObject } from '../output.ts';
import { planLines } from '../render/plan-lines.ts';
import { age, duration } from '../time.ts';

/** The server waits for a worker to read the cluster. */
const compileMs = 330_000;

interface Options {
  file?: string;
  out?: string;
  detailedExitcode?: boolean;
}

export const plan: Register = (command, cli) => {
  command
    .argument('[plan]', 'hash of a compiled plan, the start of it, or `latest`: shows that one')
    .option('-f, --file <plan.yaml>', 'compile this plan file; - reads standard input')
    .option('--out <file.json>', 'write the compiled plan into this file')
    .option('--detailed-exitcode', 'exit with 10 when there is something to migrate')
    .addHelpText('after', '\nRoutes: flannel-to-calico. Without -f and without a hash the compiled plans are listed.')
    .action(async (hash: string | undefined, options: Options) => {
      if (options.file === undefined && hash === undefined) return list();
      const found = options.file === undefined ? await one(hash!) : await compile(options.file);
      if (options.out !== undefined) writeCompiled(options.out, (await one(found.hash)).plan);
      await printObject(cli, found, `plan/${found.hash}`, () => planLines(found, cli.style));
      if (options.file !== undefined)
        cli.say(`next: cutover preflight ${found.hash.slice(0, 12)}, then cutover launch ${found.hash.slice(0, 12)}`);
      if (options.detailedExitcode && found.nodes > 0) cli.exitCode = exitCodes.changesPending;
    });

  const one = (hash: string): Promise<PlanView & { plan: CompiledPlan }> => cli.api().get(path('plans', hash));

  const compile = (file: string): Promise<PlanView> => {
    const { yaml, baseDirectory } = readPlanFile(file);
    cli.say(`compiling ${file} against the live cluster`);
    return cli.api().post('/v1/plans', { yaml, file, baseDirectory }, { timeoutMs: compileMs });
  };

  const list = async (): Promise<void> => {
    const { items } = await cli.api().get<{ items: PlanView[] }>('/v1/plans');
    const now = Date.now();
    await printList(cli, items, {
      kind: 'plan',
      name: ({ hash }) => hash,
      none: 'no plan has been compiled yet: cutover plan -f plan.yaml',
      columns: [
        { header: 'NAME', value: ({ name }) => name },
        { header: 'PLAN', value: ({ hash }) => (cli.options.output === 'wide' ? hash : hash.slice(0, 12)) },
        { header: 'ROUTES', value: ({ outline }) => outline.map(({ route }) => route).join(',') },
        { header: 'NODES', value: ({ nodes }) => String(nodes) },
        { header: 'WAVES', value: ({ outline }) => String(outline.reduce((sum, { waves }) => sum + waves.length, 0)) },
        { header: 'ESTIMATE', value: ({ estimate }) => duration((estimate.workSeconds + estimate.soakSeconds) * 1000) },
        { header: 'CLUSTER', value: ({ cluster }) => cluster.server, wide: true },
        { header: 'AGE', value: ({ at }) => age(at, now) },
      ],
    });
  };
};

function readPlanFile(file: string): { yaml: string; baseDirectory: string } {
  try {
    if (file === '-') return { yaml: readFileSync(0, 'utf8'), baseDirectory: process.cwd() };
    return { yaml: readFileSync(file, 'utf8'), baseDirectory: dirname(resolve(file)) };
  } catch (cause) {
    throw new CutoverError(
      'PlanInvalid',
      `the plan file ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      {
        remedy: 'check the path; plans/flannel-to-calico.yaml is one to begin with',
        cause,
      },
    );
  }
}

function writeCompiled(file: string, compiled: CompiledPlan): void {
  try {
    writeFileSync(file, `${JSON.stringify(compiled, null, 2)}\n`);
  } catch (cause) {
    throw new CutoverError(
      'Usage',
      `the compiled plan cannot be written to ${file}: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      { remedy: 'check the path', cause },
    );
  }
}
