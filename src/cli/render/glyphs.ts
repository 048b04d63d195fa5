import type { CheckResult } from '../../checks/types.ts';
import type { MigrationView, NodeView, StepView, WaveView } from '../../store/views.ts';
import type { Style } from '../style.ts';

/** A state as glyph, word and colour: whoever sees no colour or no glyph still has the word. */
export interface Mark {
  glyph: string;
  word: string;
  tone: 'good' | 'busy' | 'waits' | 'bad' | 'quiet';
}

const mark = (glyph: string, word: string, tone: Mark['tone']): Mark => ({ glyph, word, tone });

/** What waits for a person or is paused is yellow, never green. */
export const nodeMarks: { [S in NodeView['state']]: Mark } = {
  pending: mark('·', 'Pending', 'quiet'),
  running: mark('>', 'Migrating', 'busy'),
  'rolling-back': mark('↺', 'RollingBack', 'waits'),
  waiting: mark('!', 'NeedsPerson', 'bad'),
  migrated: mark('✔', 'Migrated', 'good'),
  'rolled-back': mark('↺', 'RolledBack', 'waits'),
  skipped: mark('-', 'Skipped', 'waits'),
  held: mark('!', 'Held', 'bad'),
};

export const stepMarks: { [S in StepView['state']]: Mark } = {
  pending: mark('·', 'Pending', 'quiet'),
  running: mark('>', 'Running', 'busy'),
  done: mark('✔', 'Done', 'good'),
  failed: mark('✖', 'Failed', 'bad'),
  undoing: mark('↺', 'Undoing', 'waits'),
  undone: mark('↺', 'Undone', 'waits'),
};

export const waveMarks: { [S in WaveView['state']]: Mark } = {
  pending: mark('·', 'Pending', 'quiet'),
  running: mark('>', 'Running', 'busy'),
  'rolling-back': mark('↺', 'RollingBack', 'waits'),
  done: mark('✔', 'Done', 'good'),
  incomplete: mark('!', 'Incomplete', 'bad'),
  'rolled-back': mark('↺', 'RolledBack', 'waits'),
};

export const migrationMarks: { [S in MigrationView['state']]: Mark } = {
  requested: mark('·', 'Requested', 'quiet'),
  preparing: mark('>', 'Preparing', 'busy'),
  migrating: mark('>', 'Migrating', 'busy'),
  'at-gate': mark('‖', 'AtGate', 'waits'),
  pausing: mark('‖', 'Pausing', 'waits'),
  paused: mark('‖', 'Paused', 'waits'),
  'rolling-back': mark('↺', 'RollingBack', 'waits'),
  aborting: mark('✖', 'Aborting', 'bad'),
  finalizing: mark('>', 'Finalizing', 'busy'),
  completed: mark('✔', 'Completed', 'good'),
  aborted: mark('✖', 'Aborted', 'bad'),
  'rolled-back': mark('↺', 'RolledBack', 'waits'),
};

const painters = { good: 'green', busy: 'cyan', waits: 'yellow', bad: 'red', quiet: 'dim' } as const satisfies {
  [T in Mark['tone']]: keyof Style;
};

export const toned = (style: Style, { tone }: Pick<Mark, 'tone'>, text: string): string => style[painters[tone]](text);

export const drawn = (style: Style, one: Mark): string => toned(style, one, `${one.glyph} ${one.word}`);

export const verdictMarks = {
  pass: mark('✔', 'pass', 'good'),
  warn: mark('!', 'warn', 'waits'),
  block: mark('✖', 'block', 'bad'),
} as const;

/** A warning that the plan acknowledges: seen, and no reason to stop. */
const acknowledged = mark('✔', 'acknowledged', 'quiet');

export const resultMark = (result: Pick<CheckResult, 'verdict' | 'acknowledged'>): Mark =>
  result.acknowledged === undefined ? verdictMarks[result.verdict] : acknowledged;
