import { CutoverError } from '../errors.ts';
import type { NodeFacts } from './facts.ts';
import type { PlanPath } from './issues.ts';
import { controlPlaneWave } from './lint.ts';
import { nearest } from './nearest.ts';
import type { MigrationPlan, PlanWave } from './schema.ts';

/** A node as the assignment to waves sees it. */
export interface Candidate {
  facts: NodeFacts;
  /** Value of the label that the plan spreads by, or ``. */
  zone: string;
  pods: number;
}

export interface AssignedWave {
  id: string;
  nodes: Candidate[];
  /** The wave of the plan it comes from; absent for those that are added by themselves. */
  written?: PlanWave;
  /** The beginning of a long wave that runs in parts. */
  part?: true;
}

/**
 * Which node goes in which wave.
 *
 * 1. Waves that select by name or label take their nodes first, whatever their place in the list.
 * 2. Numbers and percentages take from the workers that are left, in the order of the waves. A percentage is of all
 *    nodes of the stage and is rounded up, so that `25%` of 6 nodes is 2 and no percentage is ever nothing. When fewer
 *    workers are left, the wave takes those.
 * 3. The first wave is a canary when it is a number or a percentage: of the zones with most nodes, the nodes with fewest
 *    pods, ready ones before others.
 * 4. Workers that are left over follow in a wave `rest`.
 * 5. A wave `rest` of the plan may be empty and is then left out; any other wave without a node is an error.
 * 6. Control-plane nodes come last, each in a wave of its own: one at a time, and a person or a gate can stop between
 *    two. When every node is a control plane there is nobody to go before them: they are treated as workers.
 *
 * Adopted nodes are on the new network already and come before all others, in waves of their own that only ever go back:
 * `adopted`, `adopted-control-plane`. A wave of the plan for which nothing but these was meant is left out.
 *
 * Within a wave, neighbours come from different zones as long as there are any. A wave of more than 250 nodes is run in
 * parts, `rest-part-1`, …, `rest`; its gate follows the last.
 *
 * @throws CutoverError WaveEmpty naming the wave | PlanInvalid for a node that does not exist or is named twice
 */
export function assignWaves(all: readonly Candidate[], strategy: MigrationPlan['spec']['strategy']): AssignedWave[] {
  const adopted = all.filter(({ facts }) => facts.adopted);
  const nodes = all.filter(({ facts }) => !facts.adopted);
  // In a cluster of control planes alone they are treated as workers.
  const goesLast = ({ facts }: Candidate): boolean =>
    facts.controlPlane && all.some((other) => !other.facts.controlPlane);
  const pool = nodes.filter((node) => !goesLast(node));
  const controlPlane = nodes.filter(goesLast);
  const left = new Set(pool);
  const take = (taken: Candidate[]): Candidate[] => {
    for (const node of taken) left.delete(node);
    return taken;
  };

  const selected = new Map<PlanWave, Candidate[]>();
  for (const [index, wave] of strategy.waves.entries()) {
    const path: PlanPath = ['spec', 'strategy', 'waves', index, 'nodes'];
    if (Array.isArray(wave.nodes)) {
      const names = wave.nodes.filter((name) => adopted.every(({ facts }) => facts.name !== name));
      selected.set(wave, take(names.map((name) => named(name, wave, { path, nodes, left, controlPlane }))));
    } else if (typeof wave.nodes === 'object') {
      const { matchLabels } = wave.nodes;
      selected.set(wave, take(interleave([...left].filter(({ facts }) => hasLabels(facts.labels, matchLabels)))));
    }
  }

  const waves = strategy.waves
    .map((wave, index): AssignedWave => {
      const size = typeof wave.nodes === 'object' ? 0 : sizeOf(wave.nodes, all.length, left.size);
      const chosen = selected.get(wave) ?? take(choose([...left], size, index === 0));
      if (chosen.length === 0 && wave.nodes !== 'rest' && adopted.length === 0)
        throw emptyWave(wave, index, controlPlane.length);
      return { id: wave.name, nodes: chosen, written: wave };
    })
    .filter((wave) => wave.nodes.length > 0);
  const names = new Set(waves.map(({ id }) => id));
  if (left.size > 0) waves.push({ id: unused('rest', names), nodes: interleave([...left]) });
  waves.push(...oneByOne(controlPlaneWave, controlPlane));
  const before = adopted.filter((node) => !goesLast(node));
  return [
    ...(before.length > 0 ? [{ id: unused('adopted', names), nodes: interleave(before) }] : []),
    ...oneByOne(unused(`adopted-${controlPlaneWave}`, names), adopted.filter(goesLast)),
    ...waves,
  ].flatMap(inParts);
}

