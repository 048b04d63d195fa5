import { expect, it } from 'vitest';
import { scrub, scrubText, shortMessage } from '../../activities/scrub.ts';

it.each([
  ['a bearer token', 'curl -H "Authorization: Bearer s3cr3t-value-1"', 's3cr3t'],
  ['a basic credential', 'Authorization: Basic czNjcjN0OnMzY3IzdA==', 'czNjcjN0'],
  ['a private key', 'a\n-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t\n-----END OPENSSH PRIVATE KEY-----\nb', 's3cr3t'],
  ['a private key that was cut off', '-----BEGIN EC PRIVATE KEY-----\ns3cr3t', 's3cr3t'],
  ['a ServiceAccount token', 'got eyJhbGciOiJSUzI1NiJ9.eyJzM2NyM3QiOjF9.czNjcjN0 from it', 'czNjcjN0'],
  ['a line of a kubeconfig', 'users:\n- user:\n    token: s3cr3t\n    client-key-data: s3cr3t==', 's3cr3t'],
  ['a field of JSON', '{"password":"s3cr3t","user":"ada"}', 's3cr3t'],
  ['a URL', 'https://ada:s3cr3t@api.example:6443/version', 's3cr3t'],
])('takes %s out of a text', (_name, text, secret) => {
  expect(scrubText(text)).not.toContain(secret);
  expect(scrubText(text)).toContain('[redacted]');
});

it('leaves alone what only looks like one', () => {
  const text = 'node worker-1: 3 pods, token 1732180000000001, digest sha256:4f1c2a, key projectcalico.org/node';

  expect(scrubText(text)).toBe(text);
});

it('looks into lists and objects, keeps numbers, and leaves out what JSON cannot say', () => {
  const value = {
    token: 17,
    nested: [{ token: 's3cr3t', 'client-key-data': 's3cr3t', ok: true }],
    nothing: undefined,
    run: () => 1,
    lone: '\ud800',
  };

  expect(scrub(value)).toEqual({
    token: 17,
    nested: [{ token: '[redacted]', 'client-key-data': '[redacted]', ok: true }],
    lone: '\ufffd',
  });
});

it('keeps a message to a bearable length', () => {
  expect(shortMessage('x'.repeat(2_000))).toHaveLength(600);
});
