import { reset } from '../cluster/up.ts';
import { resultLines } from '../result-lines.ts';
import { keepResult, type Result } from '../results.ts';
import { nodeNames, nodeSeconds, oneWave, startLab, stepTimes } from '../scenarios/harness.ts';
import { inNode } from '../cluster/node.ts';
import { migrateWithCalicosJob } from './fmc.ts';
import { residueOf } from './residue.ts';

const say = (line: string): void => console.error(line);
/** After its end: stale entries of conntrack failed connections for up to 109 s (§0a.23). */
const watchMs = 110_000;

/** Cutover, then Calico's own Job, on the same cluster from the same start; prints both, and what matters side by side. */
async function main(): Promise<void> {
  const which = process.argv.slice(2);
  const results: Result[] = [];
  if (which.length === 0 || which.includes('cutover')) results.push(await withCutover());
  if (which.length === 0 || which.includes('job')) {
    await reset(say);
    results.push(await migrateWithCalicosJob(say, watchMs));
  }
  for (const result of results) keepResult(result);
  for (const line of [...resultLines(results), '', ...sideBySide(results)]) console.log(line);
}

async function withCutover(): Promise<Result> {
  const lab = await startLab();
  try {
    const recorder = await lab.record();
    const startedAt = Date.now();
    await lab.launch(oneWave);
    await lab.reach('completed', 600_000);
    const seconds = (Date.now() - startedAt) / 1000;
    say(`Cutover has ended after ${seconds.toFixed(0)} s; the clients are watched on`);
    await new Promise((resolve) => setTimeout(resolve, watchMs));
    const histories = await Promise.all(nodeNames.map((node) => lab.history(node)));
    return {
      scenario: 'compare: Cutover',
      seconds,
      nodeSeconds: nodeSeconds(histories),
      steps: histories.flatMap(stepTimes),
      judged: await lab.judge(recorder),
      residue: await residueOf((node, script) => inNode(node, ['sh', '-c', script])),
    };
  } finally {
    await lab.stop();
  }
}

function sideBySide(results: readonly Result[]): string[] {
  const row = (what: string, value: (result: Result) => string) =>
    `${what.padEnd(44)}${results.map((result) => value(result).padEnd(28)).join('')}`;
  const nodes = (result: Result) => result.judged?.nodes ?? [];
  const each = (result: Result, value: (node: ReturnType<typeof nodes>[number]) => unknown) =>
    nodes(result)
      .map((node) => String(value(node)))
      .join(' / ');
  return [
    row('', ({ scenario }) => scenario.replace('compare: ', '')),
    row('all, seconds', ({ seconds = 0 }) => seconds.toFixed(0)),
    row('each node, seconds', ({ nodeSeconds = {} }) =>
      Object.values(nodeSeconds)
        .map((took) => took.toFixed(0))
        .join(' / '),
    ),
    row('bystander packets lost', ({ judged }) => `${judged?.bystanders.lost} of ${judged?.bystanders.sent}`),
    row('packets of moved pods lost', ({ judged }) => `${judged?.moved.lost} of ${judged?.moved.sent}`),
    row('ClusterIP calls failed', ({ judged }) => `${judged?.services.lost} of ${judged?.services.sent}`),
    row('DNS look-ups failed', ({ judged }) => `${judged?.dns.lost} of ${judged?.dns.sent}`),
    row('NodePort of a moving node dark, seconds', (result) => each(result, (node) => node.nodePortDarkSeconds)),
    row('NodePort failures after that', (result) => each(result, (node) => node.nodePortLostLater)),
    row('hostPort dark, seconds', (result) => each(result, (node) => node.hostPortDarkSeconds)),
    row('hostPort works at the end', (result) => each(result, (node) => (node.hostPortWorks ? 'yes' : 'NO'))),
    row('hostPort answered by another pod', (result) => each(result, (node) => node.hostPortWrong)),
    row('things left behind', ({ residue = [] }) => String(residue.length)),
    row('canary lost, p99 ms', ({ judged }) => `${judged?.canary.lost}, ${judged?.canary.p99Ms.toFixed(1)}`),
  ];
}

await main();
