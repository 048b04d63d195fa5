import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kinds } from '../../src/kubernetes/kinds.ts';
import { modify } from '../../src/kubernetes/modify.ts';
import { codeOf } from '../../src/kubernetes/transport.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { startTestApiServer, type TestApiServer } from './api-server.ts';

const configMap = (name: string, data: { [key: string]: string } = {}, namespace = 'default'): KubernetesObject => ({
  ...kinds.configMap,
  metadata: { name, namespace },
  data,
});
const pod = (name: string, labels: { [key: string]: string } = {}, spec: object = {}): KubernetesObject => ({
  ...kinds.pod,
  metadata: { name, namespace: 'default', labels },
  spec: { containers: [{ name: 'main', image: 'a:1' }], ...spec },
});
const ref = (name: string) => ({ ...kinds.configMap, namespace: 'default', name });

let server: TestApiServer;
beforeEach(async () => {
  server = await startTestApiServer({
    exec: async (_pod, container, command, io) => {
      io.stdout(`${container}: ${command.join(' ')}\n`);
      if (command[0] === 'hang') await once(new EventTarget(), 'never');
      if (command[0] === 'fail') io.stderr('it hurts\n');
      return { exitCode: command[0] === 'fail' ? 3 : 0 };
    },
  });
});
afterEach(() => server.stop());

describe('reading and writing', () => {
  it('knows the cluster by the UID of kube-system', async () => {
    const { uid, server: url, version } = await server.client.cluster();

    expect(uid).toBe(server.store.get('namespaces', undefined, 'kube-system')?.metadata.uid);
    expect(url).toBe(server.url);
    expect(version).toMatch(/^v1\./);
  });

  it('answers undefined for an object, and nothing for a kind, that do not exist', async () => {
    expect(await server.client.get(ref('nobody'))).toBeUndefined();
    expect(await server.client.get({ ...kinds.ipPool, name: 'default' })).toBeUndefined();
    expect(await server.client.list(kinds.ipPool)).toEqual([]);
    expect(await server.client.delete(ref('nobody'))).toBe(false);
  });

  it('lists every page, and says what kind each object is', async () => {
    for (let index = 0; index < 1203; index++) server.store.create('configmaps', configMap(`c-${index}`));

    const all = await server.client.list(kinds.configMap, { namespace: 'default' });

    expect(all).toHaveLength(1203);
    expect(all.at(-1)).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(server.requests.filter(({ verb, resource }) => verb === 'list' && resource === 'configmaps').length).toBe(3);
  });

  it('answers the names alone, of every page, and of what a selector selects', async () => {
    for (let index = 0; index < 1203; index++)
      server.store.create('nodes', {
        ...kinds.node,
        metadata: { name: `n-${index}`, ...(index === 7 ? { labels: { odd: 'true' } } : {}) },
      });
    const before = server.requests.length;

    const names = await server.client.names(kinds.node);

    expect(names.toSorted()).toEqual(
      server.store
        .list('nodes')
        .map(({ metadata }) => metadata.name)
        .toSorted(),
    );
    expect(server.requests.slice(before).filter(({ verb }) => verb === 'list')).toHaveLength(3);
    expect(await server.client.names(kinds.node, { labelSelector: 'odd' })).toEqual(['n-7']);
    expect(await server.client.names(kinds.ipPool)).toEqual([]);
  });

  it('selects by label and field', async () => {
    server.store.create('pods', pod('a', { app: 'web' }, { nodeName: 'n1' }));
    server.store.create('pods', pod('b', { app: 'web' }, { nodeName: 'n2' }));
    server.store.create('pods', pod('c', { app: 'db' }, { nodeName: 'n1' }));

    const found = await server.client.list(kinds.pod, { labelSelector: 'app=web', fieldSelector: 'spec.nodeName=n1' });

    expect(found.map(({ metadata }) => metadata.name)).toEqual(['a']);
  });

  it('applies as field manager cutover and keeps fields that no client model knows', async () => {
    const object = { ...configMap('cm', { a: '1' }), immutable: false };

    await server.client.apply(object);
    const again = await server.client.apply({ ...object, data: { b: '2' } });

    expect(again['data']).toEqual({ b: '2' });
    const stored = server.store.get('configmaps', 'default', 'cm')!;
    expect(stored.metadata['managedFields']).toMatchObject([{ manager: 'cutover', operation: 'Apply' }]);
  });

  it('refuses to take over a field of another manager unless it is told to', async () => {
    server.store.create('configmaps', configMap('cm'));
    await server.client.mergePatch(ref('cm'), { data: { a: 'theirs' } });

    await expect(server.client.apply({ ...configMap('cm', { a: 'ours' }) })).rejects.toMatchObject({
      type: 'KubernetesRefused',
    });
    const forced = await server.client.apply({ ...configMap('cm', { a: 'ours' }) }, { force: true });

    expect(forced['data']).toEqual({ a: 'ours' });
  });

  it('deletes only the object that was meant', async () => {
    const { metadata } = server.store.create('configmaps', configMap('cm'));

    expect(await server.client.delete(ref('cm'), { preconditionUid: 'of-another' })).toBe(false);
    expect(await server.client.delete(ref('cm'), { preconditionUid: metadata.uid! })).toBe(true);
    expect(server.store.get('configmaps', 'default', 'cm')).toBeUndefined();
  });

  it('names request, code and the words of the server when it is refused', async () => {
    const error = await server.client.mergePatch(ref('nobody'), { data: {} }).catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({
      type: 'KubernetesRefused',
      message: expect.stringContaining('configmaps "nobody" not found'),
    });
    expect(codeOf(error)).toBe(404);
  });
});

