import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import type { SimNode } from '../../types.ts';
import { commandNames, runLine } from './commands.ts';

/** The streams of an SSH channel, as far as a shell needs them. */
export interface ShellChannel extends Duplex {
  stderr: NodeJS.WritableStream;
  exit(code: number): void;
}

/** An interactive shell on a node: a prompt, line editing, history and completion when there is a terminal. */
export function startShell(node: SimNode, channel: ShellChannel, terminal: boolean): void {
  const lines = createInterface({
    input: channel,
    output: channel,
    terminal,
    prompt: terminal ? `root@${node.name}:~# ` : '',
    completer: (line: string) => [commandNames.filter((name) => name.startsWith(line)).map((name) => `${name} `), line],
  });
  // A terminal in raw mode needs the carriage return that its driver would add.
  const shown = (text: string) => (terminal ? text.replaceAll('\n', '\r\n') : text);
  let exitCode = 0;
  if (terminal) channel.write(`Simulated node ${node.name} (${node.ip}). Type "help".\r\n`);
  lines.prompt();
  lines.on('line', (line) => {
    const ends = /^\s*(exit|logout)(\s+(\d+))?\s*$/.exec(line);
    if (ends) {
      exitCode = Number(ends[3] ?? exitCode) & 255;
      return lines.close();
    }
    const output = runLine(node, line);
    exitCode = output.exitCode;
    channel.write(shown(output.stdout));
    if (output.stderr !== '') (terminal ? channel : channel.stderr).write(shown(output.stderr));
    lines.prompt();
  });
  lines.on('SIGINT', () => {
    channel.write('^C\r\n');
    // What was typed is discarded, as a shell does.
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    lines.prompt();
  });
  lines.on('close', () => {
    channel.exit(exitCode);
    channel.end();
  });
}
