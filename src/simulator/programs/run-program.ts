import { Readable } from 'node:stream';
import type { ExecStreams } from '../types.ts';
import { createServer, hostnameOf } from './agnhost.ts';
import { ownAddress, type Program, type ProgramContext } from './context.ts';
import { bird, birdcl, collected, fileText, removeFile, stat, writeFile } from './bird-tools.ts';
import { curl } from './curl.ts';
import { dig, nslookup } from './dns-tools.ts';
import { iperf, pkill } from './iperf.ts';
import { agnhostConnect, ip, nc, ping, readPodFile } from './net-tools.ts';
import { resolvConf } from './resolver.ts';
import { cksum, seq } from './text-tools.ts';
import { splitWords } from './words.ts';

export type ProgramRun = ProgramContext & { command: string[]; io: ExecStreams };

const MAX_DEPTH = 4;

/** Runs one command in a container: the tools that Kubernetes' test image has, against simulated servers. */
export async function runProgram({ command, io, ...context }: ProgramRun): Promise<{ exitCode: number }> {
  return { exitCode: await execute(context, command, io, 0) };
}

async function execute(
  context: ProgramContext,
  [first = '', ...words]: string[],
  io: ExecStreams,
  depth: number,
): Promise<number> {
  const name = first.split('/').at(-1)!;
  if ((name === 'sh' || name === 'bash') && words[0]?.startsWith('-') && words[0].includes('c') && depth < MAX_DEPTH) {
    return shell(context, words[1] ?? '', io, depth + 1);
  }
  if ((name === 'sh' || name === 'bash') && words.every((word) => /^-[il]+$/.test(word)) && depth < MAX_DEPTH)
    return interactive(context, io, depth + 1);
  const serve = createServer(context, (at, command) => collect(at, command, depth + 1));
  const found = name === 'curl' ? curl(serve) : Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (found === undefined) {
    io.stderr(
      `OCI runtime exec failed: exec failed: unable to start container process: exec: "${first}": executable file not found in $PATH: unknown\n`,
    );
    return 127;
  }
  return found(context, words, io);
}

/** A shell without a command: runs the lines of its standard input. With a terminal it prompts and echoes, as a tty does. */
async function interactive(context: ProgramContext, io: ExecStreams, depth: number): Promise<number> {
  const terminal = io.terminal === true;
  const shown = (data: string) => (terminal ? data.replaceAll('\n', '\r\n') : data);
  const echo = (data: string) => void (terminal && io.stdout(data));
  const own: ExecStreams = { stdout: (data) => io.stdout(shown(data)), stderr: (data) => io.stderr(shown(data)) };
  const prompt = () => echo('/ # ');
  let exitCode = 0;
  let line = '';
  prompt();
  for await (const chunk of io.stdin ?? []) {
    for (const char of chunk.toString('utf8')) {
      if (char === '\u0004' && terminal && line === '') return exitCode;
      if (char === '\u0003' && terminal) {
        echo('^C\r\n');
        line = '';
        prompt();
      } else if (char === '\u007f' || char === '\b') {
        if (line !== '') echo('\b \b');
        line = line.slice(0, -1);
      } else if (char === '\r' || char === '\n') {
        echo('\r\n');
        const ends = /^\s*exit(?:\s+(\d+))?\s*$/.exec(line);
        if (ends) return ends[1] === undefined ? exitCode : Number(ends[1]) & 255;
        if (line.trim() !== '') exitCode = await shell(context, line, own, depth);
        line = '';
        prompt();
      } else if (char >= ' ') {
        line += char;
        echo(char);
      }
    }
  }
  return line.trim() === '' ? exitCode : shell(context, line, own, depth);
}

async function collect(context: ProgramContext, command: string[], depth: number) {
  let stdout = '';
  let stderr = '';
  const io: ExecStreams = { stdout: (data) => void (stdout += data), stderr: (data) => void (stderr += data) };
  const exitCode = await execute(context, command, io, depth);
  return { exitCode, stdout, stderr };
}

/** A line of sh: commands joined by `;`, `&&`, `||` and `|`, with `2>&1`, `>/dev/null` and `2>/dev/null`. */
async function shell(context: ProgramContext, line: string, io: ExecStreams, depth: number): Promise<number> {
  let exitCode = 0;
  let skip = false;
  let command: string[] = [];
  let ended = false;
  const flush = async () => {
    if (command.length > 0 && !skip && !ended) {
      ended = command[0] === 'exit';
      if (!ended) exitCode = await pipeline(context, command, io, depth);
      else if (command[1] !== undefined) exitCode = Number(command[1]) & 255;
    }
    command = [];
  };
  for (const word of splitWords(line)) {
    if (word !== ';' && word !== '&&' && word !== '||') {
      command.push(word);
      continue;
    }
    await flush();
    skip = word === '&&' ? exitCode !== 0 : word === '||' && exitCode === 0;
  }
  await flush();
  return exitCode;
}

