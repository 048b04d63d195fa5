import { runChecks } from '../src/checks/run.ts';
import { annotation, calicoPools, type Pool } from '../src/checks/bgp/calico-state.ts';
import { trueAddress } from '../src/checks/bgp/node-addresses.ts';
import type { CheckResult } from '../src/checks/types.ts';
import { CutoverError } from '../src/errors.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { count, number, some, text } from './args.ts';
import { checkContext } from './check-context.ts';
import { inParallel } from './in-parallel.ts';
import { plannedNodes } from './plans.ts';
import type { Verb, VerbContext } from './types.ts';

type Mode = Pool['mode'];

/** On a pool: the mode that each flip found, `{"CrossSubnet":"Always"}`. Written with the flip, removed when it is taken back. */
export const foundModes = 'cutover.dev/found-modes';
/** On a pool while a flip is under way: what it was before, and until when it may prove itself. */
export const flipMark = 'cutover.dev/flip';

interface Flip {
  mode: Mode;
  from: Mode;
  /** ISO: when the pools were written. */
  at: string;
  /** ISO: without routes and traffic by then, the former mode goes back. */
  until: string;
  /** Why it was taken back; an attempt that finds this was to say so and did not live to. */
  reverted?: string;
}

/** What has to hold after a flip: routes on every node, and traffic between nodes. */
const proof = ['routes-expected', 'cluster-matrix'];
const lookEveryMs = 500;
/** Checks change nothing, so they need no fencing. */
const noToken = 0;

/**
 * `calico.setEncapsulation { mode, revertSeconds }`: flips every pool that is encapsulated, then watches routes and traffic
 * between nodes. When they do not come within `revertSeconds` the former mode is put back at once: with a configuration that
 * BIRD refused, a person took 86 s for that (§0a.8 of the migration facts).
 *
 * The deadline stands on the pools, so that an attempt after a dead worker finishes the flip or its revert, and never begins a
 * second one.
 *
 * @throws CutoverError ChecksFailed when it was taken back, naming what did not come
 */
export const setEncapsulation: Verb = async (context, input) => {
  const mode = text(input, 'mode') as Mode;
  const revertSeconds = number(input, 'revertSeconds');
  const pools = await encapsulatedPools(context, mode);
  const open = await flipUnderWay(context, pools, mode);
  if (open?.reverted !== undefined) throw await takenBack(context, pools, open, open.reverted);
  const differing = pools.filter((pool) => pool.mode !== mode);
  if (!open && differing.length === 0) {
    const standing = await prove(context);
    if (standing.length > 0) throw notAsExpected(mode, standing);
    return { changed: false, summary: `${some(pools.map(({ name }) => name))} had vxlanMode ${mode}` };
  }

  const flip: Flip = open ?? {
    mode,
    from: differing[0]!.mode,
    at: new Date().toISOString(),
    until: new Date(Date.now() + revertSeconds * 1000).toISOString(),
  };
  for (const { name } of differing) await writeMode(context, name, flip);
  context.progress(`vxlanMode ${mode}: waiting for routes and traffic until ${flip.until.slice(11, 19)}`);
  const failing = await context.waiting('checks', () => awaitProof(context, Date.parse(flip.until), mode));
  if (failing.length === 0) {
    for (const { name } of pools) await clearMark(context, name);
    const seconds = ((Date.now() - Date.parse(flip.at)) / 1000).toFixed(1);
    return {
      changed: true,
      summary: `vxlanMode ${flip.from} -> ${mode}: routes and traffic between nodes proven after ${seconds} s`,
      evidence: {
        pools: pools.map(({ name }) => name),
        from: flip.from,
        mode,
        flippedAt: flip.at,
        provenSeconds: Number(seconds),
      },
    };
  }

  context.progress(`vxlanMode ${mode} brings no traffic: back to ${flip.from}`);
  const waited = Math.round((Date.now() - Date.parse(flip.at)) / 1000);
  const why = `after ${waited} s ${sentences(failing)}`;
  await revert(context, pools, { ...flip, reverted: why });
  throw await takenBack(context, pools, flip, why);
};

