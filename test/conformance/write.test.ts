import { expect, it } from 'vitest';
import { conformance, IMAGE, podManifest } from './kubectl.ts';

const deployment = (replicas: number, image = IMAGE, extra: object = {}) =>
  JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels: { app: 'web' } },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'main', image, args: ['pause'], env: [{ name: 'A', value: '1' }], ...extra }] },
      },
    },
  });

conformance('applying by the client', (kubectl) => {
  it('creates, leaves alone what is the same, and changes what differs', async () => {
    expect(await kubectl.ok('apply -f -', deployment(0))).toBe('deployment.apps/web created\n');
    const created = await kubectl.json('get deployment web');
    expect(await kubectl.ok('apply -f -', deployment(0))).toBe('deployment.apps/web unchanged\n');
    expect(await kubectl.ok('apply -f -', deployment(0, 'example.com/other:2'))).toBe(
      'deployment.apps/web configured\n',
    );
    const changed = await kubectl.json('get deployment web');

    expect(created.metadata.generation).toBe(1);
    expect(changed.metadata.generation).toBe(2);
    expect(changed.metadata.uid).toBe(created.metadata.uid);
    expect(changed.spec.template.spec.containers[0].image).toBe('example.com/other:2');
  });

  it('takes away what the file no longer has', async () => {
    await kubectl.ok(
      'apply -f -',
      deployment(0, IMAGE, {
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      }),
    );
    await kubectl.ok('apply -f -', deployment(0, IMAGE, { env: [{ name: 'B', value: '2' }] }));

    const env = await kubectl.ok("get deployment web -o jsonpath='{.spec.template.spec.containers[0].env[*].name}'");
    expect(env).toBe('B');
  });

  it('fills in defaults', async () => {
    await kubectl.ok('apply -f -', deployment(0));

    const { spec } = await kubectl.json('get deployment web');
    expect(spec).toMatchObject({
      revisionHistoryLimit: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      template: { spec: { restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', terminationGracePeriodSeconds: 30 } },
    });
  });

  it('shows what would change, and changes nothing, with --dry-run=server and diff', async () => {
    await kubectl.ok('apply -f -', deployment(0));
    const before = await kubectl.json('get deployment web');

    const planned = await kubectl.ok('apply --dry-run=server -f -', deployment(5));
    const difference = await kubectl('diff -f -', deployment(5));

    expect(planned).toBe('deployment.apps/web configured (server dry run)\n');
    expect(difference.exitCode).toBe(1);
    expect(difference.stdout).toMatch(/^\+ +replicas: 5$/m);
    expect(await kubectl.json('get deployment web')).toEqual(before);
  });

  it('refuses a field that does not exist, by name', async () => {
    const refused = await kubectl('apply -f -', deployment(0, IMAGE, { imagePullPolcy: 'Always' }));

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('unknown field "spec.template.spec.containers[0].imagePullPolcy"');
  });

  it('refuses what is invalid, naming the field', async () => {
    await kubectl.ok('apply -f -', deployment(0));
    const badLabel = JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'l', labels: { a: 'b c' } },
    });
    const badName = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'Upper_Case' } });
    const otherSelector = deployment(0).replaceAll('"app":"web"', '"app":"other"');

    const answers = [
      await kubectl('apply -f -', badLabel),
      await kubectl('apply -f -', badName),
      await kubectl('apply -f -', otherSelector),
      await kubectl('apply -f -', podManifest('x', {}, { containers: [] })),
    ];

    expect(answers.map(({ exitCode }) => exitCode)).toEqual([1, 1, 1, 1]);
    expect(answers[0]!.stderr).toMatch(/The ConfigMap "l" is invalid: metadata.labels: Invalid value: "b c"/);
    expect(answers[1]!.stderr).toMatch(/metadata.name: Invalid value: "Upper_Case": a lowercase RFC 1123 subdomain/);
    expect(answers[2]!.stderr).toMatch(/spec.selector: Invalid value: .*: field is immutable/);
    expect(answers[3]!.stderr).toMatch(/spec.containers: Required value/);
  });

  it('gives a NodePort service an address and a port, and keeps them', async () => {
    await kubectl.ok('create service nodeport np --tcp=80:8080');
    const made = await kubectl.json('get service np');
    await kubectl.ok(`patch service np --type=merge -p '{"spec":{"selector":{"app":"changed"}}}'`);
    const kept = await kubectl.json('get service np');

    expect(made.spec.clusterIP).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(made.spec.ports[0].nodePort).toBeGreaterThanOrEqual(30000);
    expect(kept.spec).toEqual({ ...made.spec, selector: { app: 'changed' } });
  });
});

