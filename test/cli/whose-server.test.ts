import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeAt, readServerFile, writeServerFile } from '../../src/server/home.ts';
import { createPlanner } from '../../src/server/planning.ts';
import { startServer, type ListenOptions, type RunningServer } from '../../src/server/serve.ts';
import { atGate, migration, startFixture, token, type Fixture } from '../server/fixture.ts';

const bin = fileURLToPath(new URL('../../bin/cutover', import.meta.url));

let api: Fixture;
let folder: string;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  api = await startFixture();
  atGate(api);
  folder = mkdtempSync(join(tmpdir(), 'cutover-whose-'));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The real bin/cutover, which knows nothing but its home and what the test says. */
function cutover(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { PATH, HOME } = process.env;
  return new Promise((resolve) => {
    const child = execFile(
      bin,
      args,
      { env: { PATH, HOME, NO_COLOR: '1', CUTOVER_HOME: folder, CUTOVER_ACTOR: 'bob', ...env } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

const start = async (options: Partial<ListenOptions>): Promise<RunningServer> => {
  const { store, control } = api;
  const dependencies = { store, control, planner: createPlanner(), token, version: '0.0.0' };
  const server = await startServer(dependencies, { port: 0, ...options });
  ends.push(() => server.stop());
  return server;
};
const keep = (file: string, text: string, mode = 0o600): string => {
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
};

/** Somebody else's program on a port: hears everything and answers as `answer` says. */
async function stranger(
  answer: (asked: IncomingMessage, body: string) => Promise<{ status: number; headers?: object; body: string }>,
): Promise<{ url: string; heard: string[] }> {
  const heard: string[] = [];
  const server: Server = createServer((asked, response) => {
    let body = '';
    asked.setEncoding('utf8').on('data', (text: string) => void (body += text));
    asked.once('end', () => {
      heard.push(`${asked.method} ${asked.url} ${JSON.stringify(asked.rawHeaders)} ${body}`);
      void answer(asked, body).then(({ status, headers = {}, body: text }) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(text);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

describe('whoever holds the port', () => {
  const pause = ['pause', migration, '--reason', 'the secret reason'];

  it('gets neither the token nor the request, and the person is told', async () => {
    const { url, heard } = await stranger(async () => ({ status: 200, body: '{"status":"ok","accepted":true}' }));

    for (const args of [pause, ['status']]) {
      const { code, stderr } = await cutover(args, { CUTOVER_SERVER: url, CUTOVER_TOKEN: token });

      expect(code).toBe(1);
      expect(stderr).toContain(
        `what answers at ${url} does not prove that it knows the token\n  the token was not sent`,
      );
    }
    expect(heard).toHaveLength(2);
    expect(heard.join('\n')).not.toMatch(new RegExp(`${token}|secret reason|pause`));
  });

  it('gets no token when it passes everything on, and cannot change an answer or use a request twice', async () => {
    let forge = false;
    const { url, heard } = await stranger(async (asked, body) => {
      const answer = await fetch(`${api.url}${asked.url}`, {
        method: asked.method!,
        headers: asked.headers as Record<string, string>,
        ...(body === '' ? {} : { body }),
      });
      const text = await answer.text();
      const forged = forge && asked.url !== '/v1/identity';
      return {
        status: answer.status,
        headers: { 'x-cutover-proof': answer.headers.get('x-cutover-proof') ?? '' },
        body: forged ? text.replace('pause accepted', 'nothing was paused') : text,
      };
    });
    const env = { CUTOVER_SERVER: url, CUTOVER_TOKEN: token };

    expect((await cutover(pause, env)).code).toBe(0);
    forge = true;
    const forged = await cutover(pause, env);

    expect(forged.code).toBe(1);
    expect(forged.stderr).toContain('does not prove that it knows the token');
    expect(heard.join('\n')).not.toContain(token);
    const [, sent] = heard;
    const headers = JSON.parse(/\[.*\](?= )/.exec(sent!)![0]) as string[];
    const again = await fetch(`${api.url}/v1/migrations/${migration}/pause`, {
      method: 'POST',
      headers: Object.fromEntries(
        headers.flatMap((name, index) =>
          index % 2 === 0 && /^(authorization|x-|content-type)/i.test(name) ? [[name, headers[index + 1]!]] : [],
        ),
      ),
      body: sent!.slice(sent!.lastIndexOf(' {') + 1),
    });
    expect(again.status).toBe(401);
  });

  it('gets no answer signed for another request than the one that was signed', async () => {
    const { url } = await stranger(async (asked) => {
      const own = asked.url !== '/v1/identity';
      const answer = await fetch(`${api.url}${own ? '/openapi.json' : asked.url}`, {
        headers: asked.headers as Record<string, string>,
      });
      const headers = { 'x-cutover-proof': answer.headers.get('x-cutover-proof') ?? '' };
      return { status: 200, headers, body: await answer.text() };
    });

    const { code, stderr } = await cutover(['status'], { CUTOVER_SERVER: url, CUTOVER_TOKEN: token });

    expect([code, stderr]).toEqual([1, expect.stringContaining('does not prove that it knows the token')]);
  });

  it('cannot change what was signed: path, person, id or body', async () => {
    let change: 'path' | 'actor' | 'id' | 'body' = 'path';
    const { url } = await stranger(async (asked, body) => {
      const headers = { ...(asked.headers as Record<string, string>) };
      delete headers['content-length'];
      const own = asked.url !== '/v1/identity';
      if (own && change === 'actor') headers['x-cutover-actor'] = 'ben';
      if (own && change === 'id') headers['x-request-id'] = 'another';
      const answer = await fetch(
        `${api.url}${own && change === 'path' ? asked.url!.replace('pause', 'resume') : asked.url}`,
        {
          method: asked.method!,
          headers,
          ...(body === '' ? {} : { body: change === 'body' ? body.replace('secret', 'public') : body }),
        },
      );
      return {
        status: answer.status,
        headers: { 'x-cutover-proof': answer.headers.get('x-cutover-proof') ?? '' },
        body: await answer.text(),
      };
    });

    for (change of ['path', 'actor', 'id', 'body'] as const)
      expect((await cutover(pause, { CUTOVER_SERVER: url, CUTOVER_TOKEN: token })).stderr, change).toContain(
        'the token is missing or wrong',
      );
    expect(api.control.sent).toEqual([]);
  });
});

describe('the Unix socket of the home', () => {
  it('is what the CLI uses: nobody else may open it, and the port is not asked', async () => {
    const home = homeAt(folder);
    keep(home.token, token);
    const { url, heard } = await stranger(async () => ({ status: 200, body: '{}' }));
    const server = await start({ socket: home.socket });
    writeServerFile(home, { url, socket: server.socket, pid: process.pid });

    const { code, stdout } = await cutover(['status', '-o', 'json']);

    expect([code, JSON.parse(stdout).id]).toEqual([0, migration]);
    expect(statSync(home.socket).mode & 0o777).toBe(0o600);
    expect(heard).toEqual([]);
  });

  it('is named as CUTOVER_SERVER=unix:/path', async () => {
    const server = await start({ socket: join(folder, 'own.sock') });

    const { code } = await cutover(['status'], { CUTOVER_SERVER: `unix:${server.socket}`, CUTOVER_TOKEN: token });

    expect(code).toBe(0);
  });

  it('is put in the place of one that a killed server left, and not in that of one that answers', async () => {
    const socket = join(folder, 'server.sock');
    const program = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await new Promise((resolve) => execFile(process.execPath, ['-e', program], resolve));
    expect(existsSync(socket)).toBe(true);

    await start({ socket });
    await expect(start({ socket })).rejects.toMatchObject({ type: 'Usage', message: `${socket} is taken` });

    expect((await cutover(['status'], { CUTOVER_SERVER: `unix:${socket}`, CUTOVER_TOKEN: token })).code).toBe(0);
  });

  it('is left out where its path is too long for the system', async () => {
    const long = join(folder, 'a'.repeat(90));
    mkdirSync(long);
    const home = homeAt(long);

    const server = await start({ socket: home.socket });

    expect([server.socket, existsSync(home.socket)]).toEqual(['', false]);
    keep(home.token, token);
    writeServerFile(home, { url: server.url, socket: '', pid: process.pid });
    expect((await cutover(['status'], { CUTOVER_HOME: long })).code).toBe(0);
  });
});

describe('server.json', () => {
  it('of a process that is gone, or whose number another one has, counts for nothing', async () => {
    const home = homeAt(folder);
    keep(home.token, token);
    const { url, heard } = await stranger(async () => ({ status: 200, body: '{}' }));
    const gone = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' });

    for (const text of [
      JSON.stringify({ url, socket: '', pid: Number(gone), started: '' }),
      JSON.stringify({ url, socket: '', pid: process.pid, started: 'another boot 1' }),
      JSON.stringify({ url, pid: process.pid }),
    ]) {
      keep(home.serverFile, text);

      expect(readServerFile(home)).toBeUndefined();
      expect((await cutover(['status'])).stderr).not.toContain(url);
    }
    expect(heard).toEqual([]);
  });
});

describe('a server on another machine', () => {
  it('is not asked over plain HTTP unless that is allowed', async () => {
    for (const server of ['http://192.0.2.1:7777', '192.0.2.1:7777', 'http://cutover.example']) {
      const { code, stderr } = await cutover(['status'], { CUTOVER_SERVER: server, CUTOVER_TOKEN: token });

      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(
          /^error: http:\/\/\S+ is plain HTTP to another machine: everyone between could read along\n/,
        ),
      ]);
    }
    const { code } = await cutover(['status', '--request-timeout', '1'], {
      CUTOVER_SERVER: 'http://192.0.2.1:7777',
      CUTOVER_TOKEN: token,
      CUTOVER_ALLOW_PLAIN_HTTP: '1',
    });
    expect(code).toBe(1);
  });

  it('is asked over TLS, when its certificate is trusted', async () => {
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
        .concat(['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'])
        .concat(['-keyout', keyFile, '-out', certFile]),
      { stdio: 'ignore' },
    );
    const server = await start({ tls: { certFile, keyFile } });
    const env = { CUTOVER_SERVER: server.url, CUTOVER_TOKEN: token };
    expect(server.url).toMatch(/^https:/);

    const unknown = await cutover(['status'], env);
    const trusted = await cutover(['status', '-o', 'json'], { ...env, CUTOVER_CA_FILE: certFile });

    expect(unknown.stderr).toMatch(/the certificate of \S+ is not trusted.*\n {2}set CUTOVER_CA_FILE/);
    expect([trusted.code, JSON.parse(trusted.stdout).id]).toEqual([0, migration]);
  });

  it('gets a sentence about TLS files that are no good', async () => {
    const { code, stderr } = await cutover(['server', '--port', '0', '--tls-cert', 'x.pem']);

    expect([code, stderr]).toEqual([2, expect.stringContaining('TLS needs both files, --tls-cert and --tls-key')]);
    await expect(start({ tls: { certFile: '/missing', keyFile: '/missing' } })).rejects.toMatchObject({
      type: 'Usage',
    });
    const broken = keep(join(folder, 'broken.pem'), 'no certificate');
    await expect(start({ tls: { certFile: broken, keyFile: broken } })).rejects.toMatchObject({ type: 'Usage' });
  });
});

describe('the token', () => {
  it('is read from the file that CUTOVER_TOKEN_FILE names, unless others may read it', async () => {
    const file = keep(join(folder, 'cutover-token'), `\n${token}\n`);
    const env = { CUTOVER_SERVER: api.url, CUTOVER_TOKEN_FILE: file };

    expect((await cutover(['status'], env)).code).toBe(0);
    for (const mode of [0o640, 0o604]) {
      chmodSync(file, mode);
      const { code, stderr } = await cutover(['status'], env);
      expect([code, stderr]).toEqual([
        2,
        `error: other users may read the token in ${file} (mode 0${mode.toString(8)}), so it is not used\n  run \`chmod 600 ${file}\`, and replace it if someone may have read it\n`,
      ]);
    }
    expect((await cutover(['status'], { ...env, CUTOVER_TOKEN_FILE: '/missing' })).stderr).toMatch(
      /^error: the token file \/missing cannot be read/,
    );
    expect((await cutover(['status'], { ...env, CUTOVER_TOKEN_FILE: keep(file, ' \n') })).stderr).toContain('is empty');
  });

  it('of the home is refused when others may read it', async () => {
    const home = homeAt(folder);
    keep(home.token, token, 0o644);
    expect((await cutover(['status'], { CUTOVER_SERVER: api.url })).stderr).toContain('other users may read the token');
  });
});

describe('the socket', () => {
  it('answers what speaks HTTP to it, with the token', async () => {
    const { socket } = await start({ socket: join(folder, 's.sock') });

    const status = await new Promise((resolve, reject) =>
      request({ socketPath: socket, path: '/v1/migrations', headers: { authorization: `Bearer ${token}` } }, (answer) =>
        resolve(answer.resume().statusCode),
      )
        .once('error', reject)
        .end(),
    );

    expect(status).toBe(200);
  });
});
