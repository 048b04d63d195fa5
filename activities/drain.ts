import { CutoverError } from '../src/errors.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { count, some } from './args.ts';
import { isTerminating, timeLeft } from './daemon-sets.ts';
import { dependedOn, inTurn } from './depended-on.ts';
import { dispositionOf, explainRefusal, type BlockedPod } from './drain-rules.ts';
import { inParallel } from './in-parallel.ts';
import { named } from './renew-pods.ts';
import type { Verb, VerbContext } from './types.ts';

const evictionsAtOnce = 10;
/** A budget that is open again a moment after it refused a pod is asked again so soon. */
const reopenedMs = 500;
/** The longest wait between two looks while nothing is refused: only to show that it moves. */
const lookEveryMs = 5_000;

/** An eviction that was refused: by the API server, or by us for the sake of what the cluster depends on. */
interface Refusal {
  pod: KubernetesObject;
  reason: string;
  ours: boolean;
  /** Ms since the epoch. */
  nextTry: number;
}

const ownerUidOf = ({ metadata }: KubernetesObject): string =>
  metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid ?? metadata.uid ?? metadata.name;
const uidOf = ({ metadata }: KubernetesObject): string => metadata.uid ?? metadata.name;

/**
 * `node.drain`: evicts every pod that has to leave the node, within budgets; never deletes around one. Safe to run
 * again: only pods that are still bound to the node are asked to go.
 *
 * @throws CutoverError DrainBlocked at once for pods that the plan does not allow to evict; at the deadline of
 * `plan.drain` for pods that have not left, each with its budget and the budget's arithmetic
 */
export const drain: Verb = async (context) => {
  const { kubernetes, plan } = context;
  const node = context.node().name;
  const begunAt = Date.now();
  const timeoutMs = plan.drain.timeoutSeconds * 1000;
  let endsAt = Math.min(context.deadline, begunAt + timeoutMs);
  const retryMs = plan.drain.retrySeconds * 1000;
  const fieldSelector = `spec.nodeName=${node}`;
  const moved = new Map<string, string>();
  const refusals = new Map<string, Refusal>();
  let refused = 0;
  const important = await dependedOn(kubernetes);

  for (;;) {
    const all = await kubernetes.list(kinds.pod, { fieldSelector });
    const remaining = all.filter((pod) => dispositionOf(pod, plan.drain).what !== 'ignore');
    refuseForbidden(node, remaining, plan.drain);
    for (const pod of remaining) if (isTerminating(pod)) moved.set(uidOf(pod), named(pod));
    for (const uid of refusals.keys()) if (!remaining.some((pod) => uidOf(pod) === uid)) refusals.delete(uid);
    if (remaining.length === 0) {
      const names = [...moved.values()];
      const tail = refused === 0 ? '' : `, ${count(refused, 'eviction was', 'evictions were')} refused at first`;
      return {
        changed: names.length > 0,
        summary: names.length === 0 ? `no pod had to leave ${node}` : `${count(names.length, 'pod')} moved${tail}`,
        evidence: { moved: names, refused, ignored: all.length, seconds: Math.round((Date.now() - begunAt) / 1000) },
      };
    }

    const due = remaining.filter(
      (pod) => !isTerminating(pod) && (refusals.get(uidOf(pod))?.nextTry ?? 0) <= Date.now(),
    );
    const evict = async (pod: KubernetesObject): Promise<void> => {
      context.signal.throwIfAborted();
      const { namespace = 'default', name } = pod.metadata;
      const answer = await inTurn(ownerUidOf(pod), async () => {
        const why = await important.whyNot(pod);
        return why === undefined
          ? kubernetes.evict({ namespace, name, uid: uidOf(pod) })
          : { evicted: false as const, reason: why, ours: true };
      });
      if (answer.evicted) {
        moved.set(uidOf(pod), named(pod));
        refusals.delete(uidOf(pod));
        return;
      }
      refused++;
      const ours = 'ours' in answer;
      refusals.set(uidOf(pod), { pod, reason: answer.reason, ours, nextTry: Date.now() + retryMs });
    };
    // One after the other where they have one owner, and so one budget: two at once are in each other's way, and the API server
    // tries the loser again only after half a second (EvictionsRetry in its eviction.go).
    const byOwner = [...Map.groupBy(due, ownerUidOf).values()];
    await inParallel(byOwner, evictionsAtOnce, async (pods) => {
      for (const pod of pods) await evict(pod);
    });

    const blocked = await context.waiting('pods', () => explainAll(context, [...refusals.values()]));
    const words = `${count(remaining.length, 'pod')} to leave ${node}${
      blocked.length > 0
        ? `, ${blocked.length} refused: ${some(
            blocked.map(({ reason }) => reason),
            2,
          )}`
        : ''
    }`;
    context.progress(words, {
      remaining: remaining.length,
      blocked: blocked.map(({ pod, reason }) => ({ pod, reason })),
    });

    // A cut-off eviction is nobody's budget: it lapses by itself, and the plan's own time begins anew when it has.
    const lapsing = blocked.length > 0 && blocked.every(({ freesInSeconds }) => freesInSeconds > 0);
    if (lapsing) endsAt = Math.min(context.deadline, Date.now() + timeoutMs);
    if (Date.now() >= endsAt) throw stillThere(node, remaining, blocked, plan.drain.timeoutSeconds);

    const closed = new Set(blocked.flatMap((each) => (each.closed ? each.budgets : [])));
    for (const [at, refusal] of [...refusals.values()].entries())
      if (!blocked[at]!.closed) refusal.nextTry = Math.min(refusal.nextTry, Date.now() + reopenedMs);
    const tries = [...refusals.values()].map(({ nextTry }) => nextTry - Date.now());
    const waitMs = Math.max(50, Math.min(lookEveryMs, endsAt - Date.now(), timeLeft(context), ...tries));
    const opened = await context.waiting('pods', () => untilSomethingMoves(context, closed, waitMs));
    if (opened) for (const refusal of refusals.values()) refusal.nextTry = 0;
  }
};