conformance('applying by the server', (kubectl) => {
  const config = (data: Record<string, string>) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shared' }, data });
  const apply = (manager: string, body: string, more = '') =>
    kubectl(`apply --server-side --field-manager=${manager} ${more} -f -`, body);

  it('creates, changes, and writes nothing when nothing differs', async () => {
    expect((await apply('one', config({ a: '1' }))).stdout).toBe('configmap/shared serverside-applied\n');
    const first = await kubectl.json('get configmap shared');
    await apply('one', config({ a: '1' }));
    const same = await kubectl.json('get configmap shared');
    await apply('one', config({ a: '2' }));
    const changed = await kubectl.json('get configmap shared');

    expect(same.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect(changed.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
    expect(changed.data).toEqual({ a: '2' });
  });

  it('removes fields that this manager no longer applies, and leaves those of others', async () => {
    await apply('one', config({ a: '1', b: '1' }), '--force-conflicts');
    await apply('two', config({ c: '2' }));

    await apply('one', config({ a: '1' }));

    expect((await kubectl.json('get configmap shared')).data).toEqual({ a: '1', c: '2' });
  });

  it('answers a conflict with the manager and the field, and yields to force', async () => {
    await apply('one', config({ a: '1' }), '--force-conflicts');

    const refused = await apply('three', config({ a: '3' }));
    const forced = await apply('three', config({ a: '3' }), '--force-conflicts');
    const { metadata, data } = await kubectl.json('get configmap shared --show-managed-fields');

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('Apply failed with 1 conflict: conflict with "one": .data.a');
    expect(forced.exitCode).toBe(0);
    expect(data.a).toBe('3');
    const owner = metadata.managedFields.find((each: any) => each.manager === 'three');
    expect(owner).toMatchObject({ operation: 'Apply', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:a': {} } } });
  });

  it('sees a conflict with what a patch wrote', async () => {
    await apply('one', config({ a: '1' }), '--force-conflicts');
    await kubectl.ok(`patch configmap shared --type=merge -p '{"data":{"a":"patched"}}'`);

    const refused = await apply('one', config({ a: '1' }));

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/conflict with "kubectl-patch" using v1/);
  });

  it('shares a list by its keys: containers and ports belong to different managers', async () => {
    const service = (name: string, port: number) =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'ports' },
        spec: { selector: { app: 'x' }, ports: [{ name, port, protocol: 'TCP' }] },
      });
    await apply('one', service('http', 80));
    await apply('two', service('https', 443));

    const both = await kubectl.json('get service ports');
    await apply('two', service('admin', 8443));
    const after = await kubectl.json('get service ports');

    expect(both.spec.ports.map((each: any) => each.port).toSorted()).toEqual([443, 80]);
    expect(after.spec.ports.map((each: any) => each.port).toSorted((a: number, b: number) => a - b)).toEqual([
      80, 8443,
    ]);
  });

  it('takes over what client-side apply has made', async () => {
    const body = deployment(0).replaceAll('"web"', '"moved"');
    await kubectl.ok('apply -f -', body);

    const moved = await kubectl('apply --server-side -f -', body.replace(IMAGE, 'example.com/new:1'));

    expect(moved).toMatchObject({ exitCode: 0, stdout: 'deployment.apps/moved serverside-applied\n' });
    expect(await kubectl.ok("get deployment moved -o jsonpath='{.spec.template.spec.containers[0].image}'")).toBe(
      'example.com/new:1',
    );
  });
});

