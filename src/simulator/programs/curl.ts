import type { Program } from './context.ts';
import { http, type HttpResult, type HttpServer } from './http.ts';

interface Options {
  silent: boolean;
  showError: boolean;
  fail: boolean;
  maxTimeMs: number | undefined;
  connectTimeoutMs: number | undefined;
  output: string | undefined;
  writeOut: string;
  body: string | undefined;
  failEarly: boolean;
  /** A connection that is there already is used again. */
  keep: boolean;
  urls: string[];
}

/** Options that take a value and do not matter here. */
const ignoredWithValue = new Set([
  '-X',
  '--request',
  '-A',
  '--user-agent',
  '--retry',
  '--retry-delay',
  '--interface',
  '--resolve',
  '-u',
  '--user',
]);

function parse(words: string[]): Options | string {
  const options: Options = {
    silent: false,
    showError: false,
    fail: false,
    maxTimeMs: undefined,
    connectTimeoutMs: undefined,
    output: undefined,
    writeOut: '',
    body: undefined,
    failEarly: false,
    keep: true,
    urls: [],
  };
  const seconds = (text: string | undefined) => Math.round(Number(text) * 1000);
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    const value = () => words[(at += 1)];
    if (!word.startsWith('-')) options.urls.push(...expand(word));
    else if (word === '-m' || word === '--max-time') options.maxTimeMs = seconds(value());
    else if (/^-m\d/.test(word)) options.maxTimeMs = seconds(word.slice(2));
    else if (word === '--connect-timeout') options.connectTimeoutMs = seconds(value());
    else if (word === '-o' || word === '--output') options.output = value();
    else if (word === '-w' || word === '--write-out') options.writeOut = value() ?? '';
    else if (word === '-d' || word === '--data' || word === '--data-binary') options.body = value() ?? '';
    else if (word === '-H' || word === '--header') options.keep &&= !/^connection:\s*close$/i.test(value() ?? '');
    else if (ignoredWithValue.has(word)) value();
    else if (word === '--silent') options.silent = true;
    else if (word === '--show-error') options.showError = true;
    else if (word === '--fail') options.fail = true;
    else if (word === '--fail-early') options.failEarly = true;
    else if (word.startsWith('--')) continue;
    else {
      const flags = word.slice(1).split('');
      for (const [index, flag] of flags.entries()) {
        if (flag === 's') options.silent = true;
        else if (flag === 'S') options.showError = true;
        else if (flag === 'f') options.fail = true;
        else if ('omwdHX'.includes(flag)) {
          const rest = word.slice(index + 2) || (value() ?? '');
          if (flag === 'o') options.output = rest;
          if (flag === 'm') options.maxTimeMs = seconds(rest);
          if (flag === 'w') options.writeOut = rest;
          if (flag === 'd') options.body = rest;
          break;
        } else if (!'kgvLi46N'.includes(flag)) return `curl: option ${word}: is unknown`;
      }
    }
  }
  return options;
}

/** curl, as far as asking HTTP servers goes. Exit codes and complaints are the real ones. */
export const curl =
  (serve: HttpServer): Program =>
  async (context, words, io) => {
    const options = parse(words);
    if (typeof options === 'string') {
      io.stderr(`${options}\ncurl: try 'curl --help' for more information\n`);
      return 2;
    }
    if (options.urls.length === 0) {
      io.stderr("curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information\n");
      return 2;
    }
    let exitCode = 0;
    /** Host and port that the last answer came from. */
    let connected = '';
    for (const url of options.urls) {
      const { maxTimeMs, connectTimeoutMs, body } = options;
      const result = await http(
        context,
        {
          url,
          ...(maxTimeMs ? { maxTimeMs } : {}),
          ...(connectTimeoutMs ? { connectTimeoutMs } : {}),
          ...(body === undefined ? {} : { body }),
        },
        serve,
      );
      const verdict = judge(result, options);
      exitCode = verdict.code;
      const place = /^(?:https?:\/\/)?([^/?#]+)/.exec(url)?.[1] ?? '';
      const isKept = options.keep && result.outcome === 'answered' && connected === place;
      connected = options.keep && result.outcome === 'answered' ? place : '';
      if (result.outcome === 'answered' && options.output === undefined && verdict.code === 0) io.stdout(result.body);
      if (verdict.message !== '' && (!options.silent || options.showError))
        io.stderr(`curl: (${verdict.code}) ${verdict.message}\n`);
      if (options.writeOut !== '') io.stdout(format(options.writeOut, result, verdict, isKept));
      if (options.failEarly && verdict.code !== 0) break;
    }
    return exitCode;
  };

interface Verdict {
  code: number;
  message: string;
}

function judge(result: HttpResult, { fail }: Options): Verdict {
  switch (result.outcome) {
    case 'answered':
      return fail && result.status >= 400
        ? { code: 22, message: `The requested URL returned error: ${result.status}` }
        : { code: 0, message: '' };
    case 'unresolved':
      return { code: 6, message: `Could not resolve host: ${result.host}` };
    case 'refused':
      return {
        code: 7,
        message: `Failed to connect to ${result.host} port ${result.port} after ${Math.round(result.ms)} ms: Couldn't connect to server`,
      };
    default: {
      const ms = Math.round(result.ms) + 1;
      if (result.phase === 'resolve') return { code: 28, message: `Resolving timed out after ${ms} milliseconds` };
      if (result.phase === 'connect') return { code: 28, message: `Connection timed out after ${ms} milliseconds` };
      return { code: 28, message: `Operation timed out after ${ms} milliseconds with 0 bytes received` };
    }
  }
}

/** Of what a new connection takes, the handshake has this share. */
const handshake = 0.4;

/** `http://host/[1-3]` stands for three URLs. */
function expand(url: string): string[] {
  const found = /^(.*)\[(\d+)-(\d+)\](.*)$/.exec(url);
  if (found === null) return [url];
  const [, head, first, last, tail] = found;
  return Array.from(
    { length: Math.max(0, Number(last) - Number(first) + 1) },
    (_, at) => `${head}${Number(first) + at}${tail}`,
  );
}

function format(template: string, result: HttpResult, verdict: Verdict, isKept: boolean): string {
  const answered = result.outcome === 'answered' ? result : undefined;
  const seconds = ((result.ms * (isKept ? 1 - handshake : 1)) / 1000).toFixed(6);
  const values: { [name: string]: string } = {
    http_code: String(answered?.status ?? 0).padStart(3, '0'),
    response_code: String(answered?.status ?? 0).padStart(3, '0'),
    time_total: seconds,
    time_connect: ((answered && !isKept ? result.ms * handshake : 0) / 1000).toFixed(6),
    time_starttransfer: answered ? seconds : '0.000000',
    remote_ip: answered?.remoteIp ?? '',
    size_download: String(answered?.body.length ?? 0),
    exitcode: String(verdict.code),
    errormsg: verdict.message,
    num_connects: answered && !isKept ? '1' : '0',
  };
  return template
    .replace(/%\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
    .replace(/\\([nrt\\])/g, (_, letter: string) => ({ n: '\n', r: '\r', t: '\t' })[letter] ?? '\\');
}