/**
 * Until the node is empty, one of the budgets lets a pod go, or the time is over. A budget opens when the pod that was
 * moved is Ready elsewhere: nobody knows when, so it is watched.
 *
 * @param budgets `namespace/name`
 * @returns whether a budget has opened
 */
async function untilSomethingMoves(
  { kubernetes, plan, signal, node }: VerbContext,
  budgets: ReadonlySet<string>,
  timeoutMs: number,
): Promise<boolean> {
  const enough = new AbortController();
  const options = { timeoutMs, signal: AbortSignal.any([signal, enough.signal]) };
  const isLeft = (pod: KubernetesObject): boolean => dispositionOf(pod, plan.drain).what !== 'ignore';
  const opens = (budget: KubernetesObject): boolean =>
    budgets.has(named(budget)) && Number(budget['status']?.disruptionsAllowed ?? 0) > 0;
  const empty: Promise<boolean | undefined> = kubernetes.waitFor(
    kinds.pod,
    { ...options, fieldSelector: `spec.nodeName=${node().name}` },
    (pods) => (pods.some(isLeft) ? undefined : false),
  );
  const watched = [empty];
  if (budgets.size > 0)
    watched.push(kubernetes.waitFor(kinds.budget, options, (all) => (all.some(opens) ? true : undefined)));
  try {
    return (await Promise.race(watched)) ?? false;
  } finally {
    enough.abort();
  }
}

/** Before anything is evicted: a node that cannot be emptied is not half emptied either. */
function refuseForbidden(node: string, pods: KubernetesObject[], rules: VerbContext['plan']['drain']): void {
  const forbidden = pods
    .filter((pod) => !isTerminating(pod))
    .flatMap((pod) => {
      const { what, why } = dispositionOf(pod, rules);
      return what === 'refuse' ? [{ pod: named(pod), reason: why }] : [];
    });
  if (forbidden.length === 0) return;
  const list = forbidden.map(({ pod, reason }) => `${pod} (${reason})`);
  throw new CutoverError(
    'DrainBlocked',
    `${count(forbidden.length, 'pod')} of ${node} may not be evicted: ${some(list)}`,
    {
      remedy:
        'move or delete these pods yourself, or allow it in the plan with drain.force or drain.deleteEmptyDirData',
      details: { node, blocked: forbidden },
    },
  );
}

async function explainAll(
  { kubernetes }: VerbContext,
  refusals: Pick<Refusal, 'pod' | 'reason' | 'ours'>[],
): Promise<BlockedPod[]> {
  if (refusals.length === 0) return [];
  const budgets = await kubernetes.list(kinds.budget);
  return refusals.map(({ pod, reason, ours }) => explainRefusal(pod, reason, ours ? [] : budgets, Date.now()));
}

function stillThere(node: string, remaining: KubernetesObject[], blocked: BlockedPod[], seconds: number): CutoverError {
  const slow = remaining.filter((pod) => !blocked.some(({ pod: name }) => name === named(pod)));
  const all = [
    ...blocked.map(({ pod, reason, budgets }) => ({ pod, reason, budgets })),
    ...slow.map((pod) => ({
      pod: named(pod),
      reason: isTerminating(pod)
        ? `terminating since ${pod.metadata.deletionTimestamp}`
        : 'it was evicted and has not left',
      budgets: [],
    })),
  ];
  const list = all.map(({ pod, reason }) => `${pod} (${reason})`);
  return new CutoverError(
    'DrainBlocked',
    `${count(all.length, 'pod')} of ${node} did not leave within ${seconds} s: ${some(list)}`,
    {
      remedy:
        blocked.length > 0
          ? 'raise the budget, scale the workload up, or skip the node'
          : 'look at what keeps these pods from ending',
      details: { node, blocked: all },
    },
  );
}
