import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { judgeCaptures } from '../src/probe/capture/judge.ts';
import { takeCapture as take } from '../src/probe/capture/take.ts';
import { pathTitles } from '../src/probe/capture/types.ts';
import type { Capture } from '../src/probe/capture/types.ts';
import { capturesOf } from '../src/store/captures.ts';
import { text } from './args.ts';
import { plannedNodes } from './plans.ts';
import type { Verb, VerbContext } from './types.ts';

/**
 * `capture.take { when }`: the capture travels as the step's evidence, with the comparison when there is one. A regression is a
 * finding for people and fails no step (§4.16 of the migration facts: informational).
 */
export const takeCapture: Verb = async (context, input) => {
  const { plan, stage, store, place } = context;
  const when = text(input, 'when');
  if (when !== 'before' && when !== 'after')
    throw new CutoverError('Internal', `the step wants a capture ${when} the change`);
  const settings = plan.capture;
  if (settings === undefined || settings.skip)
    return { changed: false, summary: 'nothing was measured: the plan skips captures' };
  const [from, to] = settings.nodes.map((name) => plannedNodes(stage).find((node) => node.name === name));
  if (from === undefined || to === undefined)
    return { changed: false, summary: 'nothing was measured: that takes two nodes' };

  const capture = await take({ ...meansOf(context), settings, from, to }, when);
  const evidence: JsonObject = { capture: capture as unknown as JsonObject };
  if (when === 'before') return { changed: true, summary: summaryOf(capture), evidence };

  const judgement = judgeCaptures(
    capturesOf(store.records({ migration: place.migration, kind: ['step.ended'] }), stage.id).before,
    capture,
  );
  const words = [summaryOf(capture), judgement.sentence, judgement.encapsulation?.sentence].filter(Boolean);
  return { changed: true, summary: words.join('; '), evidence: { ...evidence, verdict: judgement.verdict } };
};

const meansOf = ({ kubernetes, nodes, plan, place, signal, progress }: VerbContext) => ({
  kubernetes,
  nodes,
  probe: plan.probe,
  migration: place.migration,
  // Reading counters changes nothing, so no attempt is fenced by it.
  token: () => 0,
  signal,
  progress,
  now: Date.now,
});

/** `pods across nodes 7,720 Mbit/s, host to host 9,380 Mbit/s; 2 figures could not be had: …`. */
function summaryOf({ measurements, nodes, failures }: Capture): string {
  const figures = measurements
    .filter(({ metric, path }) => metric === 'throughput' && (path === 'across-nodes' || path === 'host'))
    .map(({ path, median, unit }) => `${pathTitles[path]} ${Math.round(median).toLocaleString('en-US')} ${unit}`);
  const measured = `${nodes.from} to ${nodes.to}: ${figures.join(', ') || 'no throughput was measured'}`;
  return failures.length === 0 ? measured : `${measured}; not everything could be measured: ${failures[0]}`;
}