/** Waits until the former mode carries the traffic again, and forgets the flip: whoever tries again begins anew. */
async function takenBack(
  context: VerbContext,
  pools: readonly Pool[],
  { mode, from }: Flip,
  why: string,
): Promise<CutoverError> {
  const left = await awaitProof(context, Math.min(context.deadline, Date.now() + 60_000));
  for (const { name } of pools) await clearMark(context, name);
  const now = left.length === 0 ? 'and traffic passes' : `and ${sentences(left)}`;
  return new CutoverError(
    'ChecksFailed',
    `vxlanMode ${mode} was taken back by itself; it is ${from} again, ${now}. Why: ${why}`,
    {
      remedy: 'correct what the checks name, then resume to try again, or `cutover rollback --all`',
      details: { mode, from, why },
    },
  );
}

/** `calico.restoreEncapsulation { mode }`: what the flip to `mode` found comes back, and traffic is proven. Tolerates that it never ran. */
export const restoreEncapsulation: Verb = async (context, input) => {
  const mode = text(input, 'mode') as Mode;
  const restored: string[] = [];
  for (const { metadata } of await context.kubernetes.list(kinds.ipPool)) {
    const { changed } = await modify(context.kubernetes, { ...kinds.ipPool, name: metadata.name }, (pool) => {
      const { before, kept } = withoutFlip(pool, mode);
      return before === undefined
        ? undefined
        : { spec: { vxlanMode: before }, metadata: { annotations: { [foundModes]: kept, [flipMark]: null } } };
    });
    if (changed) restored.push(metadata.name);
  }
  const failing = await awaitProof(context, Math.min(context.deadline, Date.now() + 60_000));
  if (failing.length > 0)
    throw new CutoverError('ChecksFailed', `after the former encapsulation came back ${sentences(failing)}`, {
      remedy: 'look at calico-node on the nodes that are named; then resume',
    });
  return {
    changed: restored.length > 0,
    summary:
      restored.length > 0
        ? `${some(restored)} back to what the flip to ${mode} found, traffic proven`
        : `no pool had been flipped to ${mode}`,
  };
};

/** Pools of this cluster that a flip to `mode` is about: those with VXLAN, and those that a flip of ours brought there. */
async function encapsulatedPools(context: VerbContext, mode: Mode): Promise<Pool[]> {
  const all = await context.kubernetes.list(kinds.ipPool);
  const ours = new Set(
    all
      .filter(
        ({ metadata }) => modesOf(metadata.annotations)[mode] !== undefined || flipMark in (metadata.annotations ?? {}),
      )
      .map(({ metadata }) => metadata.name),
  );
  const pools = (await calicoPools(context)).filter((pool) => pool.mode !== 'Never' || ours.has(pool.name));
  if (pools.length > 0) return pools;
  throw new CutoverError('DriftFound', 'no IP pool uses VXLAN', {
    remedy: 'look at `kubectl get ippools.crd.projectcalico.org -o yaml`: somebody changed them',
  });
}

async function flipUnderWay(
  { kubernetes }: VerbContext,
  pools: readonly Pool[],
  mode: Mode,
): Promise<Flip | undefined> {
  for (const { name } of pools) {
    const pool = await kubernetes.get({ ...kinds.ipPool, name });
    const mark = pool?.metadata.annotations?.[flipMark];
    const flip = mark === undefined ? undefined : (JSON.parse(mark) as Flip);
    if (flip?.mode === mode) return flip;
  }
  return undefined;
}

const modesOf = (annotations: { [key: string]: string } | undefined): { [mode: string]: Mode } =>
  JSON.parse(annotations?.[foundModes] ?? '{}') as { [mode: string]: Mode };

/** What the flip to `mode` found on a pool, and the annotation without it. */
function withoutFlip({ metadata }: KubernetesObject, mode: Mode): { before: Mode | undefined; kept: string | null } {
  const { [mode]: before, ...others } = modesOf(metadata.annotations);
  return { before, kept: Object.keys(others).length > 0 ? JSON.stringify(others) : null };
}

const writeMode = ({ kubernetes }: VerbContext, name: string, flip: Flip) =>
  modify(kubernetes, { ...kinds.ipPool, name }, ({ spec, metadata }) => {
    const now = (spec?.vxlanMode ?? 'Never') as Mode;
    if (now === flip.mode) return undefined;
    const found = { ...modesOf(metadata.annotations), [flip.mode]: now };
    return {
      spec: { vxlanMode: flip.mode },
      metadata: { annotations: { [foundModes]: JSON.stringify(found), [flipMark]: JSON.stringify(flip) } },
    };
  });

