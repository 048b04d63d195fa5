import type { HistoryEntry, NodeHistory } from '../../store/views.ts';
import { clip, padEnd, type Style } from '../style.ts';
import { clock, duration, precise, stamp } from '../time.ts';
import { nodeMarks, drawn, verdictMarks } from './glyphs.ts';

/** A message that sums up checks is cut here: the checks stand below it. */
const summaryColumns = 60;

/** The story of one node: each step with its time, what came back, which checks failed and why. */
export function historyLines(history: NodeHistory, style: Style): string[] {
  const { node, migration, state, nodeAttempts, startedAt, endedAt, entries } = history;
  const whole =
    startedAt === ''
      ? 'not started'
      : `${stamp(startedAt)}${endedAt === '' ? ', not ended' : `, took ${duration(Date.parse(endedAt) - Date.parse(startedAt))}`}`;
  const lines = [
    `${style.bold(node)}  ${drawn(style, nodeMarks[state])}  in ${migration}  ${nodeAttempts === 1 ? '1 try' : `${nodeAttempts} tries`}  ${whole}`,
  ];
  let attempt = 0;
  let direction = '';
  for (const entry of entries) {
    if (entry.nodeAttempt !== attempt || (entry.direction !== '' && entry.direction !== direction)) {
      const heading = `${entry.nodeAttempt > 0 ? `try ${entry.nodeAttempt}` : 'node'}${entry.direction === 'back' ? ', back to the old network' : ''}`;
      if (entry.direction !== '') {
        lines.push(style.dim(`-- ${heading}`));
        attempt = entry.nodeAttempt;
        direction = entry.direction;
      }
    }
    lines.push(...entryLines(entry, style));
  }
  if (history.timeWentTo.length > 0) {
    lines.push('', style.dim('-- what the time went to'));
    for (const { what, ms } of history.timeWentTo) lines.push(`${precise(ms).padStart(9)}  ${what}`);
  }
  return lines;
}

function entryLines(entry: HistoryEntry, style: Style): string[] {
  const failed = entry.outcome === 'failed';
  const glyph = failed
    ? style.red('✖ failed')
    : entry.direction === 'back'
      ? style.yellow('↺ undone')
      : entry.outcome === 'ok'
        ? style.green('✔ ok')
        : entry.outcome === 'running'
          ? style.cyan('> runs')
          : `· ${entry.outcome || entry.kind.split('.').at(-1)!}`;
  const took = entry.durationMs === null ? '' : precise(entry.durationMs);
  const facts = [
    entry.attempt > 1 ? `attempt ${entry.attempt}` : '',
    entry.message === entry.title ? '' : entry.checks.length > 0 ? clip(entry.message, summaryColumns) : entry.message,
    entry.actor === 'workflow' || entry.actor.startsWith('worker:') ? '' : `by ${entry.actor}`,
  ].filter(Boolean);
  return [
    `${clock(entry.at)}  ${padEnd(glyph, 10)} ${padEnd(took, 7)} ${entry.title}${facts.length > 0 ? `: ${facts.join('; ')}` : ''}`,
    ...entry.checks.map(
      (check) => `${' '.repeat(11)}${drawn(style, verdictMarks[check.verdict])} ${check.id}: ${check.message}`,
    ),
    ...(entry.remedy === '' ? [] : [`${' '.repeat(11)}${style.dim(entry.remedy)}`]),
  ];
}
