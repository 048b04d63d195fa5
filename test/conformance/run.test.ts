import { beforeAll, expect, it } from 'vitest';
import { conformance, podManifest } from './kubectl.ts';

conformance('exec, logs, wait', (kubectl) => {
  beforeAll(async () => {
    await kubectl.ok('apply -f -', podManifest('runner'));
    await kubectl.ok('wait --for=condition=Ready pod/runner --timeout=60s');
  }, 90_000);

  it('runs a command and hands back both streams', async () => {
    const { stdout, stderr, exitCode } = await kubectl(`exec runner -- sh -c 'echo out; echo err >&2'`);

    expect({ stdout, exitCode }).toEqual({ stdout: 'out\n', exitCode: 0 });
    expect(stderr).toContain('err\n');
  });

  it('hands back the exit code', async () => {
    const { stdout, stderr, exitCode } = await kubectl(`exec runner -- sh -c 'echo before; exit 7'`);

    expect({ stdout, exitCode }).toEqual({ stdout: 'before\n', exitCode: 7 });
    expect(stderr).toContain('command terminated with exit code 7');
  });

  it('passes standard input, and its end', async () => {
    expect(await kubectl.ok('exec -i runner -- cat', 'line one\nline two\n')).toBe('line one\nline two\n');
  });

  it('passes input that is larger than one frame', async () => {
    const text = 'abcdefghij'.repeat(20_000);

    expect(await kubectl.ok('exec -i runner -- cat', text)).toBe(text);
  });

  it('knows the pod by its host name', async () => {
    expect(await kubectl.ok('exec runner -- hostname')).toBe('runner\n');
  });

  it('refuses a pod and a container that do not exist', async () => {
    const pod = await kubectl('exec nobody -- hostname');
    const container = await kubectl('exec runner -c nothing -- hostname');

    expect(pod.stderr).toContain('pods "nobody" not found');
    expect(container.exitCode).toBe(1);
    expect(container.stderr).toContain('container nothing');
  });

  it('prints logs, all or the last lines', async () => {
    expect(await kubectl.ok('logs runner')).toBe('one\ntwo\nthree\n');
    expect(await kubectl.ok('logs runner --tail=1')).toBe('three\n');
  });

  it('has no logs of a run before the first', async () => {
    const { exitCode, stderr } = await kubectl('logs runner --previous');

    expect(exitCode).toBe(1);
    expect(stderr).toContain('previous terminated container "main" in pod "runner" not found');
  });

  it('waits for a condition, for a field, for a deletion, and gives up in time', async () => {
    expect(await kubectl.ok('wait --for=condition=Ready pod/runner --timeout=30s')).toBe('pod/runner condition met\n');
    expect(await kubectl.ok("wait --for=jsonpath='{.status.phase}'=Running pod/runner --timeout=30s")).toContain(
      'condition met',
    );
    await kubectl.ok('create configmap leaving');
    const waiting = kubectl.ok('wait --for=delete configmap/leaving --timeout=30s');
    await kubectl.ok('delete configmap leaving');
    expect(await waiting).toMatch(/condition met|^$/);

    const late = await kubectl('wait --for=condition=Never pod/runner --timeout=1s');
    expect(late).toMatchObject({ exitCode: 1 });
    expect(late.stderr).toContain('timed out waiting for the condition');
  });

  it('says whether one may do something, and who one is', async () => {
    expect(await kubectl.ok('auth can-i create pods')).toBe('yes\n');
  });
});