const clearMark = ({ kubernetes }: VerbContext, name: string) =>
  modify(kubernetes, { ...kinds.ipPool, name }, ({ metadata }) =>
    metadata.annotations?.[flipMark] === undefined ? undefined : { metadata: { annotations: { [flipMark]: null } } },
  );

async function revert(context: VerbContext, pools: readonly Pool[], flip: Flip): Promise<void> {
  const { mode, from } = flip;
  for (const { name } of pools)
    await modify(context.kubernetes, { ...kinds.ipPool, name }, (pool) => {
      const { before = from, kept } = withoutFlip(pool, mode);
      return {
        spec: { vxlanMode: before },
        metadata: { annotations: { [foundModes]: kept, [flipMark]: JSON.stringify(flip) } },
      };
    });
}

/** Asks until everything holds, nothing more can come, or the time is over; asks at least once. @returns what blocks at the end */
async function awaitProof(context: VerbContext, until: number, mode?: Mode): Promise<CheckResult[]> {
  for (;;) {
    const blocking = await prove(context);
    if (blocking.length === 0 || Date.now() + lookEveryMs >= until) return blocking;
    // A BIRD that refuses its configuration will not bring a route, however long one waits.
    const refused = mode === 'Never' ? await ask(context, ['bird-config-running']) : [];
    if (refused.some(({ evidence }) => (evidence as { refused?: string[] }).refused?.length))
      return [...refused, ...blocking];
    context.progress(sentences(blocking));
    await context.sleep(lookEveryMs);
  }
}

/** Routes first: a path that fails takes seconds to ask, and without its route it cannot work. */
async function prove(context: VerbContext): Promise<CheckResult[]> {
  for (const check of proof) {
    const blocking = await ask(context, [check]);
    if (blocking.length > 0) return blocking;
  }
  return [];
}

async function ask(context: VerbContext, checks: string[]): Promise<CheckResult[]> {
  const results = await runChecks(checks, { ...checkContext(context, noToken, undefined), patienceMs: 0 });
  return results.filter(({ verdict }) => verdict === 'block');
}

const sentences = (results: readonly CheckResult[]): string =>
  results.map(({ id, message }) => `${id}: ${message}`).join('; ');

const notAsExpected = (mode: Mode, failing: readonly CheckResult[]): CutoverError =>
  new CutoverError('ChecksFailed', `vxlanMode is ${mode} already, but ${sentences(failing)}`, {
    remedy: 'look at calico-node on the nodes that are named; then resume',
  });

/**
 * `calico.trueAddresses`: the annotation that a migration from Flannel may have left as /32 gets the node's true prefix, which
 * CrossSubnet compares by. It has no undo: it is true in every mode.
 *
 * @throws CutoverError DriftFound when a node has no such address
 */
export const trueAddresses: Verb = async (context) => {
  let written = 0;
  const unknown: string[] = [];
  const nodes = plannedNodes(context.stage);
  await inParallel(nodes, 10, async ({ name, fingerprint }) => {
    const { addresses = [] } = await context.onNode('inspect', { routes: false }, { node: name });
    const truth = trueAddress(addresses, fingerprint.internalIP);
    if (truth === '') {
      unknown.push(`${name} (${addresses.join(' ') || 'no address'})`);
      return;
    }
    const { changed } = await modify(context.kubernetes, { ...kinds.node, name }, ({ metadata }) =>
      metadata.annotations?.[annotation.address] === truth
        ? undefined
        : { metadata: { annotations: { [annotation.address]: truth } } },
    );
    if (changed) written++;
  });
  if (unknown.length > 0)
    throw new CutoverError('DriftFound', `no interface has the InternalIP of ${some(unknown)}`, {
      remedy: 'find out which address these nodes speak from, then plan again',
    });
  return {
    changed: written > 0,
    summary: `${count(written, 'address', 'addresses')} of ${count(nodes.length, 'node')} corrected, the others were true`,
  };
};