describe('trouble on the way', () => {
  it.each([429, 500] as const)('tries again after a %i', async (status) => {
    server.store.create('configmaps', configMap('cm'));
    let left = 2;
    server.faults.next = ({ resource }) =>
      resource === 'configmaps' && left-- > 0 ? { status, retryAfter: 0 } : undefined;

    expect(await server.client.get(ref('cm'))).toMatchObject({ metadata: { name: 'cm' } });
    expect(left).toBe(-1);
  });

  it('begins a list again when its pages expire under it', async () => {
    for (let index = 0; index < 600; index++) server.store.create('configmaps', configMap(`c-${index}`));
    let lists = 0;
    server.faults.next = ({ verb, resource }) =>
      verb === 'list' && resource === 'configmaps' && ++lists === 2 ? { status: 410 } : undefined;

    expect(await server.client.list(kinds.configMap, { namespace: 'default' })).toHaveLength(600);
    expect(lists).toBe(4);
  });

  it('reads again and changes again when somebody wrote in between', async () => {
    server.store.create('configmaps', configMap('cm', { count: '1' }));
    let reads = 0;

    const { object, changed } = await modify(server.client, ref('cm'), ({ data }) => {
      if (++reads === 1)
        server.store.mutate('configmaps', 'default', 'cm', (other) => void (other['data'] = { count: '41' }));
      return { data: { count: String(Number(data.count) + 1) } };
    });

    expect({ changed, reads, data: object['data'] }).toEqual({ changed: true, reads: 2, data: { count: '42' } });
  });

  it('writes nothing when nothing is missing', async () => {
    server.store.create('configmaps', configMap('cm'));

    expect(await modify(server.client, ref('cm'), () => undefined)).toMatchObject({ changed: false });
    expect(server.requests.some(({ verb }) => verb === 'patch')).toBe(false);
  });
});

