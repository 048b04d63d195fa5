import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckRow } from '../checks/target.ts';
import { install, nodesOf } from '../support/cutover.ts';
import { fidelityPage } from './fidelity-page.ts';
import { keepResult, readResults, resultsFolder, type Result, type StepTime } from './results.ts';
import { runLogged } from './run.ts';
import { oneWave, stepTimes } from './scenarios/harness.ts';
import { source } from './settings.ts';

const file = join(source.repository, 'docs', 'fidelity.md');

/** Measures the simulator, and writes docs/fidelity.md: what it and the lab said of the same things. */
export async function fidelity(say: (line: string) => void): Promise<void> {
  await measureSimulator(say);
  const results = readResults();
  const named = (scenario: string): Result | undefined => results.find((result) => result.scenario === scenario);
  writeFileSync(
    file,
    fidelityPage({
      simulator: named('simulator'),
      checks: named('checks'),
      migration: named('migration'),
      flips: results.filter(({ flips = [] }) => flips.length > 0),
      more: results.filter(({ scenario }) => /^(policy|policies|evidence)/.test(scenario)),
    }),
  );
  say(`written: ${file}; measured: ${resultsFolder}`);
}

/** Runs in the simulator what the lab runs as the scenarios `checks` and `migration`, and keeps what it measured. */
async function measureSimulator(say: (line: string) => void): Promise<void> {
  const checks = await simulatedChecks(say);
  say(`the simulator gave ${checks.length} verdicts; now a migration at speed 1, a few minutes`);
  const { steps, seconds } = await simulatedMigration();
  const notes = [`load of the machine ${loadavg()[2]!.toFixed(1)} on ${availableParallelism()} processors`];
  keepResult({ scenario: 'simulator', at: new Date().toISOString(), seconds, steps, checks, notes });
}

async function simulatedChecks(say: (line: string) => void): Promise<CheckRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-fidelity-'));
  const rows = join(folder, 'rows.json');
  const vitest = join(source.repository, 'node_modules', '.bin', 'vitest');
  try {
    await runLogged(vitest, ['run', 'test/checks/simulated.test.ts'], {
      cwd: source.repository,
      env: { ...process.env, CUTOVER_CHECK_ROWS: rows },
      log: join(folder, 'vitest.log'),
      title: "the checks' cases against the simulator",
      say,
    });
    return JSON.parse(readFileSync(rows, 'utf8')) as CheckRow[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function simulatedMigration(): Promise<{ steps: StepTime[]; seconds: number }> {
  const installation = await install('three-nodes', { speed: 1 });
  try {
    const started = Date.now();
    await installation.launch(oneWave);
    const view = await installation.reach('completed', 1_200_000);
    const seconds = (Date.now() - started) / 1000;
    const steps: StepTime[] = [];
    for (const { name } of nodesOf(view)) steps.push(...stepTimes(await installation.json('history', name)));
    return { steps, seconds };
  } finally {
    await installation.stop();
  }
}
