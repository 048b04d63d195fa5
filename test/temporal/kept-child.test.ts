import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keptChild } from '../../src/temporal/kept-child.ts';

let folder: string;
const leftOver: number[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cutover-kept-'));
});
afterEach(() => {
  for (const pid of leftOver.splice(0)) if (lives(pid)) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A server that writes its pid into a file, and waits. */
function aServer(): { path: string; args: string[]; pid(): number } {
  const file = join(folder, 'pid');
  const code = `require('node:fs').writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1000)`;
  return {
    path: process.execPath,
    args: ['-e', code],
    pid: () => {
      const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
      if (pid > 0) leftOver.push(pid);
      return pid;
    },
  };
}

describe('a kept child', () => {
  it('ends when the process that started it is killed', async () => {
    const server = aServer();
    const parent = join(folder, 'parent.ts');
    const module = new URL('../../src/temporal/kept-child.ts', import.meta.url).href;
    writeFileSync(
      parent,
      `import { keptChild } from ${JSON.stringify(module)}; keptChild(${JSON.stringify(server.path)}, ${JSON.stringify(server.args)}); setInterval(() => {}, 1000);`,
    );
    const starter = spawn(process.execPath, [parent], { stdio: 'ignore' });
    await expect.poll(server.pid, { timeout: 20_000 }).toBeGreaterThan(0);
    const pid = server.pid();

    starter.kill('SIGKILL');

    await expect.poll(() => lives(pid), { timeout: 20_000 }).toBe(false);
  });

  it('ends when its keeper is told to, and says with which code', async () => {
    const server = aServer();
    const child = keptChild(server.path, server.args);
    await expect.poll(server.pid, { timeout: 20_000 }).toBeGreaterThan(0);
    const pid = server.pid();
    const exited = new Promise((resolve) => child.once('exit', resolve));

    child.kill('SIGTERM');

    expect(await exited).toBe(143);
    expect(lives(pid)).toBe(false);
  });

  it('is out of reach of a ^C in the terminal of its parent', async () => {
    const server = aServer();
    const child = keptChild(server.path, server.args);
    await expect.poll(server.pid, { timeout: 20_000 }).toBeGreaterThan(0);

    // What a terminal signals is the process group of its foreground job; a leader has its pid as its group.
    expect(() => process.kill(-child.pid!, 0)).not.toThrow();

    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  });

  it('passes on what the server wrote and how it ended', async () => {
    const child = keptChild(process.execPath, ['-e', 'console.error("no port"); process.exit(3)']);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (said += text));

    const code = await new Promise((resolve) => child.once('close', resolve));

    expect({ code, said }).toEqual({ code: 3, said: 'no port\n' });
  });
});

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