describe('waiting', () => {
  it('answers from the list when that is enough', async () => {
    server.store.create('configmaps', configMap('cm', { ready: 'yes' }));

    const answer = await server.client.waitFor(
      kinds.configMap,
      { namespace: 'default', timeoutMs: 5_000 },
      (all) => all.find(({ data }) => data?.ready === 'yes')?.metadata.name,
    );

    expect(answer).toBe('cm');
    expect(server.requests.some(({ verb }) => verb === 'watch')).toBe(false);
  });

  it('sees what is added, changed and deleted while it watches', async () => {
    server.store.create('configmaps', configMap('gone'));
    const seen: string[] = [];
    const waiting = server.client.waitFor(kinds.configMap, { namespace: 'default', timeoutMs: 20_000 }, (all) => {
      const names = all
        .map(({ metadata, data }) => `${metadata.name}:${data?.v ?? ''}`)
        .toSorted()
        .join(' ');
      seen.push(names);
      if (seen.length === 1) server.store.delete('configmaps', 'default', 'gone');
      if (names === '') server.store.create('configmaps', configMap('new', { v: '1' }));
      if (names === 'new:1')
        server.store.mutate('configmaps', 'default', 'new', (object) => void (object['data'] = { v: '2' }));
      return names === 'new:2' ? names : undefined;
    });

    expect(await waiting).toBe('new:2');
    expect(seen).toEqual(['gone:', '', 'new:1', 'new:2']);
  });

  it('lists again after a 410, whether the server answers or streams it', async () => {
    const faults = [{ status: 410 as const }, { status: 410 as const, inStream: true }];
    server.faults.next = ({ verb, resource }) =>
      verb === 'watch' && resource === 'configmaps' ? faults.shift() : undefined;
    let asked = 0;

    const answer = await server.client.waitFor(kinds.configMap, { namespace: 'default', timeoutMs: 20_000 }, (all) => {
      if (++asked === 3) setImmediate(() => server.store.create('configmaps', configMap('late')));
      return all.length > 0 ? all.length : undefined;
    });

    expect(answer).toBe(1);
    expect(faults).toEqual([]);
  });

  it('answers undefined at the end of the time', async () => {
    expect(await server.client.waitFor(kinds.configMap, { timeoutMs: 150 }, () => undefined)).toBeUndefined();
  });

  it('stops when it is aborted, with the reason', async () => {
    const controller = new AbortController();
    const waiting = server.client.waitFor(kinds.configMap, { timeoutMs: 20_000, signal: controller.signal }, () => {
      setImmediate(() => controller.abort(new Error('enough')));
      return undefined;
    });

    await expect(waiting).rejects.toThrow('enough');
  });

  it('passes on what the question throws', async () => {
    server.store.create('configmaps', configMap('cm'));
    let asked = 0;
    const waiting = server.client.waitFor(kinds.configMap, { namespace: 'default', timeoutMs: 20_000 }, () => {
      if (++asked === 2) throw new Error('bad question');
      setImmediate(() =>
        server.store.mutate('configmaps', 'default', 'cm', (object) => void (object['data'] = { a: 'b' })),
      );
      return undefined;
    });

    await expect(waiting).rejects.toThrow('bad question');
  });

  it('serves many waits at a time', async () => {
    const waits = Array.from({ length: 25 }, (_, index) =>
      server.client.waitFor(
        kinds.configMap,
        { fieldSelector: `metadata.name=c-${index}`, namespace: 'default', timeoutMs: 20_000 },
        ([found]) => found?.metadata.name,
      ),
    );
    setTimeout(() => {
      for (let index = 0; index < 25; index++) server.store.create('configmaps', configMap(`c-${index}`));
    }, 50);

    expect(await Promise.all(waits)).toEqual(Array.from({ length: 25 }, (_, index) => `c-${index}`));
  });
});

