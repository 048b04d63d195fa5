import type { CompiledPlan, CompiledStage, CompiledWave, PlannedNode } from './types.ts';

/**
 * Seconds that things took on a real cluster by hand: 26 to 44 s a node in all, of it evictions 0 to 20 s, kubelet down
 * 5 to 9 s, the agent 4 to 8 s, kubelet's back-off behind the fence 9 to 12 s (§0a.13 of the migration facts); a roll of
 * a DaemonSet 10 s for 3 nodes (§0a.1).
 */
const measured = {
  /** Of a node without pods: kubelet, fence, agent, back-off, probes. */
  node: 26,
  /** Of a pod that has to leave: its eviction and its share of the purge. */
  pod: 0.6,
  /** Of the last pod of a node to end, when there are pods: half of the usual grace period of 30 s. */
  grace: 10,
  /** Of one node in a rolling change of a DaemonSet. */
  roll: 3.5,
  /** Of a node in a cluster-wide cleaning. */
  clean: 2,
  /** Of the other cluster steps of a stage, before and after. */
  prepare: 20,
  finalize: 25,
};

interface Task {
  zone: string;
  seconds: number;
}

/**
 * How long a plan takes when nothing goes wrong and nobody is waited for, in seconds. `workSeconds` is when something
 * is done, `soakSeconds` what soaks of nodes and gates add to it; the time that people take to decide is in neither.
 */
export function estimate(
  stages: readonly CompiledStage[],
  strategy: CompiledPlan['strategy'],
  podsByNode: { [node: string]: number },
): CompiledPlan['estimate'] {
  const nodeSeconds = (name: string): number => {
    const pods = podsByNode[name] ?? 0;
    return measured.node + (pods > 0 ? measured.grace : 0) + pods * measured.pod;
  };
  const moving = (wave: CompiledWave): PlannedNode[] => wave.nodes.filter(({ adopted }) => !adopted);
  const nodes = stages.flatMap((stage) => stage.waves.flatMap(moving));
  let work = 0;
  let soak = 0;
  for (const stage of stages) {
    const size = stage.waves.reduce((sum, wave) => sum + wave.nodes.length, 0);
    work += measured.prepare + measured.finalize + size * (2 * measured.roll + measured.clean);
    soak += stage.finalizeGate?.soakSeconds ?? 0;
    for (const wave of stage.waves) {
      const tasks = (extra: number): Task[] =>
        moving(wave).map(({ name, zone }) => ({ zone, seconds: nodeSeconds(name) + extra }));
      const alone = makespan(tasks(0), strategy);
      work += alone;
      soak += makespan(tasks(strategy.nodeSoakSeconds), strategy) - alone + (wave.gate?.soakSeconds ?? 0);
    }
  }
  const perNode = nodes.reduce((sum, { name }) => sum + nodeSeconds(name), 0) / Math.max(1, nodes.length);
  return { perNodeSeconds: Math.round(perNode), workSeconds: Math.round(work), soakSeconds: Math.round(soak) };
}

/** Wall time of tasks that start in order as soon as a slot, in all and in their zone, is free. */
function makespan(tasks: readonly Task[], { maxUnavailable, maxUnavailablePerZone }: CompiledPlan['strategy']): number {
  const waiting = [...tasks];
  let running: (Task & { end: number })[] = [];
  let now = 0;
  while (waiting.length > 0 || running.length > 0) {
    for (let index = 0; index < waiting.length && running.length < maxUnavailable;) {
      const task = waiting[index]!;
      if (running.filter(({ zone }) => zone === task.zone).length < maxUnavailablePerZone) {
        waiting.splice(index, 1);
        running.push({ ...task, end: now + task.seconds });
      } else index++;
    }
    now = Math.min(...running.map(({ end }) => end));
    running = running.filter(({ end }) => end > now);
  }
  return now;
}
