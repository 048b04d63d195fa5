import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Evidence } from '../../../activities/types.ts';
import { verdictCounts } from '../../checks/acknowledge.ts';
import { CutoverError } from '../../errors.ts';
import type { TrafficReport } from '../../simulator/types.ts';
import type { PlanView } from '../../server/plan-views.ts';
import type { Cli } from '../cli.ts';
import { createApi, type Api } from '../client.ts';
import { path } from '../migration-option.ts';
import { startParts } from '../parts.ts';
import { preflightLines } from '../render/preflight-lines.ts';
import { planLines } from '../render/plan-lines.ts';
import { untilStopped } from '../signals.ts';
import { precise } from '../time.ts';
import { requester, type DemoOptions } from './demo-options.ts';
import { demoPlan } from './demo-plan.ts';
import { demoReport } from './report.ts';
import { startSimulationProcess } from './simulation-process.ts';
import { createStory } from './story.ts';
import { watchAndDecide } from './watch-and-decide.ts';

const slowMs = 330_000;

/** The whole of it on one machine, in one folder: sets up, migrates, decides, reports, clears away. */
export async function runDemo(cli: Cli, options: DemoOptions): Promise<void> {
  const { style } = cli;
  const home = mkdtempSync(join(tmpdir(), 'cutover-demo-'));
  const started = Date.now();
  const stops: (() => Promise<unknown>)[] = [];
  const { stopped, forget } = untilStopped(() => process.exit(130));
  const interrupted = new AbortController();
  void stopped.then(() => interrupted.abort());
  const story = createStory(style);
  let chapter = 0;
  const narrate = (text: string): void => cli.print(['', style.bold(`${++chapter}. ${text}`)]);
  let keep = options.keep;

  try {
    narrate(
      `Starting: a simulated cluster (${options.scenario}) under live traffic, Temporal, a worker, and Cutover's server.`,
    );
    const { simulation, parts } = await startBoth(cli, options.scenario, home, stops, story.note);
    interrupted.signal.throwIfAborted();
    const as = (actor: string): Api => createApi({ url: parts.url, token: parts.token, actor, timeoutMs: 60_000 });
    const api = as(requester);
    cli.print([
      `ready in ${precise(Date.now() - started)}; look around from another terminal:`,
      `  kubectl --kubeconfig ${simulation.kubeconfig} get nodes,pods -A -o wide`,
      `  CUTOVER_HOME=${home} bin/cutover status -w`,
    ]);

    narrate('The plan, compiled against the cluster. Its SHA-256 names it; what is approved is what runs.');
    const plan = await api.post<PlanView>('/v1/plans', demoPlan(simulation), { timeoutMs: slowMs });
    cli.print(planLines(plan, style));

    narrate('Preflight: everything that must hold before anything is touched.');
    const preflight = await api.post<Evidence>(`${path('plans', plan.hash)}/preflight`, {}, { timeoutMs: slowMs });
    cli.print([...preflightLines(preflight.checks, style), verdictCounts(preflight.checks)]);

    narrate(`${requester} launches it. From here on Temporal holds the state: any process may die.`);
    const launch = { planHash: plan.hash, reason: 'the demo' };
    const { migration } = await api.post<{ migration: string }>('/v1/migrations', launch, { timeoutMs: slowMs });
    let beforeFlip: TrafficReport | undefined;
    const view = await watchAndDecide(cli, {
      atGate: async ({ spec }) => {
        if (spec.note !== undefined) beforeFlip ??= await simulation.traffic();
      },
      migration,
      as,
      story,
      options,
      narrate,
      home,
      signal: interrupted.signal,
    });
    interrupted.signal.throwIfAborted();

    narrate('What came of it.');
    const report = await demoReport(api, view, { beforeFlip, end: await simulation.traffic() }, style);
    cli.print([...report.lines, '', `The demo took ${precise(Date.now() - started)}.`]);
    if (report.failure !== '')
      throw new CutoverError('Internal', `the demo failed: ${report.failure}`, {
        remedy: `its logs and records are in ${home}`,
      });
    cli.print(
      style.green(
        '✔ Done: the network was changed twice under live traffic. Node by node no pod that stayed lost a packet; the flip cost what its note said.',
      ),
    );
  } catch (error) {
    if (!interrupted.signal.aborted) {
      keep = true;
      throw error;
    }
    cli.exitCode = 130;
    cli.say('stopping');
  } finally {
    for (const stop of stops.toReversed()) await stop().catch((error: unknown) => cli.say(String(error)));
    forget();
    if (keep) cli.say(`kept: ${home}`);
    else rmSync(home, { recursive: true, force: true });
  }
}

/** The cluster and Cutover's parts at the same time: both take seconds. `stops`, run backwards, ends the cluster last. */
async function startBoth(
  cli: Cli,
  scenario: string,
  home: string,
  stops: (() => Promise<unknown>)[],
  say: (sentence: string) => void,
) {
  const log = pino({ level: cli.env['CUTOVER_LOG_LEVEL'] || 'warn' }, pino.destination(join(home, 'server.log')));
  const env: NodeJS.ProcessEnv = { ...cli.env, CUTOVER_HOME: home };
  delete env['CUTOVER_TOKEN'];
  // One that fails must not leave the other behind, so both are waited for.
  const [simulated, started] = await Promise.allSettled([
    startSimulationProcess(scenario, join(home, 'cluster'), join(home, 'cluster.log'), env),
    startParts({ directory: home, port: 0, env, log, say, workerLog: join(home, 'worker.log') }),
  ]);
  if (simulated.status === 'fulfilled') stops.push(simulated.value.stop);
  if (started.status === 'fulfilled') stops.push(started.value.stop);
  if (simulated.status === 'rejected') throw simulated.reason;
  if (started.status === 'rejected') throw started.reason;
  return { simulation: simulated.value, parts: started.value };
}
