import { expect, it } from 'vitest';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import { kinds } from '../../src/kubernetes/kinds.ts';
import { conformance } from './kubectl.ts';

/** What clients do on the wire, through `kubectl get --raw`, which sends a path and prints what comes. */
conformance('versions, watches, pages', (kubectl) => {
  const path = () => `/api/v1/namespaces/${kubectl.namespace}/configmaps`;
  const raw = async (query: string) => JSON.parse(await kubectl.ok(`get --raw '${path()}?${query}'`));
  const events = async (query: string, seconds = 2) =>
    (await kubectl.ok(`get --raw '${path()}?watch=1&timeoutSeconds=${seconds}&${query}'`))
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  const create = (name: string, label = 'x') =>
    kubectl.ok(
      'create -f -',
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { set: label } } }),
    );

  it('gives every write a higher version', async () => {
    await create('v1');
    const first = await kubectl.json('get configmap v1');
    await kubectl.ok('annotate configmap v1 a=b');
    const second = await kubectl.json('get configmap v1');
    const list = await raw('');

    expect(Number(second.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion));
    expect(Number(list.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(second.metadata.resourceVersion));
  });

  it('answers a table without objects, whose name column says what it is', async () => {
    const { kubeconfig } = kubectl.target;
    const url = `/api/v1/nodes?limit=2&includeObject=None`;
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const client = createKubernetesClient({ kubeconfig, context: '' });
    const all = (await kubectl.ok("get nodes -o jsonpath='{.items[*].metadata.name}'")).split(' ');

    expect((await client.names(kinds.node)).toSorted()).toEqual(all.toSorted());
    expect(await client.names(kinds.node, { labelSelector: 'nobody-has-this' })).toEqual([]);
    if (kubectl.target.url.startsWith('http:')) {
      const table: any = await (await fetch(`${kubectl.target.url}${url}`, { headers: { accept } })).json();
      expect(table).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
      expect(table.columnDefinitions[0]).toMatchObject({ name: 'Name', format: 'name' });
      expect(table.rows).toHaveLength(2);
      expect(table.rows.every((row: any) => row.object === undefined)).toBe(true);
      expect(table.metadata.continue).toEqual(expect.any(String));
    }
  });

  it('watches from a version: what came after it, in order, and nothing before', async () => {
    await create('before', 'watch');
    const { metadata } = await raw('');
    await create('after', 'watch');
    await kubectl.ok('annotate configmap after a=b');
    await kubectl.ok('delete configmap after');

    const seen = await events(`resourceVersion=${metadata.resourceVersion}&labelSelector=set%3Dwatch`);

    expect(seen.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
      'ADDED after',
      'MODIFIED after',
      'DELETED after',
    ]);
  });

  it('turns leaving and entering a selection into DELETED and ADDED', async () => {
    await create('mover', 'in');
    const { metadata } = await raw('');
    await kubectl.ok('label configmap mover set=out --overwrite');
    await kubectl.ok('label configmap mover set=in --overwrite');

    const seen = await events(`resourceVersion=${metadata.resourceVersion}&labelSelector=set%3Din`);

    expect(seen.map(({ type }) => type)).toEqual(['DELETED', 'ADDED']);
  });

  // A real server still knows what happened since its start, until it has compacted or seen many more events.
  it.skipIf(process.env['CONFORMANCE_KUBECONFIG'])(
    'answers a watch from a version that is long gone with 410 Expired',
    async () => {
      const answer = await kubectl(`get --raw '${path()}?watch=1&timeoutSeconds=2&resourceVersion=1'`);

      // As an ERROR event in the stream, or as the status itself: clients must take both.
      const text = `${answer.stdout}${answer.stderr}`;
      expect(text).toMatch(/too old resource version|Expired/);
      if (answer.exitCode === 0) {
        const { type, object } = JSON.parse(answer.stdout);
        expect({ type, code: object.code, reason: object.reason }).toEqual({
          type: 'ERROR',
          code: 410,
          reason: 'Expired',
        });
      }
    },
  );

  it('sends the state first and marks its end, when asked for a streaming list', async () => {
    await create('stream', 'stream');

    const seen = await events(
      'sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=set%3Dstream',
    );

    const end = seen.findIndex(
      ({ type, object }) =>
        type === 'BOOKMARK' && object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true',
    );
    expect(seen.slice(0, end).map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual(['ADDED stream']);
    expect(end).toBe(1);
  });

  it('sends bookmarks with the current version when allowed, and none otherwise', async () => {
    const { metadata } = await raw('');

    // The real API server sends one two seconds before the end of the watch, at the latest.
    const allowed = await events(`resourceVersion=${metadata.resourceVersion}&allowWatchBookmarks=true`, 6);
    const silent = await events(`resourceVersion=${metadata.resourceVersion}`);

    const bookmarks = allowed.filter(({ type }) => type === 'BOOKMARK');
    expect(bookmarks.length).toBeGreaterThan(0);
    expect(Number(bookmarks[0].object.metadata.resourceVersion)).toBeGreaterThanOrEqual(
      Number(metadata.resourceVersion),
    );
    expect(bookmarks[0].object.kind).toBe('ConfigMap');
    expect(silent.filter(({ type }) => type === 'BOOKMARK')).toEqual([]);
  });

  it('hands out a list in pages that are one consistent state', async () => {
    for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await create(name, 'page');
    const first = await raw('limit=2&labelSelector=set%3Dpage');
    await create('p2b', 'page');
    await kubectl.ok('delete configmap p4');
    const second = await raw(`limit=2&labelSelector=set%3Dpage&continue=${first.metadata.continue}`);
    const third = await raw(`limit=2&labelSelector=set%3Dpage&continue=${second.metadata.continue}`);

    const names = [first, second, third].map(({ items }) => items.map((each: any) => each.metadata.name));
    expect(names).toEqual([['p1', 'p2'], ['p3', 'p4'], ['p5']]);
    expect(third.metadata.continue ?? '').toBe('');
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });

  it('counts what is left in a list without selectors', async () => {
    const all = await raw('');

    const first = await raw('limit=1');

    expect(first.metadata.remainingItemCount).toBe(all.items.length - 1);
  });

  it('lists in pages through kubectl itself', async () => {
    const whole = await kubectl.ok('get configmaps -o name');

    expect(await kubectl.ok('get configmaps -o name --chunk-size=2')).toBe(whole);
  });

  it('refuses a continue token that it never gave out', async () => {
    const refused = await kubectl(`get --raw '${path()}?limit=1&continue=bm9uc2Vuc2U'`);

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('continue key is not valid');
  });

  it('deletes only the object that is meant, by its uid', async () => {
    await create('unique');
    const options = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid: '00000000-0000-0000-0000-000000000000' },
    };

    const refused = await kubectl(`delete --raw ${path()}/unique -f -`, JSON.stringify(options));

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(
      /Operation cannot be fulfilled on ConfigMap "unique": the UID in the precondition \(0{8}-.*\) does not match the UID in record/,
    );
    expect(await kubectl.ok('get configmap unique -o name')).toBe('configmap/unique\n');
  });

  it('is healthy, ready and alive', async () => {
    expect(await kubectl.ok('get --raw /readyz')).toBe('ok');
    expect(await kubectl.ok('get --raw /livez')).toBe('ok');
    expect(await kubectl.ok('get --raw /healthz')).toBe('ok');
  });
});
