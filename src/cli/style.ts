import { stripVTControlCharacters } from 'node:util';

/** Colours on top of words and glyphs, never instead of them. Without colour every function returns its text. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  red(text: string): string;
  cyan(text: string): string;
}

const paint = (on: boolean, open: number, close: number) => (text: string) =>
  on && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;

export const createStyle = (colour: boolean): Style => ({
  bold: paint(colour, 1, 22),
  dim: paint(colour, 2, 22),
  green: paint(colour, 32, 39),
  yellow: paint(colour, 33, 39),
  red: paint(colour, 31, 39),
  cyan: paint(colour, 36, 39),
});

export const plain = createStyle(false);

/** Whether to colour: only on a terminal, and not with NO_COLOR (no-color.org), TERM=dumb or --no-color. */
export const wantsColour = (stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv, flag = true): boolean =>
  flag && stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';

/** Columns that a text takes. Our glyphs and names are one column each. */
export const width = (text: string): number => stripVTControlCharacters(text).length;

export const padEnd = (text: string, columns: number): string => text + ' '.repeat(Math.max(0, columns - width(text)));

/** Cuts to so many columns, with `…` at the end, and leaves no colour open. */
export function clip(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let shown = '';
  let used = 0;
  // oxlint-disable-next-line no-control-regex -- colour codes are what must not be counted
  for (const part of text.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b')) shown += part;
    else {
      const room = Math.max(0, columns - 1 - used);
      shown += part.slice(0, room);
      if (part.length > room && used < columns) shown += '…';
      used += part.length > room ? columns : part.length;
    }
  }
  return shown;
}