conformance('patching, labelling, deleting', (kubectl) => {
  it('patches strategically: containers merge by name, and $patch deletes one', async () => {
    await kubectl.ok('apply -f -', deployment(0));
    const patch = (containers: object[]) =>
      kubectl.ok(`patch deployment web -p '${JSON.stringify({ spec: { template: { spec: { containers } } } })}'`);
    const names = () => kubectl.ok("get deployment web -o jsonpath='{.spec.template.spec.containers[*].name}'");

    await patch([{ name: 'side', image: 'example.com/side:1' }]);
    const added = (await names()).split(' ').toSorted();
    await patch([{ name: 'main', image: 'example.com/main:2' }]);
    const { spec } = await kubectl.json('get deployment web');
    await patch([{ name: 'side', $patch: 'delete' } as object]);

    expect(added).toEqual(['main', 'side']);
    const main = spec.template.spec.containers.find((each: any) => each.name === 'main');
    expect(main).toMatchObject({ image: 'example.com/main:2', env: [{ name: 'A', value: '1' }] });
    expect(await names()).toBe('main');
  });

  it('patches by merge: null removes, a list is replaced', async () => {
    await kubectl.ok('create configmap merged --from-literal=a=1 --from-literal=b=2');

    await kubectl.ok(`patch configmap merged --type=merge -p '{"data":{"a":null,"c":"3"}}'`);

    expect((await kubectl.json('get configmap merged')).data).toEqual({ b: '2', c: '3' });
  });

  it('patches by JSON patch, whose test guards it', async () => {
    await kubectl.ok('create configmap json --from-literal=a=1');
    const patch = (expected: string) =>
      kubectl(
        `patch configmap json --type=json -p '[{"op":"test","path":"/data/a","value":"${expected}"},{"op":"replace","path":"/data/a","value":"2"}]'`,
      );

    const refused = await patch('9');
    const done = await patch('1');

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(
      'The request is invalid: the server rejected our request due to an error in our request',
    );
    expect(done.exitCode).toBe(0);
    expect((await kubectl.json('get configmap json')).data).toEqual({ a: '2' });
  });

  it('labels and annotates: sets, refuses to overwrite, overwrites, removes', async () => {
    await kubectl.ok('create configmap marked');

    await kubectl.ok('label configmap marked team=net');
    const refused = await kubectl('label configmap marked team=other');
    await kubectl.ok('label configmap marked team=other --overwrite');
    await kubectl.ok('annotate configmap marked note=hello');
    const marked = await kubectl.json('get configmap marked');
    await kubectl.ok('label configmap marked team-');
    await kubectl.ok('annotate configmap marked note-');
    const plain = await kubectl.json('get configmap marked');

    expect(refused.stderr).toContain('already has a value (net), and --overwrite is false');
    expect(marked.metadata).toMatchObject({ labels: { team: 'other' }, annotations: { note: 'hello' } });
    expect(plain.metadata.labels?.team).toBeUndefined();
    expect(plain.metadata.annotations?.note).toBeUndefined();
  });

  it('writes the status through its own door only', async () => {
    const spec = { minAvailable: 1, selector: { matchLabels: { app: 'nobody' } } };
    const budget = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'pdb' }, spec };
    await kubectl.ok('apply -f -', JSON.stringify(budget));
    const conditions = [
      { type: 'Cutover', status: 'True', reason: 'Test', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ];
    const patch = JSON.stringify({ spec: { minAvailable: 3 }, status: { conditions } });

    await kubectl.ok(`patch pdb pdb --type=merge --subresource=status -p '${patch}'`);
    const throughStatus = await kubectl.json('get pdb pdb');
    await kubectl.ok(`patch pdb pdb --type=merge -p '{"spec":{"minAvailable":2},"status":{"conditions":[]}}'`);
    const throughMain = await kubectl.json('get pdb pdb');

    expect(throughStatus.spec.minAvailable).toBe(1);
    expect(throughStatus.status.conditions).toContainEqual(expect.objectContaining({ type: 'Cutover' }));
    expect(throughMain.spec.minAvailable).toBe(2);
    expect(throughMain.status.conditions).toContainEqual(expect.objectContaining({ type: 'Cutover' }));
  });

  it('refuses to replace an object with a stale version: 409', async () => {
    await kubectl.ok('create configmap stale --from-literal=a=1');
    const old = await kubectl.json('get configmap stale');
    await kubectl.ok(`patch configmap stale --type=merge -p '{"data":{"a":"2"}}'`);

    const refused = await kubectl('replace -f -', JSON.stringify({ ...old, data: { a: '3' } }));

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('Error from server (Conflict)');
    expect(refused.stderr).toContain(
      'Operation cannot be fulfilled on configmaps "stale": the object has been modified; please apply your changes to the latest version and try again',
    );
  });

  it('refuses to create what exists', async () => {
    await kubectl.ok('create configmap twice');

    const again = await kubectl('create configmap twice');

    expect(again.stderr).toContain('configmaps "twice" already exists');
  });

  it('makes a name from generateName', async () => {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-' } });

    const printed = await kubectl.ok('create -f - -o name', body);

    expect(printed).toMatch(/^configmap\/made-[a-z0-9]{5}\n$/);
  });

  it('deletes one, many by label, and ignores what is missing when told to', async () => {
    for (const name of ['d1', 'd2', 'd3']) await kubectl.ok(`create configmap ${name}`);
    await kubectl.ok('label configmap d2 d3 group=gone');

    expect(await kubectl.ok('delete configmap d1')).toMatch(/^configmap "d1" deleted/);
    await kubectl.ok('delete configmap -l group=gone');
    const left = await kubectl.ok('get configmap -l group=gone -o name');
    const missing = await kubectl('delete configmap d1');
    const ignored = await kubectl('delete configmap d1 --ignore-not-found');

    expect(left).toBe('');
    expect(missing.stderr).toContain('configmaps "d1" not found');
    expect(ignored.exitCode).toBe(0);
  });

  it('ends a pod with its grace period, and at once when forced', async () => {
    await kubectl.ok('apply -f -', podManifest('graceful'));
    await kubectl.ok('apply -f -', podManifest('forced'));
    await kubectl.ok('wait --for=condition=Ready pod/graceful pod/forced --timeout=30s');

    const graceful = await kubectl.ok('delete pod graceful');
    const forced = await kubectl('delete pod forced --grace-period=0 --force');

    expect(graceful).toMatch(/^pod "graceful" deleted/);
    expect(forced.stdout).toMatch(/pod "forced" force deleted/);
    expect(await kubectl.ok('get pods -o name')).toBe('');
  });

  it('collects what an owner owned, and orphans it when asked', async () => {
    const own = async (owner: string, dependent: string) => {
      const { metadata } = await kubectl.json(`create configmap ${owner}`);
      const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: metadata.uid }];
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: dependent, ownerReferences } };
      await kubectl.ok('create -f -', JSON.stringify(body));
    };
    await own('owner', 'owned');
    await own('owner-2', 'orphan');

    await kubectl.ok('delete configmap owner');
    await kubectl.ok('delete configmap owner-2 --cascade=orphan');
    await kubectl.ok('wait --for=delete configmap/owned --timeout=30s');

    expect((await kubectl.json('get configmap orphan')).metadata.ownerReferences).toBeUndefined();
  });

  it('serves a custom resource as long as its definition exists', async () => {
    const group = `${kubectl.namespace}.example.com`;
    const versions = [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
          },
        },
        additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
      },
    ];
    const names = { plural: 'widgets', singular: 'widget', kind: 'Widget', shortNames: ['wg'] };
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `widgets.${group}` },
      spec: { group, scope: 'Namespaced', names, versions },
    };
    const widget = { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'one' }, spec: { size: 7 } };

    await kubectl.ok('apply -f -', JSON.stringify(definition));
    await kubectl.ok(`wait --for=condition=established crd/widgets.${group} --timeout=30s`);
    await kubectl.ok('apply --server-side -f -', JSON.stringify(widget));
    const printed = await kubectl.ok(`get widgets.${group}`);
    await kubectl.ok(`delete crd widgets.${group}`);
    const gone = await kubectl(`get widgets.${group}`);

    expect(printed).toMatch(/^NAME +SIZE$/m);
    expect(printed).toMatch(/^one +7$/m);
    expect(gone.exitCode).toBe(1);
  });
});
