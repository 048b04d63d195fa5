import { describe, expect, it } from 'vitest';
import { block, defineCheck, pass } from '../../src/checks/define.ts';
import type { Check } from '../../src/checks/define.ts';
import { runChecks } from '../../src/checks/run.ts';
import type { Layer } from '../../src/checks/types.ts';
import { CutoverError } from '../../src/errors.ts';
import { contextFor } from './doubles.ts';

const cluster = { nodes: [{ name: 'worker-1' }, { name: 'worker-2' }] };

const finder =
  (...checks: Check[]) =>
  (id: string) =>
    checks.find((check) => check.id === id);

const fixed = (id: string, layer: Layer, verdict: 'pass' | 'block' = 'pass'): Check =>
  defineCheck<{ id: string }>({
    id,
    layer,
    title: id,
    scope: 'cluster',
    ask: async () => ({ id }),
    judge: () => (verdict === 'pass' ? pass(`${id} holds`) : block(`${id} fails`, { remedy: 'repair it' })),
  });

describe('runChecks', () => {
  it('answers in layer order, whatever the order of the ids, and each id once', async () => {
    const find = finder(fixed('c', 'services'), fixed('a', 'cluster'), fixed('b', 'links'));

    const results = await runChecks(['c', 'b', 'a', 'b'], contextFor(cluster).context, find);

    expect(results.map(({ id, layer, verdict, evidence }) => ({ id, layer, verdict, evidence }))).toEqual([
      { id: 'a', layer: 'cluster', verdict: 'pass', evidence: { id: 'a' } },
      { id: 'b', layer: 'links', verdict: 'pass', evidence: { id: 'b' } },
      { id: 'c', layer: 'services', verdict: 'pass', evidence: { id: 'c' } },
    ]);
  });

  it('still asks above a layer that blocks, and says so', async () => {
    const find = finder(fixed('links', 'links', 'block'), fixed('same', 'links'), fixed('above', 'services'));

    const results = await runChecks(['links', 'same', 'above'], contextFor(cluster).context, find);

    expect(results.map((result) => result.message)).toEqual([
      'links fails',
      'same holds',
      'above holds (links blocks on a layer below: read that first)',
    ]);
  });

  it('makes a block with the sentence and the remedy of whatever an ask throws', async () => {
    const failing = (id: string, error: Error): Check =>
      ({ ...fixed(id, 'node'), ask: () => Promise.reject(error) }) as Check;
    const find = finder(
      failing('known', new CutoverError('NodeUnreachable', 'worker-1 refuses SSH', { remedy: 'start sshd' })),
      failing('plain', new TypeError('x is not a function')),
    );

    const results = await runChecks(['known', 'plain'], contextFor(cluster).context, find);

    expect(results.map(({ verdict, message, remedy }) => ({ verdict, message, remedy }))).toMatchObject([
      { verdict: 'block', message: 'worker-1 refuses SSH', remedy: 'start sshd' },
      { verdict: 'block', message: 'x is not a function' },
    ]);
  });

  it('blocks at the deadline of a check that never answers', async () => {
    const find = finder({ ...fixed('slow', 'node'), deadlineSeconds: 0.02, ask: () => new Promise(() => {}) } as Check);

    const [result] = await runChecks(['slow'], contextFor(cluster).context, find);

    expect(result).toMatchObject({ verdict: 'block', message: 'no answer within 0.02 s' });
  });

  it('throws when it is cancelled: a cancelled check has no verdict', async () => {
    const cancel = new AbortController();
    const find = finder({ ...fixed('slow', 'node'), ask: () => new Promise(() => {}) } as Check);

    const running = runChecks(['slow'], contextFor(cluster, { signal: cancel.signal }).context, find);
    cancel.abort(new Error('cancelled by the worker'));

    await expect(running).rejects.toThrow('cancelled by the worker');
  });

  it('asks a patient check again until it passes', async () => {
    let asked = 0;
    const settling = defineCheck<{ asked: number }>({
      id: 'settling',
      layer: 'runtime',
      title: 'Settles',
      scope: 'cluster',
      patient: true,
      ask: async () => ({ asked: ++asked }),
      judge: (facts) => (facts.asked < 2 ? block('not yet', { remedy: 'wait' }) : pass('settled')),
    });

    const [result] = await runChecks(
      ['settling'],
      contextFor(cluster, { patienceMs: 5_000 }).context,
      finder(settling),
    );

    expect(result).toMatchObject({ verdict: 'pass', evidence: { asked: 2 } });
  });

  it('does not ask again what was not patient, or when no patience is left', async () => {
    let asked = 0;
    const count = (patient: boolean): Check =>
      ({ ...fixed(`blocks-${patient}`, 'runtime', 'block'), patient, ask: async () => ({ asked: ++asked }) }) as Check;

    await runChecks(['blocks-false'], contextFor(cluster, { patienceMs: 5_000 }).context, finder(count(false)));
    await runChecks(['blocks-true'], contextFor(cluster, { patienceMs: 0 }).context, finder(count(true)));

    expect(asked).toBe(2);
  });

  it('asks every layer at the same time', async () => {
    const together: string[] = [];
    const all = Promise.withResolvers<void>();
    const meets = (id: string, layer: Layer): Check =>
      ({
        ...fixed(id, layer),
        deadlineSeconds: 5,
        ask: async () => {
          together.push(id);
          if (together.length === 2) all.resolve();
          await all.promise;
          return { id };
        },
      }) as Check;

    const results = await runChecks(
      ['low', 'high'],
      contextFor(cluster).context,
      finder(meets('low', 'links'), meets('high', 'services')),
    );

    expect(results.map(({ verdict }) => verdict)).toEqual(['pass', 'pass']);
  });

  it('asks again what blocked above a layer that needed a moment, and keeps what passed', async () => {
    const asked = { below: 0, above: 0, well: 0 };
    const check = (id: keyof typeof asked, layer: Layer, patient: boolean, from: number): Check =>
      defineCheck<{ asked: number }>({
        id,
        layer,
        title: id,
        scope: 'cluster',
        patient,
        ask: async () => ({ asked: ++asked[id] }),
        judge: (facts) => (facts.asked < from ? block('not yet', { remedy: 'wait' }) : pass('it holds')),
      });
    const find = finder(
      check('below', 'runtime', true, 2),
      check('above', 'services', false, 2),
      check('well', 'services', false, 1),
    );

    const results = await runChecks(
      ['below', 'above', 'well'],
      contextFor(cluster, { patienceMs: 5_000 }).context,
      find,
    );

    expect(results.map(({ verdict }) => verdict)).toEqual(['pass', 'pass', 'pass']);
    expect(asked).toEqual({ below: 2, above: 2, well: 1 });
  });

  it('names the node of a node check, and blocks when it has none', async () => {
    const ofNode: Check = { ...fixed('node-check', 'node'), scope: 'node' } as Check;

    const [withNode] = await runChecks(['node-check'], contextFor(cluster, { at: 'worker-1' }).context, finder(ofNode));
    const [without] = await runChecks(['node-check'], contextFor(cluster).context, finder(ofNode));

    expect(withNode).toMatchObject({ verdict: 'pass', node: 'worker-1' });
    expect(without).toMatchObject({ verdict: 'block', message: expect.stringContaining('asked without one') });
  });

  it('refuses an id that no check has, by name', async () => {
    await expect(runChecks(['no-such-check'], contextFor(cluster).context)).rejects.toMatchObject({
      type: 'Internal',
      message: 'there is no check no-such-check',
    });
  });

  it('cuts long lists of evidence and says how much is missing', async () => {
    const long = {
      ...fixed('long', 'node'),
      ask: async () => ({ names: Array.from({ length: 130 }, (_, index) => index) }),
    } as Check;

    const [result] = await runChecks(['long'], contextFor(cluster).context, finder(long));

    const { names } = result!.evidence as { names: unknown[] };
    expect(names).toHaveLength(101);
    expect(names.at(-1)).toBe('… and 30 more');
  });
});
