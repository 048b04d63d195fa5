/**
 * Many questions in one exec: curl takes any number of URLs and prints, after each body, one line that we choose.
 * A shell in the pod is not needed, and a failed URL does not stop the ones behind it.
 */

/** Starts each line that ends an answer. Nothing that a probe pod serves begins a line like this. */
const marker = '@cutover';

export interface CurlAnswer {
  url: string;
  /** An HTTP status below 400 arrived in time. */
  ok: boolean;
  /** HTTP status, 0 when there was none. */
  status: number;
  body: string;
  /** From the start of the request to the last byte, in milliseconds. */
  ms: number;
  /** Why there is no answer, in words; `` when there is one. */
  error: string;
}

/**
 * The command that asks all of `urls`, one after the other, each on a new connection: kube-proxy chooses a backend
 * for each connection, and a kept one would ask the same backend again.
 */
export function curlCommand(
  urls: readonly string[],
  options: { timeoutSeconds?: number; connectSeconds?: number } = {},
): string[] {
  return [
    'curl',
    '-s',
    '-S',
    // The API server's certificate is nobody's business here: whether it is reached, is.
    '-k',
    '--max-time',
    String(options.timeoutSeconds ?? 2),
    ...(options.connectSeconds === undefined ? [] : ['--connect-timeout', String(options.connectSeconds)]),
    '-H',
    'Connection: close',
    '-w',
    `\\n${marker} %{http_code} %{exitcode} %{time_total}\\n`,
    ...urls,
  ];
}

/** One answer for each URL, in order; a URL that curl did not come to (it was killed) has an answer that says so. */
export function parseCurl(output: { stdout: string; stderr: string }, urls: readonly string[]): CurlAnswer[] {
  const found: { body: string; fields: string[] }[] = [];
  let body: string[] = [];
  for (const line of output.stdout.split('\n')) {
    if (!line.startsWith(`${marker} `)) {
      body.push(line);
      continue;
    }
    found.push({ body: body.join('\n').trim(), fields: line.split(' ').slice(1) });
    body = [];
  }

  // With -S curl prints one such line for each URL that failed, in order.
  const complaints = output.stderr.split('\n').filter((line) => line.startsWith('curl: ('));
  return urls.map((url, index) => {
    const answer = found[index];
    if (answer === undefined) return noAnswer(url, `not asked: ${firstLine(output.stderr) || 'curl ended early'}`);

    const status = Number(answer.fields[0]) || 0;
    const exitCode = Number(answer.fields[1]);
    const ms = Math.round((Number(answer.fields[2]) || 0) * 1000);
    const failed = status === 0 || exitCode > 0;
    if (failed) return { ...noAnswer(url, describe(exitCode, complaints.shift())), status, body: answer.body, ms };
    return { url, ok: status < 400, status, body: answer.body, ms, error: status < 400 ? '' : `HTTP ${status}` };
  });
}

/** curl's exit codes that say something about a network (curl(1), EXIT CODES). */
const exitCodes: { [code: number]: string } = {
  6: 'the name does not resolve',
  7: 'connection refused or no route',
  18: 'the answer was cut off',
  28: 'no answer in time',
  35: 'TLS failed',
  52: 'an empty answer',
  55: 'sending failed',
  56: 'connection reset',
};

/** Old versions of curl do not know %{exitcode}; the number is in their complaint as well. */
function describe(exitCode: number, complaint: string | undefined): string {
  const code =
    Number.isInteger(exitCode) && exitCode > 0 ? exitCode : Number(/^curl: \((\d+)\)/.exec(complaint ?? '')?.[1]);
  return exitCodes[code] ?? complaint ?? `curl failed with ${Number.isNaN(code) ? 'no code' : code}`;
}

const noAnswer = (url: string, error: string): CurlAnswer => ({ url, ok: false, status: 0, body: '', ms: 0, error });

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
