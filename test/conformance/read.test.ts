import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { conformance, podManifest } from './kubectl.ts';

conformance('reading', (kubectl) => {
  it('tells the versions of client and server', async () => {
    const { clientVersion, serverVersion } = await kubectl.json('version');

    expect(clientVersion.gitVersion).toMatch(/^v1\.\d+/);
    expect(serverVersion.gitVersion).toMatch(/^v1\.\d+\.\d+/);
  });

  it('lists the resources that it serves, with short names and kinds', async () => {
    const printed = await kubectl.ok('api-resources --no-headers');

    expect(printed).toMatch(/^pods +po +v1 +true +Pod$/m);
    expect(printed).toMatch(/^daemonsets +ds +apps\/v1 +true +DaemonSet$/m);
    expect(printed).toMatch(/^poddisruptionbudgets +pdb +policy\/v1 +true +PodDisruptionBudget$/m);
    expect(printed).toMatch(/^nodes +no +v1 +false +Node$/m);
  });

  it('lists groups and versions', async () => {
    const versions = (await kubectl.ok('api-versions')).trim().split('\n');

    expect(versions).toEqual(expect.arrayContaining(['v1', 'apps/v1', 'policy/v1', 'apiextensions.k8s.io/v1']));
  });

  it('explains a field with its type and description', async () => {
    const printed = await kubectl.ok('explain pod.spec.nodeName');

    expect(printed).toContain('KIND:       Pod');
    expect(printed).toMatch(/FIELD: nodeName <string>/);
    expect(printed.toLowerCase()).toContain('node');
  });

  it('explains a kind down to nested fields', async () => {
    const printed = await kubectl.ok('explain daemonset.spec.template.spec.containers --recursive');

    expect(printed).toMatch(/FIELD: containers <\[\]Container>/);
    expect(printed).toMatch(/name\t<string> -required-/);
  });

  it('prints nodes as a table, and more of them when wide', async () => {
    const narrow = await kubectl.ok('get nodes');
    const wide = await kubectl.ok('get nodes -o wide');

    expect(narrow.split('\n')[0]!.split(/ {2,}/)).toEqual(['NAME', 'STATUS', 'ROLES', 'AGE', 'VERSION']);
    expect(narrow).toMatch(/ Ready /);
    expect(wide).toMatch(/INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME/);
  });

  it('prints a running pod as kubectl users know it', async () => {
    await kubectl.ok('apply -f -', podManifest('shown', { app: 'shown' }));
    await kubectl.ok('wait --for=condition=Ready pod/shown --timeout=30s');

    const narrow = await kubectl.ok('get pod shown');
    const wide = await kubectl.ok('get pod shown -o wide --show-labels');

    expect(narrow).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE$/m);
    expect(narrow).toMatch(/^shown +1\/1 +Running +0 +\d+s$/m);
    expect(wide).toMatch(/IP +NODE +NOMINATED NODE +READINESS GATES +LABELS/);
    expect(wide).toContain('app=shown');
  });

  it('gives the same object as json, yaml, name, jsonpath and custom columns', async () => {
    await kubectl.ok('create configmap formats --from-literal=color=green');

    const json = await kubectl.json('get configmap formats');
    const yaml = parse(await kubectl.ok('get configmap formats -o yaml'));

    expect(json).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { color: 'green' } });
    expect(yaml).toEqual(json);
    expect(await kubectl.ok('get configmap formats -o name')).toBe('configmap/formats\n');
    expect(await kubectl.ok("get configmap formats -o jsonpath='{.data.color}'")).toBe('green');
    expect(await kubectl.ok('get configmap formats --no-headers -o custom-columns=C:.data.color')).toBe('green\n');
  });

  it('describes nodes, pods and services', async () => {
    await kubectl.ok('apply -f -', podManifest('described', { app: 'described' }));
    await kubectl.ok('wait --for=condition=Ready pod/described --timeout=30s');
    await kubectl.ok('create service clusterip described --tcp=80:8080');
    const [node = ''] = (await kubectl.ok("get nodes -o jsonpath='{.items[*].metadata.name}'")).split(' ');

    const [pod, service, machine] = [
      await kubectl.ok('describe pod described'),
      await kubectl.ok('describe service described'),
      await kubectl.ok(`describe node ${node}`),
    ];

    expect(pod).toMatch(/^Name: +described$/m);
    expect(pod).toMatch(/^Status: +Running$/m);
    expect(pod).toMatch(/^Events:/m);
    expect(service).toMatch(/^IP: +\d+\.\d+\.\d+\.\d+$/m);
    expect(machine).toMatch(/^Non-terminated Pods:/m);
  });

  it('selects by labels: equality, sets, existence', async () => {
    for (const [name, labels] of [
      ['one', 'tier=front,zone=a'],
      ['two', 'tier=back,zone=a'],
      ['three', 'tier=back'],
    ] as const) {
      await kubectl.ok(`create configmap ${name}`);
      await kubectl.ok(`label configmap ${name} ${labels.replaceAll(',', ' ')}`);
    }
    const select = async (selector: string) =>
      (await kubectl.ok(`get configmap -l '${selector}' -o name`))
        .trim()
        .split('\n')
        .map((each) => each.split('/')[1]);

    expect(await select('tier=back')).toEqual(['three', 'two']);
    expect(await select('tier!=back,zone')).toEqual(['one']);
    expect(await select('tier in (front,back),zone=a')).toEqual(['one', 'two']);
    expect(await select('tier,!zone')).toEqual(['three']);
    expect(await select('tier,zone notin (a)')).toEqual(['three']);
  });

  it('selects by fields, and refuses fields that cannot be selected by', async () => {
    await kubectl.ok('apply -f -', podManifest('field'));
    await kubectl.ok('wait --for=condition=Ready pod/field --timeout=30s');
    const node = await kubectl.ok("get pod field -o jsonpath='{.spec.nodeName}'");

    expect(await kubectl.ok(`get pods --field-selector spec.nodeName=${node},metadata.name=field -o name`)).toBe(
      'pod/field\n',
    );
    expect(await kubectl.ok('get pods --field-selector status.phase!=Running,metadata.name=field -o name')).toBe('');
    const refused = await kubectl('get pods --field-selector spec.hostname=x');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('field label not supported: spec.hostname');
  });

  it('says what does not exist', async () => {
    const missing = await kubectl('get pod nobody');
    const unknown = await kubectl('get nonsenses');

    expect(missing).toMatchObject({ exitCode: 1, stderr: 'Error from server (NotFound): pods "nobody" not found\n' });
    expect(unknown.stderr).toContain(`the server doesn't have a resource type "nonsenses"`);
  });

  it('watches a table as rows come, change and go', async () => {
    const watching = kubectl.follow('get configmap --watch');
    await kubectl.ok('create configmap watched --from-literal=a=1');
    await watching.line(/^watched +1 /);

    await kubectl.ok(`patch configmap watched --type=merge -p '{"data":{"b":"2"}}'`);
    const changed = await watching.line(/^watched +2 /);
    watching.stop();

    expect(changed).toMatch(/^watched +2 +\d+s$/);
  });

  it('watches with a field selector from the first state on, as events', async () => {
    await kubectl.ok('create configmap first');
    const watching = kubectl.follow('get configmap --field-selector metadata.name=first --watch --output-watch-events');
    await watching.line(/^ADDED +first/);

    await kubectl.ok('delete configmap first');

    expect(await watching.line(/^DELETED +first/)).toBeTruthy();
    watching.stop();
  });
});
