import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import { CutoverError } from '../../src/errors.ts';
import { kubeconfigFor } from './api-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'cutover-kubeconfig-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (content: string): string => {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, content);
  return path;
};

function failureOf(kubeconfig: string, context = ''): CutoverError {
  try {
    createKubernetesClient({ kubeconfig, context });
  } catch (error) {
    if (error instanceof CutoverError) return error;
  }
  throw new Error('it was accepted');
}

it('says that the file does not exist', () => {
  expect(failureOf('/nowhere/config')).toMatchObject({
    type: 'KubeconfigInvalid',
    message: 'the kubeconfig /nowhere/config does not exist',
  });
});

it('says which contexts there are when the one that is asked for is not', () => {
  const path = file(kubeconfigFor('https://127.0.0.1:6443'));

  expect(failureOf(path, 'production')).toMatchObject({
    type: 'KubeconfigInvalid',
    message: `${path} has no context "production"`,
    remedy: 'choose one of: lab',
  });
});

it('says that a file is not YAML without quoting the credentials beside the mistake', () => {
  const path = file('users:\n- name: ada\n  user: {token: hunter2-hunter2\n: :\n');

  const { type, message } = failureOf(path);

  expect(type).toBe('KubeconfigInvalid');
  expect(message).toMatch(/is not YAML: line \d+: /);
  expect(message).not.toContain('hunter2');
});

it.each([
  ['plain text', 'hello'],
  ['an empty file', ''],
  ['a list', '- a\n- b\n'],
])('says that %s is not a kubeconfig', (_name, content) => {
  expect(failureOf(file(content))).toMatchObject({ type: 'KubeconfigInvalid' });
});

it('says that there is no current context', () => {
  const { 'current-context': _, ...rest } = JSON.parse(kubeconfigFor('https://127.0.0.1:6443')) as {
    [key: string]: unknown;
  };

  expect(failureOf(file(JSON.stringify(rest)))).toMatchObject({
    message: expect.stringContaining('has no current-context'),
    remedy: 'name one with --context: lab',
  });
});

it('names the address that refuses, and where it came from', async () => {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  const path = file(kubeconfigFor(`http://127.0.0.1:${port}`));

  const client = createKubernetesClient({ kubeconfig: path, context: '' });

  await expect(client.cluster()).rejects.toMatchObject({
    type: 'ClusterUnreachable',
    message: `nothing answers at http://127.0.0.1:${port} (context "lab" of ${path}): connection refused`,
  });
});