const oneByOne = (id: string, nodes: readonly Candidate[]): AssignedWave[] =>
  nodes.map((node, index) => ({ id: nodes.length === 1 ? id : `${id}-${index + 1}`, nodes: [node] }));

/** About 7.5 events a node in the wave's own history: measured 3,830 for 500 nodes, and no history may pass 4,000. */
const mostNodes = 250;

/** A long wave runs in parts, one after the other; the last keeps the wave's name and with it its gate. */
function inParts({ id, nodes, written }: AssignedWave): AssignedWave[] {
  const parts: AssignedWave[] = [];
  for (let from = 0; nodes.length - from > mostNodes; from += mostNodes)
    parts.push({ id: `${id}-part-${parts.length + 1}`, nodes: nodes.slice(from, from + mostNodes), part: true });
  return [...parts, { id, nodes: nodes.slice(parts.length * mostNodes), ...(written ? { written } : {}) }];
}

export const hasLabels = (labels: { [key: string]: string }, wanted: { [key: string]: string }): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** Nodes that a percentage of `total` is: rounded up for waves, so that it is never nothing. */
const sizeOf = (written: number | string, total: number, left: number): number => {
  if (written === 'rest') return left;
  if (typeof written === 'number') return written;
  return Math.ceil((total * Number.parseInt(written, 10)) / 100);
};

function choose(from: Candidate[], size: number, canary: boolean): Candidate[] {
  if (!canary) return interleave(from).slice(0, size);
  const zoneSizes = Map.groupBy(from, ({ zone }) => zone);
  const zoneSize = (zone: string): number => zoneSizes.get(zone)?.length ?? 0;
  const order = from.toSorted(
    (a, b) =>
      Number(b.facts.ready && !b.facts.unschedulable) - Number(a.facts.ready && !a.facts.unschedulable) ||
      zoneSize(b.zone) - zoneSize(a.zone) ||
      a.pods - b.pods,
  );
  return interleave(order, order[0]?.zone).slice(0, size);
}

/**
 * Orders nodes so that neighbours are in different zones whenever that is possible: always from the zone with most
 * nodes left, except the one just used. Within a zone the order stays. Deterministic: ties go to the zone that was
 * first in the list.
 */
export function interleave(nodes: readonly Candidate[], firstZone?: string): Candidate[] {
  const zones = Map.groupBy(nodes, ({ zone }) => zone);
  const ordered: Candidate[] = [];
  let last: string | undefined;
  while (ordered.length < nodes.length) {
    const open = [...zones].filter(([, left]) => left.length > 0);
    const others = open.filter(([zone]) => zone !== last);
    const [zone, left] =
      (ordered.length === 0 && open.find(([name]) => name === firstZone)) ||
      (others.length > 0 ? others : open).reduce((best, entry) => (entry[1].length > best[1].length ? entry : best));
    ordered.push(left.shift()!);
    last = zone;
  }
  return ordered;
}

function named(
  name: string,
  wave: PlanWave,
  {
    path,
    nodes,
    left,
    controlPlane,
  }: { path: PlanPath; nodes: readonly Candidate[]; left: Set<Candidate>; controlPlane: Candidate[] },
): Candidate {
  const refuse = (message: string, remedy: string): never => {
    throw new CutoverError('PlanInvalid', `wave ${wave.name} names ${name}, ${message}`, { remedy, details: { path } });
  };
  const node = nodes.find(({ facts }) => facts.name === name);
  if (!node) {
    const near = nearest(
      name,
      nodes.map(({ facts }) => facts.name),
    );
    return refuse(
      'which is not a node of this migration',
      near ? `did you mean ${near}?` : 'look at `kubectl get nodes` and at spec.exclude',
    );
  }
  if (controlPlane.includes(node))
    return refuse('a control-plane node', 'remove it: control-plane nodes go last by themselves, one at a time');
  if (!left.has(node)) return refuse('which an earlier wave has already', 'name every node once');
  left.delete(node);
  return node;
}

function emptyWave(wave: PlanWave, index: number, controlPlanes: number): CutoverError {
  const why =
    typeof wave.nodes === 'object' && !Array.isArray(wave.nodes)
      ? `no worker that is left carries ${Object.entries(wave.nodes.matchLabels)
          .map(([key, value]) => `${key}=${value}`)
          .join(', ')}`
      : 'the waves before it and those that name their nodes take every worker';
  const note = controlPlanes > 0 ? '; control-plane nodes go last by themselves' : '';
  return new CutoverError('WaveEmpty', `wave ${wave.name} selects no node: ${why}${note}`, {
    details: { path: ['spec', 'strategy', 'waves', index, 'nodes'], wave: wave.name },
  });
}

function unused(name: string, names: Set<string>): string {
  for (let number = 1; ; number++) {
    const id = number === 1 ? name : `${name}-${number}`;
    if (!names.has(id)) return id;
  }
}