/** Each command reads what the one before it has printed; the exit code is the last one's. */
async function pipeline(context: ProgramContext, words: string[], io: ExecStreams, depth: number): Promise<number> {
  const end = words.indexOf('|');
  if (end < 0) return redirected(context, words, io, depth);
  let printed = '';
  await redirected(context, words.slice(0, end), { ...io, stdout: (data) => void (printed += data) }, depth);
  return pipeline(context, words.slice(end + 1), { ...io, stdin: Readable.from([Buffer.from(printed)]) }, depth);
}

async function redirected(context: ProgramContext, words: string[], io: ExecStreams, depth: number): Promise<number> {
  const silent = () => {};
  let { stdout, stderr } = io;
  const kept: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    if (word === '2>&1') stderr = stdout;
    else if (/^1?>\/dev\/null$/.test(word)) stdout = silent;
    else if (word === '2>/dev/null') stderr = silent;
    else if (/^[12]?>$/.test(word) && words[at + 1] === '/dev/null') {
      at += 1;
      if (word === '2>') stderr = silent;
      else stdout = silent;
    } else if (/^1?>\//.test(word)) {
      const file = collected(io);
      const exitCode = await execute(context, [...kept, ...words.slice(at + 1)], file.io, depth);
      writeFile(context, word.replace(/^1?>/, ''), file.text());
      return exitCode;
    } else kept.push(word);
  }
  return execute(context, kept, { ...io, stdout, stderr }, depth);
}

const programs: { [name: string]: Program } = {
  dig,
  nslookup,
  nc,
  ncat: nc,
  ping,
  ip,
  iperf,
  pkill,
  seq,
  cksum,
  true: () => 0,
  false: () => 1,
  hostname(context, words, io) {
    io.stdout(`${words.some((word) => /^-[iI]$/.test(word)) ? ownAddress(context) : hostnameOf(context.pod)}\n`);
    return 0;
  },
  echo(_context, words, io) {
    io.stdout(`${words.filter((word, at) => at > 0 || word !== '-n').join(' ')}${words[0] === '-n' ? '' : '\n'}`);
    return 0;
  },
  async sleep({ clock }, words) {
    await clock.sleep(Number(/^\d+(\.\d+)?/.exec(words[0] ?? '0')?.[0] ?? 0) * 1000);
    return 0;
  },
  birdcl,
  bird,
  stat,
  rm: removeFile,
  date({ clock }, words, io) {
    if (words[0] === '+%s') io.stdout(`${Math.floor(clock.now() / 1000)}\n`);
    else io.stdout(`${new Date(clock.now()).toUTCString()}\n`);
    return 0;
  },
  env(context, _words, io) {
    const own = (context.pod['spec'].containers as { name: string; env?: { name: string; value?: string }[] }[]).find(
      (each) => each.name === context.container,
    );
    const lines = [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `HOSTNAME=${hostnameOf(context.pod)}`,
      ...(own?.env ?? []).map(({ name, value = '' }) => `${name}=${value}`),
    ];
    io.stdout(lines.map((each) => `${each}\n`).join(''));
    return 0;
  },
  cat(context, words, io) {
    let exitCode = 0;
    for (const path of words) {
      const text =
        path === '/etc/resolv.conf' ? resolvConfText(context) : (fileText(context, path) ?? readPodFile(context, path));
      if (text !== undefined) io.stdout(text);
      else {
        io.stderr(`cat: ${path}: No such file or directory\n`);
        exitCode = 1;
      }
    }
    return exitCode;
  },
  ls(context, words, io) {
    const path = (words.find((word) => !word.startsWith('-')) ?? '/').replace(/\/+$/, '');
    const entries =
      path === ''
        ? ['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr', 'var']
        : ({ '/etc': ['hostname', 'hosts', 'resolv.conf'] } as { [path: string]: string[] })[path];
    const exists = readPodFile(context, path) !== undefined || path === '/etc/resolv.conf';
    if (entries === undefined && !exists) {
      io.stderr(`ls: cannot access '${path}': No such file or directory\n`);
      return 2;
    }
    io.stdout((entries ?? [path]).map((each) => `${each}\n`).join(''));
    return 0;
  },
  agnhost(context, words, io) {
    if (words[0] === 'connect') return agnhostConnect(context, words.slice(1), io);
    io.stderr(`Error: unknown command ${JSON.stringify(words[0] ?? '')} for "app"\n`);
    return 1;
  },
};

function resolvConfText(context: ProgramContext): string {
  const { server, search } = resolvConf(context);
  return `${search.length > 0 ? `search ${search.join(' ')}\n` : ''}nameserver ${server}\n${search.length > 0 ? 'options ndots:5\n' : ''}`;
}
