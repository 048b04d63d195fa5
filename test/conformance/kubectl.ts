import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { findKubectl } from '../../scripts/kubectl.mjs';
import { startTarget, type Target } from './target.ts';

/** A test image that is small, has a shell, and is Kubernetes' own. */
export const IMAGE = 'registry.k8s.io/e2e-test-images/agnhost:2.53';

export interface Output {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** A kubectl that runs against the target, in a namespace of its own. */
export interface Kubectl {
  readonly target: Target;
  readonly namespace: string;
  /** Runs it, as written on a command line but for `stdin`. Never throws for an exit code. */
  (args: string, stdin?: string): Promise<Output>;
  /** What it printed. @throws Error with its stderr when it fails */
  ok(args: string, stdin?: string): Promise<string>;
  json(args: string, stdin?: string): Promise<any>;
  /** Starts it and calls back for each line, until stopped. */
  follow(args: string): { line(matches: RegExp): Promise<string>; stop(): void; ended: Promise<number> };
}

const found = await findKubectl({ build: false });

/** A suite with a kubectl; without one it is skipped, and one sentence says why. */
export function conformance(title: string, suite: (kubectl: Kubectl) => void): void {
  if (found.path === undefined) {
    process.stderr.write(
      `conformance (${title}): skipped, no kubectl to judge by: ${found.reason}; node scripts/kubectl.mjs builds one\n`,
    );
    describe.skip(title, () => suite(undefined as unknown as Kubectl));
    return;
  }
  describe(title, { timeout: 60_000 }, () => {
    const kubectl = createKubectl(found.path);
    beforeAll(kubectl.open, 60_000);
    afterAll(kubectl.close, 60_000);
    suite(kubectl);
  });
}

/** Words, with quotes as a shell reads them. */
const words = (line: string) =>
  [...line.matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)].map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'));

function createKubectl(path: string): Kubectl & { open(): Promise<void>; close(): Promise<void> } {
  let target: Target | undefined;
  let home = '';
  const namespace = `conformance-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  const running = new Set<ChildProcess>();
  const env = () => ({ ...process.env, KUBECONFIG: target!.kubeconfig, HOME: home });

  const run = (args: string, stdin?: string): Promise<Output> =>
    new Promise((resolve) => {
      const options = { env: env(), timeout: 60_000, maxBuffer: 2 ** 26 };
      const child = execFile(path, ['-n', namespace, ...words(args)], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ stdout, stderr, exitCode: code });
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(stdin ?? '');
    });

  async function ok(args: string, stdin?: string) {
    const { stdout, stderr, exitCode } = await run(args, stdin);
    if (exitCode !== 0) throw new Error(`kubectl ${args}: exit code ${exitCode}: ${stderr || stdout}`);
    return stdout;
  }

  function follow(args: string) {
    const child = spawn(path, ['-n', namespace, ...words(args)], { env: env(), stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(child);
    let text = '';
    let check = () => {};
    child.stdout.on('data', (chunk) => {
      text += chunk;
      check();
    });
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
    return {
      ended,
      stop: () => void child.kill(),
      line: (matches: RegExp) =>
        new Promise<string>((resolve, reject) => {
          check = () => {
            const line = text.split('\n').find((each) => matches.test(each));
            if (line !== undefined) resolve(line);
          };
          void ended.then(() => reject(new Error(`kubectl ${args} ended without ${matches}: ${text}`)));
          check();
        }),
    };
  }

  const kubectl = Object.assign(run, {
    namespace,
    ok,
    json: async (args: string, stdin?: string) => JSON.parse(await ok(`${args} -o json`, stdin)),
    follow,
    async open() {
      target = await startTarget();
      home = await mkdtemp(join(tmpdir(), 'cutover-kubectl-'));
      await ok(`create namespace ${namespace}`);
    },
    async close() {
      for (const child of running) child.kill();
      if (target === undefined) return;
      await run(`delete namespace ${namespace} --wait=false`);
      await target.stop();
      await rm(home, { recursive: true, force: true });
    },
  });
  return Object.defineProperty(kubectl, 'target', { get: () => target }) as typeof kubectl & { target: Target };
}

/** A pod that prints three lines and stays. */
export const podManifest = (name: string, labels: Record<string, string> = {}, extra: object = {}) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: IMAGE, command: ['sh', '-c', 'echo one; echo two; echo three; sleep 3600'] }],
      ...extra,
    },
  });
