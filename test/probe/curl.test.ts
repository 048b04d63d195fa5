import { execFile, execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { curlCommand, parseCurl } from '../../src/probe/curl.ts';

const urls = ['http://10.0.0.1/', 'http://10.0.0.2/', 'http://10.0.0.3/'];

describe('parseCurl', () => {
  it('gives every URL its own answer when one in the middle fails', () => {
    const stdout = 'pod-a\n@cutover 200 0 0.001234\n\n@cutover 000 28 2.001000\npod-c\n@cutover 200 0 0.002\n';
    const stderr = 'curl: (28) Connection timed out after 2001 milliseconds\n';

    const answers = parseCurl({ stdout, stderr }, urls);

    expect(answers.map(({ ok, body, error, ms }) => ({ ok, body, error, ms }))).toEqual([
      { ok: true, body: 'pod-a', error: '', ms: 1 },
      { ok: false, body: '', error: 'no answer in time', ms: 2001 },
      { ok: true, body: 'pod-c', error: '', ms: 2 },
    ]);
  });

  it('reads the exit code from the complaint when curl is too old to print it', () => {
    const stdout =
      '\n@cutover 000 %{exitcode} 0.000100\npod-b\n@cutover 200 %{exitcode} 0.001\n\n@cutover 000 %{exitcode} 0.1\n';
    const stderr = 'curl: (7) Failed to connect\ncurl: (6) Could not resolve host: x\n';

    const answers = parseCurl({ stdout, stderr }, urls);

    expect(answers.map((answer) => answer.error)).toEqual([
      'connection refused or no route',
      '',
      'the name does not resolve',
    ]);
  });

  it('keeps the lines of a body that has several', () => {
    const answers = parseCurl({ stdout: 'one\ntwo\n@cutover 200 0 0.001\n', stderr: '' }, urls.slice(0, 1));

    expect(answers[0]?.body).toBe('one\ntwo');
  });

  it('says of URLs that were never asked that they were not', () => {
    const answers = parseCurl({ stdout: 'pod-a\n@cutover 200 0 0.001\n', stderr: 'command terminated' }, urls);

    expect(answers.map(({ ok, error }) => [ok, error])).toEqual([
      [true, ''],
      [false, 'not asked: command terminated'],
      [false, 'not asked: command terminated'],
    ]);
  });

  it('does not take an error page for an answer', () => {
    const [answer] = parseCurl({ stdout: 'not found\n@cutover 404 0 0.001\n', stderr: '' }, urls.slice(0, 1));

    expect(answer).toMatchObject({ ok: false, status: 404, error: 'HTTP 404', body: 'not found' });
  });
});

const curlVersion = (() => {
  try {
    return execFileSync('curl', ['--version'], { encoding: 'utf8' }).split(' ')[1] ?? '';
  } catch {
    return '';
  }
})();

describe.skipIf(curlVersion === '')('the command, run by a real curl', () => {
  it('asks everything over new connections, and a refused URL does not stop the next one', async () => {
    let connections = 0;
    const server = createServer((request, response) => {
      response.end(new URL(request.url ?? '/', 'http://x').searchParams.get('msg') ?? 'hostname-of-pod');
    });
    server.on('connection', () => (connections += 1));
    const closed = createServer();
    const [port, closedPort] = await Promise.all([listen(server), listen(closed)]);
    await new Promise((resolve) => closed.close(resolve));
    const asked = [
      `http://127.0.0.1:${port}/hostname`,
      `http://127.0.0.1:${closedPort}/hostname`,
      `http://127.0.0.1:${port}/echo?msg=${'m'.repeat(3000)}`,
    ];

    const output = await run(curlCommand(asked));
    server.close();

    const answers = parseCurl(output, asked);
    expect(answers.map((answer) => answer.ok)).toEqual([true, false, true]);
    expect(answers[0]?.body).toBe('hostname-of-pod');
    expect(answers[1]?.error).toBe('connection refused or no route');
    expect(answers[2]?.body).toHaveLength(3000);
    expect(connections).toBe(2);
  });
});

const listen = (server: ReturnType<typeof createServer>): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

/** curl exits with the code of the last failure; what it printed counts. */
async function run([program, ...args]: string[]): Promise<{ stdout: string; stderr: string }> {
  try {
    return await promisify(execFile)(program!, args);
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return { stdout, stderr };
  }
}