describe('evicting', () => {
  const budget = (allowed: number): KubernetesObject => ({
    ...kinds.budget,
    metadata: { name: 'web', namespace: 'default' },
    spec: { minAvailable: 3, selector: { matchLabels: { app: 'web' } } },
    status: {
      disruptionsAllowed: allowed,
      desiredHealthy: 3,
      currentHealthy: 3 + allowed,
      expectedPods: 3,
      observedGeneration: 1,
    },
  });
  const running = (name: string): { namespace: string; name: string; uid: string } => {
    const { metadata } = server.store.create('pods', pod(name, { app: 'web' }, { nodeName: 'n1' }));
    server.store.mutate(
      'pods',
      'default',
      name,
      (object) => void (object['status'] = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }),
    );
    return { namespace: 'default', name, uid: metadata.uid! };
  };
  const withBudget = (allowed: number): void => {
    const { spec, metadata, status } = budget(allowed);
    server.store.create('poddisruptionbudgets.policy', { ...kinds.budget, metadata, spec });
    server.store.mutate(
      'poddisruptionbudgets.policy',
      'default',
      'web',
      (object) => void (object['status'] = { ...status, observedGeneration: object.metadata.generation }),
    );
  };

  it('moves a pod that its budget lets go', async () => {
    withBudget(1);

    expect(await server.client.evict(running('web-1'))).toEqual({ evicted: true });
  });

  it('takes the refusal of a budget as an answer, at once, with its arithmetic', async () => {
    withBudget(0);
    const target = running('web-1');

    const answer = await server.client.evict(target);

    expect(answer).toMatchObject({
      evicted: false,
      reason: expect.stringMatching(/web needs 3 healthy pods and has 3/),
    });
    expect(server.requests.filter(({ subresource }) => subresource === 'eviction')).toHaveLength(1);
  });

  it('takes throttling for throttling', async () => {
    let left = 1;
    server.faults.next = ({ subresource }) =>
      subresource === 'eviction' && left-- > 0 ? { status: 429, retryAfter: 0 } : undefined;

    expect(await server.client.evict(running('web-1'))).toEqual({ evicted: true });
  });

  it('never evicts a successor, and counts a pod that is gone as gone', async () => {
    const successor = running('web-1');

    expect(await server.client.evict({ ...successor, uid: 'of-the-one-before' })).toEqual({ evicted: true });
    expect(server.store.get('pods', 'default', 'web-1')?.metadata.deletionTimestamp).toBeUndefined();
    expect(await server.client.evict({ ...successor, name: 'web-9' })).toEqual({ evicted: true });
  });
});

describe('running a command in a pod', () => {
  beforeEach(() => {
    server.store.create('pods', pod('a', {}, { nodeName: 'n1' }));
    server.store.mutate('pods', 'default', 'a', (object) => {
      object['status'] = {
        phase: 'Running',
        containerStatuses: [{ name: 'main', ready: true, state: { running: {} } }],
      };
    });
  });
  const target = { namespace: 'default', name: 'a' };

  it('returns what it printed', async () => {
    expect(await server.client.exec(target, ['echo', 'a b', '&c=d'])).toEqual({
      stdout: 'main: echo a b &c=d\n',
      stderr: '',
      exitCode: 0,
    });
  });

  it('returns what it left with', async () => {
    expect(await server.client.exec(target, ['fail'])).toMatchObject({ stderr: 'it hurts\n', exitCode: 3 });
  });

  it('gives up at the end of the time', async () => {
    await expect(server.client.exec(target, ['hang'], { timeoutMs: 100 })).rejects.toMatchObject({
      type: 'StepTimedOut',
    });
  });

  it('gives up when it is aborted', async () => {
    const controller = new AbortController();
    const running = server.client.exec(target, ['hang'], { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 50);

    await expect(running).rejects.toThrow('enough');
  });

  it('says why a pod cannot run it', async () => {
    await expect(server.client.exec({ namespace: 'default', name: 'nobody' }, ['true'])).rejects.toMatchObject({
      type: 'KubernetesRefused',
      message: expect.stringContaining('true in default/nobody cannot be run'),
    });
  });
});
