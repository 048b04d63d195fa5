import { CutoverError } from '../../errors.ts';
import { judgeCaptures } from '../../probe/capture/judge.ts';
import { takeCapture } from '../../probe/capture/take.ts';
import type { Capture } from '../../probe/capture/types.ts';
import { defineCheck, pass, warn } from '../define.ts';

type Facts = {
  /** Null when nothing was measured before the change. */
  before: Capture | null;
  /** Taken for this check, or the one after the change when it is there already. */
  now: Capture | null;
};

/**
 * Bandwidth and latency are what they were, compared with the host's own numbers. It measures, and so takes a minute: a gate names
 * it where people want to know before they go on. It never blocks: what a change of speed is worth, people decide.
 */
export const capture = defineCheck<Facts>({
  id: 'capture',
  layer: 'services',
  title: 'Bandwidth and latency are not worse than before',
  scope: 'cluster',
  deadlineSeconds: 1_800,
  ask: async (context) => {
    const { before, after } = context.captures?.() ?? {};
    if (before === undefined) return { before: null, now: after ?? null };
    if (after !== undefined) return { before, now: after };
    const settings = context.plan.capture ?? { runs: before.settings.runs, seconds: before.settings.seconds };
    const [from, to] = [before.nodes.from, before.nodes.to].map((name) =>
      context.planned.find((node) => node.name === name),
    );
    if (from === undefined || to === undefined)
      throw new CutoverError(
        'ChecksFailed',
        `${before.nodes.from} and ${before.nodes.to} were measured, and are not both there now`,
      );
    const now = await takeCapture(
      {
        kubernetes: context.kubernetes,
        nodes: context.nodes,
        probe: context.plan.probe,
        settings,
        from,
        to,
        migration: context.migration ?? '',
        token: context.token,
        signal: context.signal,
        progress: () => {},
        now: Date.now,
      },
      'now',
    );
    return { before, now };
  },
  judge: ({ before, now }) => {
    const judged = judgeCaptures(before ?? undefined, now ?? undefined);
    const cautions = judged.cautions.length === 0 ? '' : ` (${judged.cautions.join('; ')})`;
    const sentence = `${judged.sentence}${cautions}`;
    if (judged.verdict === 'regression')
      return warn(sentence, {
        remedy:
          judged.cautions.length > 0
            ? 'measure again while the machines are quiet; if it stays, compare MTU and offload settings of the old and the new device'
            : 'compare MTU, encapsulation and offload settings of the old and the new device before you go on',
      });
    if (judged.verdict === 'no-baseline')
      return warn(sentence, {
        remedy: 'nothing: a baseline can only be taken before the change; leave `capture` out of the gate',
      });
    return pass(sentence);
  },
});
