import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeHome } from '../../src/cli/lock.ts';
import { startWorkerProcess, type WorkerProcess } from '../../src/cli/worker-process.ts';
import { CutoverError } from '../../src/errors.ts';
import { cutoverHome, ensureToken, homeAt, makeHome, readServerFile, writeServerFile } from '../../src/server/home.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cutover-processes-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the home', () => {
  it('is CUTOVER_HOME, else in XDG_STATE_HOME, else in ~/.local/state', () => {
    expect(cutoverHome({ CUTOVER_HOME: '/x/y' }).directory).toBe('/x/y');
    expect(cutoverHome({ XDG_STATE_HOME: '/state' }).directory).toBe('/state/cutover');
    expect(cutoverHome({}).directory).toMatch(/\.local\/state\/cutover$/);
  });

  it('has a token that only its owner reads, made once', () => {
    const home = homeAt(join(folder, 'home'));

    const token = ensureToken(home, {});

    expect(token).toMatch(/^[\w-]{43}$/);
    expect(statSync(home.token).mode & 0o777).toBe(0o600);
    expect(statSync(home.directory).mode & 0o777).toBe(0o700);
    expect(ensureToken(home, {})).toBe(token);
    expect(ensureToken(home, { CUTOVER_TOKEN: 'given' })).toBe('given');
  });

  it('ignores a server file that is broken', () => {
    const home = homeAt(folder);
    writeServerFile(home, { url: 'http://127.0.0.1:1', socket: '', pid: process.pid });
    expect(readServerFile(home)).toEqual({ url: 'http://127.0.0.1:1', socket: '', pid: process.pid });

    writeFileSync(home.serverFile, '{"url":');

    expect(readServerFile(home)).toBeUndefined();
  });
});

describe('the lock of a home', () => {
  it('is given back', () => {
    const home = homeAt(folder);

    takeHome(home)();

    takeHome(home)();
  });

  it('refuses while another `cutover up` lives, naming it, and is taken over when it is dead', async () => {
    const home = homeAt(folder);
    const program = join(folder, 'cutover-that-waits.mjs');
    writeFileSync(program, 'setInterval(() => {}, 1000)');
    const other = execFile(process.execPath, [program]);
    makeHome(home);
    writeFileSync(home.lock, `${other.pid}\n`);

    expect(() => takeHome(home)).toThrow(
      expect.objectContaining({ type: 'Usage', message: expect.stringContaining(`pid ${other.pid}`) }),
    );

    const gone = new Promise((resolve) => other.once('exit', resolve));
    other.kill('SIGKILL');
    await gone;
    const release = takeHome(home);
    expect(readFileSync(home.lock, 'utf8')).toBe(`${process.pid}\n`);
    release();
  });

  it('is taken over from a process of another program that has got the number', () => {
    const home = homeAt(folder);
    writeFileSync(home.lock, '1\n');

    if (process.platform === 'linux') takeHome(home)();
    else expect(() => takeHome(home)).toThrow(CutoverError);
  });
});

describe('the worker process', () => {
  let worker: WorkerProcess | undefined;
  afterEach(() => worker?.stop());

  it('says when it is ready, is started again when it is killed, and ends when it is told to', async () => {
    const deaths: string[] = [];
    const program = join(folder, 'worker.mjs');
    writeFileSync(
      program,
      "process.send('ready'); process.on('SIGTERM', () => process.exit(0)); process.on('disconnect', () => process.exit(0)); setInterval(() => {}, 1000)",
    );
    worker = startWorkerProcess({ env: process.env, program, onDeath: (sentence) => deaths.push(sentence) });
    await worker.ready;
    const first = worker.pid!;

    process.kill(first, 'SIGKILL');

    await expect.poll(() => worker!.pid, { timeout: 10_000 }).not.toBe(first);
    await expect.poll(() => worker!.pid, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(deaths).toEqual(['the worker ended (SIGKILL); starting it again in 1 s, nothing is lost']);
    const second = worker.pid!;
    await worker.stop();
    expect(() => process.kill(second, 0)).toThrow();
    expect(deaths).toHaveLength(1);
  });
});

describe('the server alone', () => {
  it('says in one sentence that no Temporal server answers, and exits with 1', async () => {
    const bin = fileURLToPath(new URL('../../bin/cutover', import.meta.url));
    const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) =>
      execFile(
        bin,
        ['server', '--port', '0'],
        { env: { ...process.env, CUTOVER_HOME: folder, TEMPORAL_ADDRESS: '127.0.0.1:9' } },
        (error, _, text) => resolve({ code: Number(error?.code ?? 0), stderr: text }),
      ),
    );

    expect(code).toBe(1);
    expect(stderr).toContain('error: no Temporal server answers at 127.0.0.1:9\n');
  }, 30_000);
});
