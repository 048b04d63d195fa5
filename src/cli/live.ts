import type { Line } from './render/status-lines.ts';

export interface Screen {
  /** Shows these lines instead of the ones before. Called as often as wanted: it draws at most every `intervalMs`. */
  show(lines: () => readonly Line[]): void;
  /** Draws what is due and leaves the cursor below. */
  end(): void;
}

/** What is needed of a terminal. */
export interface TerminalLike {
  columns?: number | undefined;
  rows?: number | undefined;
  write(text: string): unknown;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

/** A redraw of a terminal is five times a second at most. */
const intervalMs = 200;

/**
 * Redraws in place: goes up to its own first line and overwrites, so that nothing flickers and the scrollback stays.
 * A resize reflows what is on the screen, so the screen is cleared once and drawn anew.
 */
export function terminalScreen(terminal: TerminalLike, interval = intervalMs): Screen {
  let drawn = 0;
  let latest: (() => readonly Line[]) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let last = 0;

  const draw = (): void => {
    timer = undefined;
    if (!latest) return;
    last = Date.now();
    terminal.write(
      redraw(
        drawn,
        fit(
          latest().map(({ text }) => text),
          terminal.rows,
        ),
      ),
    );
    drawn = fit(latest(), terminal.rows).length;
  };
  const schedule = (): void => {
    timer ??= setTimeout(draw, Math.max(0, last + interval - Date.now()));
  };
  const onResize = (): void => {
    terminal.write('\u001b[2J\u001b[H');
    drawn = 0;
    schedule();
  };
  terminal.on?.('resize', onResize);

  return {
    show: (lines) => {
      latest = lines;
      schedule();
    },
    end: () => {
      if (timer) {
        clearTimeout(timer);
        draw();
      }
      terminal.off?.('resize', onResize);
    },
  };
}

/** Keeps the top, where the waits are; the last row is left for the cursor. */
function fit<T>(lines: readonly T[], rows = 24): readonly T[] {
  return lines.length < rows ? lines : lines.slice(0, Math.max(1, rows - 1));
}

/**
 * The bytes that replace `before` lines by these. Synchronized update (mode 2026) lets the terminal show all at once;
 * terminals that do not know it ignore it.
 */
export function redraw(before: number, lines: readonly string[]): string {
  const up = before > 0 ? `\u001b[${before}A` : '';
  return `\u001b[?2026h${up}\r${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J\u001b[?2026l`;
}

/** For pipes and CI logs: prints a line when it is new or has changed, with the time of day, and no control codes. */
export function appendScreen(
  write: (text: string) => unknown,
  shown = new Map<string, string>(),
  now: () => Date = () => new Date(),
): Screen {
  return {
    show: (lines) => {
      const time = `${now().toISOString().slice(11, 19)}Z`;
      for (const { key, text } of lines()) {
        if (text.trim() === '' || shown.get(key) === text) continue;
        shown.set(key, text);
        write(`${time}  ${text.replace(/^[├└]─ /, '')}\n`);
      }
    },
    end: () => undefined,
  };
}
