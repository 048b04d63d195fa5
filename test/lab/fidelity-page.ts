import type { CheckRow } from '../checks/target.ts';
import type { Result, StepTime } from './results.ts';

/** Results of the simulator and of scenarios of the lab; what has not run is said to be missing. */
export interface Measured {
  simulator: Result | undefined;
  checks: Result | undefined;
  migration: Result | undefined;
  /** Scenarios that flipped the whole cluster. */
  flips?: readonly Result[];
  /** What else was measured on the lab, in sentences: policies, evidence. */
  more?: readonly Result[];
}

export function fidelityPage({ simulator, checks, migration, flips = [], more = [] }: Measured): string {
  return `# Fidelity: the simulator beside the lab

The simulator is a model, and a model can be wrong. So both clusters are broken in the same ways and asked by the same checks
([cases](../test/checks/cases.ts), [damages](../test/checks/damages.ts)), and both run the same migration. Where they differ,
the model is what changes. This page is written by \`npm run lab -- fidelity\`, from what was measured last.

- simulator: ${measuredAt(simulator)}
- lab, checks: ${measuredAt(checks)}
- lab, migration: ${measuredAt(migration)}

## What the checks say

Simulator: speed 1, so that a time-out takes as long as a real one.

${verdictTable(simulator?.checks ?? [], checks?.checks ?? [])}

## How long each step takes

Seconds, the mean of the three workers, migrated one after the other in one wave. Simulator: scenario \`three-nodes\` at
speed 1, so that Cutover's own time counts once, as it does in the lab. Both figures hold the time of Cutover, of Temporal and
of SSH on the machine that ran them, and whatever else it had to do. Moving the pods away depends on the workload, which is
alike and not the same.

${stepTable(simulator?.steps ?? [], migration?.steps ?? [])}
${flipSection(flips)}${moreSection(more)}`;
}

const measuredAt = (result: Result | undefined): string =>
  result === undefined
    ? 'not run yet'
    : [`run on ${result.at?.slice(0, 16).replace('T', ' ') ?? 'an unknown day'}`, ...(result.notes ?? [])].join('; ');

/** One row a case and check. A verdict that differs is marked; one that only one side gave cannot differ. */
function verdictTable(simulated: readonly CheckRow[], real: readonly CheckRow[]): string {
  const key = ({ scenario, check }: CheckRow) => `${scenario}\n${check}`;
  const inSimulator = new Map(simulated.map((row) => [key(row), row]));
  const inLab = new Map(real.map((row) => [key(row), row]));
  let scenario = '';
  let [same, differ] = [0, 0];
  const rows = [...new Map([...inSimulator, ...inLab]).keys()].map((each) => {
    const [one, other] = [inSimulator.get(each), inLab.get(each)];
    const isOther = one !== undefined && other !== undefined && one.verdict !== other.verdict;
    if (isOther) differ += 1;
    else if (one && other) same += 1;
    const [name = '', check = ''] = each.split('\n');
    const title = name === scenario ? '' : name;
    scenario = name;
    return `| ${title} | \`${check}\` | ${verdict(one)} | ${verdict(other)} | ${isOther ? '**differs**' : ''} |`;
  });
  return [
    `${count(same + differ, 'verdict')} of both: ${same} alike, ${differ} different. The numbers are milliseconds of asking; checks of
one layer that ask one pod share theirs.`,
    '',
    '| scenario | check | simulator | lab | |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

const verdict = (row: CheckRow | undefined): string => (row === undefined ? '–' : `${row.verdict} (${row.ms})`);

function stepTable(simulated: readonly StepTime[], real: readonly StepTime[]): string {
  const ofNodes = (steps: readonly StepTime[]) =>
    steps.filter(({ node, direction }) => node.startsWith('worker-') && direction === 'forward');
  const [one, other] = [ofNodes(simulated), ofNodes(real)];
  const titles = [...new Set([...one, ...other].map(({ step }) => step))];
  const row = (title: string, of: (steps: readonly StepTime[]) => number | undefined): string =>
    `| ${title} | ${seconds(of(one))} | ${seconds(of(other))} |`;
  return [
    '| step | simulator | lab |',
    '|---|---:|---:|',
    ...titles.map((title) => row(title, (steps) => perNode(steps.filter(({ step }) => step === title)))),
    row('all steps of a node', perNode),
  ].join('\n');
}

/** The model has the gaps of §0a.9 of the migration facts; here is what the lab lost, at 200 packets a second and pair. */
function flipSection(results: readonly Result[]): string {
  const rows = results.flatMap(({ scenario, flips = [] }) =>
    flips.map(
      ({ name, seconds: took, lost, blackoutMs, breaks, canaryLost }) =>
        `| ${scenario.replace('bgp: ', '')} | ${name} | ${took.toFixed(1)} | ${lost} | ${blackoutMs} | ${breaks} | ${canaryLost} |`,
    ),
  );
  if (rows.length === 0) return '';
  return `
## What the flips of the BGP stage cost

On the lab, between pods on different nodes: 200 packets a second for each pair and direction. The simulator's gaps are those
of §0a.9 of the [migration facts](facts.md).

| scenario | flip | step, s | packets lost, all pairs | longest blackout, ms | connections broken | canary lost |
|---|---|---:|---:|---:|---:|---:|
${rows.join('\n')}
`;
}

const moreSection = (results: readonly Result[]): string =>
  results
    .filter(({ notes = [] }) => notes.length > 0)
    .map(
      ({ scenario, at, notes = [] }) => `
## The scenario \`${scenario}\` on the lab

Run on ${at?.slice(0, 16).replace('T', ' ') ?? 'an unknown day'}.

\`\`\`
${notes.join('\n')}
\`\`\`
`,
    )
    .join('');

/** Mean over the nodes that have such a step; tries of one node add up. */
function perNode(steps: readonly StepTime[]): number | undefined {
  const nodes = new Set(steps.map(({ node }) => node));
  if (nodes.size === 0) return undefined;
  return steps.reduce((sum, step) => sum + step.seconds, 0) / nodes.size;
}

const seconds = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(1));
const count = (number: number, one: string): string => `${number} ${one}${number === 1 ? '' : 's'}`;
