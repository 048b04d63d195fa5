import { effectiveVerdict, verdictCounts } from '../../checks/acknowledge.ts';
import { layers, type CheckResult } from '../../checks/types.ts';
import type { Style } from '../style.ts';
import { drawn, resultMark } from './glyphs.ts';

const rank = { block: 0, warn: 1, pass: 2 };

/** What preflight found, layer by layer, what blocks first: one sentence and its remedy. What passed is counted unless `all`. */
export function preflightLines(checks: readonly CheckResult[], style: Style, all = false): string[] {
  return [...new Set([...layers, ...checks.map(({ layer }) => layer)])].flatMap((layer) => {
    const ofLayer = checks.filter((check) => check.layer === layer);
    if (ofLayer.length === 0) return [];
    const shown = ofLayer
      .filter(({ verdict }) => all || verdict !== 'pass')
      .toSorted((a, b) => rank[effectiveVerdict(a)] - rank[effectiveVerdict(b)]);
    return [`${style.bold(layer)}  ${verdictCounts(ofLayer)}`, ...shown.flatMap((check) => linesOf(check, style))];
  });
}

function linesOf(check: CheckResult, style: Style): string[] {
  const { id, node, message, remedy, acknowledged } = check;
  const what = `  ${drawn(style, resultMark(check))}  ${id}${node === undefined ? '' : ` on ${node}`}: ${message}`;
  if (acknowledged !== undefined) return [what, `      acknowledged: ${acknowledged}`];
  return remedy === undefined ? [what] : [what, `      what to do: ${remedy}`];
}
