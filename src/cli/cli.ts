import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { CutoverError } from '../errors.ts';
import { cutoverHome, readServerFile, readToken, type Home } from '../server/home.ts';
import { createApi, type Api } from './client.ts';
import { createStyle, wantsColour, type Style } from './style.ts';
import { visible } from './visible.ts';

/** The last ones are for commands that say so; the others refuse them. */
export const outputs = ['table', 'wide', 'json', 'yaml', 'name', 'junit', 'html', 'markdown'] as const;
export type Output = (typeof outputs)[number];

/** Options of every command. */
export interface GlobalOptions {
  output: Output;
  server?: string;
  as?: string;
  /** `--no-color` makes it false. */
  color: boolean;
  /** Seconds; 0 for no limit. */
  requestTimeout: number;
}

export const defaultPort = 7777;

/** What a command works with: where it prints, whom it acts for, which server it asks. */
export interface Cli {
  env: NodeJS.ProcessEnv;
  options: GlobalOptions;
  home: Home;
  /** Data. */
  stdout: NodeJS.WriteStream;
  /** Style for stdout. */
  style: Style;
  /** Style for stderr. */
  errorStyle: Style;
  /** Both ends are a terminal: a person can be asked. */
  interactive: boolean;
  api(): Api;
  /** The acting person. */
  actor(): string;
  /** Lines of data to stdout. */
  print(lines: string | readonly string[]): void;
  /** One line of progress to stderr. */
  say(line: string): void;
  /** What the process exits with; 0 unless set. */
  exitCode: number;
}

export function createCli(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env): Cli {
  const home = cutoverHome(env);
  let api: Api | undefined;
  const cli: Cli = {
    env,
    options,
    home,
    stdout: process.stdout,
    style: createStyle(wantsColour(process.stdout, env, options.color)),
    errorStyle: createStyle(wantsColour(process.stderr, env, options.color)),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    api: () =>
      (api ??= createApi({
        url: serverUrl(options, env, home),
        ...caOf(env),
        token: readToken(home, env),
        actor: cli.actor(),
        timeoutMs: options.requestTimeout * 1000,
      })),
    actor: () => options.as ?? (env['CUTOVER_ACTOR'] || systemUser()),
    print: (lines) => {
      const all = typeof lines === 'string' ? [lines] : lines;
      if (all.length > 0) process.stdout.write(`${visible(all.join('\n'))}\n`);
    },
    say: (line) => void process.stderr.write(`${visible(line)}\n`),
    exitCode: 0,
  };
  return cli;
}

/** Flag, then environment, then what a server that lives has written, its Unix socket first, then the default. */
function serverUrl(options: GlobalOptions, env: NodeJS.ProcessEnv, home: Home): string {
  const written = options.server ?? env['CUTOVER_SERVER'];
  if (!written) {
    const running = readServerFile(home);
    if (running) return running.socket === '' ? running.url : `unix:${running.socket}`;
    return `http://127.0.0.1:${defaultPort}`;
  }
  if (/^unix:\/./.test(written)) return written;
  const url = /^https?:\/\//.test(written) ? written : `http://${written}`;
  if (!URL.canParse(url))
    throw new CutoverError('Usage', `${written} is not the address of a server`, {
      remedy: 'write it as https://HOST:PORT, http://127.0.0.1:PORT or unix:/PATH',
    });
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !isLoopback(hostname) && env['CUTOVER_ALLOW_PLAIN_HTTP'] !== '1')
    throw new CutoverError('Usage', `${url} is plain HTTP to another machine: everyone between could read along`, {
      remedy:
        'use https:// (`cutover server --tls-cert FILE --tls-key FILE`), or set CUTOVER_ALLOW_PLAIN_HTTP=1 if only people you trust are between',
    });
  return url.replace(/\/+$/, '');
}

const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);

/** @throws CutoverError Usage */
function caOf(env: NodeJS.ProcessEnv): { ca?: string } {
  const file = env['CUTOVER_CA_FILE'];
  if (!file) return {};
  try {
    return { ca: readFileSync(file, 'utf8') };
  } catch (cause) {
    throw new CutoverError('Usage', `CUTOVER_CA_FILE ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
