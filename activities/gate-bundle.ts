import type { Bundle } from '../src/checks/gate-bundle.ts';
import type { CheckContext, Story } from '../src/checks/types.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { changesNodes } from '../src/plan/changes-nodes.ts';
import type { CompiledStage, PlannedNode } from '../src/plan/types.ts';
import { spreadOverZones } from '../src/probe/peers.ts';
import { movedNodes } from './check-context.ts';
import { dispositionOf } from './drain-rules.ts';
import { inParallel } from './in-parallel.ts';

/** Networks whose agents enforce NetworkPolicy. Flannel's does not (§0.15 of the migration facts). */
const enforces: { [network: string]: boolean } = { flannel: false, calico: true, cilium: true };
const longestList = 100;
/** Nodes whose pods are counted; of more, a sample over all zones stands for them. */
const mostCounted = 50;

/** What is no verdict of a check, and belongs to a decision all the same. */
export async function gateBundle(
  context: Omit<CheckContext, 'story'> & { story: Story; now: number },
): Promise<Bundle> {
  const { kubernetes, plan, stage, story, now } = context;
  const [migrated, policies] = await Promise.all([
    stage.bgp?.newPool ? movedNodes(kubernetes, stage) : context.migratedNodes(),
    kubernetes.list(kinds.networkPolicy),
  ]);
  const planned = stage.waves.flatMap(({ nodes }) => nodes);
  const isNew = new Set(migrated);
  const onNew = planned.filter(({ name }) => isNew.has(name));
  const [oldEnforces, newEnforces] = [enforces[stage.from] ?? true, enforces[stage.to] ?? true];
  const enforcing = (newEnforces ? onNew.length : 0) + (oldEnforces ? planned.length - onNew.length : 0);
  // Nobody enforced before the migration, and nothing changed until the first node moved.
  const moved = story.motions.flatMap(({ node, from, to }) => (to !== null && isNew.has(node) ? [{ from, to }] : []));
  const mixed = enforcing > 0 && enforcing < planned.length;
  const since = !mixed
    ? ''
    : new Date(
        moved.length > 0 ? Math.min(...moved.map(({ to }) => to)) * 1000 : Date.parse(story.startedAt),
      ).toISOString();

  const perNode =
    moved.length > 0
      ? moved.reduce((sum, { from, to }) => sum + to - from, 0) / moved.length
      : plan.estimate.perNodeSeconds;
  const clusterWide = !changesNodes(stage);
  const podsMove = movesPodsBack(stage);
  const last = stage.finalize.find(({ pointOfNoReturn }) => pointOfNoReturn);
  return {
    nodes: { of: planned.length, migrated: onNew.map(({ name }) => name).slice(0, longestList) },
    exposure: {
      policies: policies.length,
      enforcing,
      ignoring: planned.length - enforcing,
      since,
      seconds: since === '' ? 0 : Math.max(0, Math.round((now - Date.parse(since)) / 1000)),
    },
    rollback: {
      nodes: clusterWide ? 0 : onNew.length,
      pods: podsMove ? await podsToMove(context, onNew) : 0,
      minutes:
        !podsMove && (clusterWide || onNew.length > 0)
          ? 1
          : Math.ceil((perNode * Math.ceil(onNew.length / plan.strategy.maxUnavailable)) / 60),
      measured: moved.length > 0,
      pointOfNoReturn: last?.title ?? '',
      // A gate stands before it.
      passed: false,
      ...(clusterWide ? { clusterWide } : {}),
    },
  };
}

/** Pods that were made anew with another MTU stay as they are: their nodes go back without moving one. */
const movesPodsBack = ({ node }: CompiledStage): boolean =>
  node.some(({ undo = [] }) => undo.some(({ verb }) => verb === 'node.drain' || verb === 'node.purge'));

/** Pods that a drain of these nodes would move. */
async function podsToMove(
  { kubernetes, plan }: Pick<CheckContext, 'kubernetes' | 'plan'>,
  nodes: readonly PlannedNode[],
) {
  const asked = spreadOverZones(nodes, mostCounted);
  const counts = await inParallel(asked, 10, async ({ name }) => {
    const pods = await kubernetes.list(kinds.pod, { fieldSelector: `spec.nodeName=${name}` });
    return pods.filter((pod) => dispositionOf(pod, plan.drain).what !== 'ignore').length;
  });
  const counted = counts.reduce((sum, each) => sum + each, 0);
  return asked.length === 0 ? 0 : Math.round((counted * nodes.length) / asked.length);
}
