import { setTimeout as sleep } from 'node:timers/promises';
import { CutoverError, isOutage } from '../errors.ts';
import type { Json } from '../json.ts';
import { createAsker } from './asker.ts';
import type { Asker } from './asker.ts';
import { some } from './define.ts';
import type { Check } from './define.ts';
import { findCheck } from './index.ts';
import { layers } from './types.ts';
import type { CheckContext, CheckResult, Judgement } from './types.ts';

const patienceMs = 10_000;
const betweenTriesMs = 1_000;

/** Evidence is read by people and kept for ever: longer lists are cut, and the cut says how much is missing. */
const longestList = 100;

/**
 * Runs checks, all side by side, and answers one result for each, in layer order. A check that blocked because a layer below
 * still needed a moment is asked again when that layer has had it; above a layer that goes on blocking the sentence says so.
 *
 * Whatever goes wrong while asking is a result that blocks. It throws only when `signal` aborts, and for an id that no
 * check has (Internal): the plan was made by another version of Cutover.
 */
export async function runChecks(
  ids: readonly string[],
  context: CheckContext,
  find: (id: string) => Check | undefined = findCheck,
): Promise<CheckResult[]> {
  const checks = [...new Set(ids)].map((id) => find(id) ?? unknown(id));
  const results: CheckResult[] = [];
  let asker = createAsker(context);
  const answered = counter(context, checks.length);
  const early = await Promise.all(
    checks.map(async (check) => {
      const result = await askOne(check, asker);
      answered();
      return { check, result };
    }),
  );

  const patience = Date.now() + (context.patienceMs ?? patienceMs);
  let hasSettled = false;
  for (const layer of layers) {
    const ofLayer = early.filter(({ check }) => check.layer === layer);
    const below = results.filter((result) => result.verdict === 'block').map((result) => result.id);
    const first = await Promise.all(
      ofLayer.map(async ({ check, result }) =>
        hasSettled && result.verdict === 'block' ? askOne(check, asker) : result,
      ),
    );
    const asked = await askLayer(
      ofLayer.map(({ check }) => check),
      first,
      asker,
      below.length === 0 ? patience : 0,
    );
    hasSettled ||= first.some(({ verdict }, index) => verdict === 'block' && asked.results[index]!.verdict !== 'block');
    asker = asked.asker;
    results.push(...asked.results.map((result) => (below.length === 0 ? result : readBelowFirst(result, below))));
  }
  return results;
}

/** Calls back once for each answer, with how many there are by then. */
function counter({ onProgress }: CheckContext, of: number): () => void {
  let done = 0;
  return () => onProgress?.(++done, of);
}

/**
 * Takes the first answers, then asks those again that block and may need a moment, until `patience` (ms since the epoch) is over.
 * Each try has an asker of its own, which sees the cluster anew; the last one is handed on to the next layer.
 */
async function askLayer(
  checks: readonly Check[],
  answers: readonly CheckResult[],
  first: Asker,
  patience: number,
): Promise<{ results: CheckResult[]; asker: Asker }> {
  let asker = first;
  const results = [...answers];
  for (;;) {
    const again = [...checks.entries()].filter(
      ([index, check]) => check.patient && results[index]?.verdict === 'block',
    );
    if (again.length === 0 || Date.now() + betweenTriesMs > patience) return { results, asker };

    await sleep(betweenTriesMs, undefined, { signal: asker.signal });
    asker = createAsker(first);
    await Promise.all(again.map(async ([index, check]) => (results[index] = await askOne(check, asker))));
  }
}

async function askOne(check: Check, asker: Asker): Promise<CheckResult> {
  const result = (judgement: Judgement, evidence: Json): CheckResult => ({
    id: check.id,
    layer: check.layer,
    title: check.title,
    ...judgement,
    ...(check.scope === 'node' && asker.node !== undefined ? { node: asker.node.name } : {}),
    evidence,
  });
  const seconds = check.deadlineSeconds ?? (check.scope === 'node' ? 30 : 300);
  try {
    const facts = await withDeadline(asker.signal, seconds, () => ask(check, asker));
    return result(check.judge(facts), cutLists(facts));
  } catch (error) {
    asker.signal.throwIfAborted();
    if (asker.throwsOutages && error instanceof CutoverError && isOutage(error.type)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const remedy =
      error instanceof CutoverError ? error.remedy : 'read the error, look at what it names, then try again';
    return result({ verdict: 'block', message, remedy }, { error: message });
  }
}

function ask(check: Check, asker: Asker): Promise<Json> {
  if (check.scope === 'cluster') return check.ask(asker);
  if (asker.node === undefined) {
    throw new CutoverError('Internal', `the check ${check.id} is about one node, and it was asked without one`);
  }
  return check.ask(asker, asker.node);
}

/** Not every client gives up when it is told to, so the deadline does not wait for one. */
async function withDeadline<T>(signal: AbortSignal, seconds: number, work: () => Promise<T>): Promise<T> {
  const end = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    end.reject(
      new CutoverError('StepTimedOut', `no answer within ${seconds} s`, {
        remedy: 'look whether the API server, the node and its SSH server answer at all',
      }),
    );
  }, seconds * 1000);
  const onAbort = () => end.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work(), end.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

const readBelowFirst = (result: CheckResult, below: readonly string[]): CheckResult => ({
  ...result,
  message: `${result.message} (${some(below)} ${below.length === 1 ? 'blocks' : 'block'} on a layer below: read that first)`,
});

function unknown(id: string): never {
  throw new CutoverError('Internal', `there is no check ${id}`, {
    remedy: 'run this migration with the version of Cutover that made the plan, or plan again',
  });
}

function cutLists(evidence: Json): Json {
  if (Array.isArray(evidence)) {
    const kept = evidence.slice(0, longestList).map(cutLists);
    return evidence.length > longestList ? [...kept, `… and ${evidence.length - longestList} more`] : kept;
  }
  if (evidence === null || typeof evidence !== 'object') return evidence;
  return Object.fromEntries(
    Object.entries(evidence).map(([key, value]) => [key, value === undefined ? undefined : cutLists(value)]),
  );
}
