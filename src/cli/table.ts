import { padEnd, width } from './style.ts';

export interface Column<T> {
  /** Upper case, without spaces: `LAST-STEP`. */
  header: string;
  value(row: T): string;
  /** Only with `-o wide`. */
  wide?: boolean;
}

/** kubectl's table: one row per object, columns by two or more spaces, `<none>` for nothing. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], wide = false): string[] {
  const shown = columns.filter((column) => wide || !column.wide);
  const cells = [
    shown.map(({ header }) => header),
    ...rows.map((row) => shown.map(({ value }) => value(row) || '<none>')),
  ];
  const widths = shown.map((_, index) => Math.max(...cells.map((line) => width(line[index]!))));
  return cells.map((line) =>
    line
      .map((cell, index) => (index === line.length - 1 ? cell : padEnd(cell, widths[index]! + 3)))
      .join('')
      .trimEnd(),
  );
}
