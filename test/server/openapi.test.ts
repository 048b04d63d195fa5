import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApp } from '../../src/server/app.ts';
import { createPlanner } from '../../src/server/planning.ts';
import { startFixture, token, type Fixture } from './fixture.ts';

let api: Fixture;
let document: { openapi: string; paths: Record<string, Record<string, any>>; components: any; security: unknown };
beforeAll(async () => {
  api = await startFixture();
  document = (await (await fetch(`${api.url}/openapi.json`)).json()) as typeof document;
});
afterAll(() => api.close());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

it('describes every route of the server, and no other', () => {
  const { store, control } = api;
  const app = createApp({ store, control, planner: createPlanner(), token, version: '0' });
  const routed = app.routes
    .filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);

  expect(new Set(operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`))).toEqual(new Set(routed));
  expect(routed.length).toBeGreaterThanOrEqual(20);
});

it('resolves every reference', () => {
  const text = JSON.stringify(document);
  const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, pointer]) => pointer!.split('/'));

  expect(references.length).toBeGreaterThan(0);
  for (const pointer of references)
    expect(
      pointer.reduce((at, key) => at?.[key], document as any),
      pointer.join('/'),
    ).toBeDefined();
});

it('names parameters, a success, the error shape and a summary of each operation', () => {
  expect(document.openapi).toBe('3.1.0');
  for (const { path, method, operation } of operations()) {
    const declared = (operation.parameters ?? [])
      .filter((one: { in: string }) => one.in === 'path')
      .map(({ name }: { name: string }) => name);
    expect(declared.toSorted(), path).toEqual(
      [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => String(name)).toSorted(),
    );
    expect(operation.summary, path).toMatch(/\w/);
    expect(operation.responses['200'].content, path).toBeDefined();
    expect(operation.responses.default.content['application/json'].schema, path).toEqual({
      $ref: '#/components/schemas/Error',
    });
    if (method === 'post' && !path.endsWith('/preflight')) expect(operation.requestBody.required, path).toBe(true);
  }
});

it('asks for the token everywhere but where it says how the server is, and who', () => {
  expect(document.components.securitySchemes.bearer).toMatchObject({ type: 'http', scheme: 'bearer' });
  expect(document.security).toEqual([{ bearer: [] }]);
  expect(
    operations()
      .filter(({ operation }) => operation.security !== undefined)
      .map(({ path }) => path),
  ).toEqual(['/v1/identity', '/v1/health', '/metrics']);
});
