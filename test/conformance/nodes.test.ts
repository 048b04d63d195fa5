import { afterEach, beforeAll, expect, it } from 'vitest';
import { conformance, podManifest } from './kubectl.ts';

const budget = (name: string, minAvailable: number, app: string) =>
  JSON.stringify({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name },
    spec: { minAvailable, selector: { matchLabels: { app } } },
  });

conformance('nodes', (kubectl) => {
  let node = '';
  const pinned = (name: string, app: string) => podManifest(name, { app }, { nodeName: node });
  const taints = () => kubectl.ok(`get node ${node} -o jsonpath='{.spec.taints[*].key}'`);

  beforeAll(async () => {
    const names = (await kubectl.ok("get nodes -o jsonpath='{.items[*].metadata.name}'")).split(' ').toSorted();
    node = names.at(-1)!;
  });

  afterEach(async () => {
    await kubectl.ok(`uncordon ${node}`);
    await kubectl('delete pdb --all');
    await kubectl('delete pods --all --grace-period=0 --force');
  });

  it('cordons and uncordons, and says when there is nothing to do', async () => {
    expect(await kubectl.ok(`cordon ${node}`)).toBe(`node/${node} cordoned\n`);
    expect(await kubectl.ok(`get node ${node}`)).toMatch(/Ready,SchedulingDisabled/);
    expect(await kubectl.ok(`cordon ${node}`)).toBe(`node/${node} already cordoned\n`);
    expect(await kubectl.ok(`uncordon ${node}`)).toBe(`node/${node} uncordoned\n`);
    expect(await kubectl.ok(`get node ${node}`)).not.toContain('SchedulingDisabled');
  });

  it('taints and untaints', async () => {
    await kubectl.ok(`taint node ${node} example.com/test=yes:NoSchedule`);
    const tainted = await taints();
    await kubectl.ok(`taint node ${node} example.com/test=no:NoSchedule --overwrite`);
    const value = await kubectl.ok(`get node ${node} -o jsonpath='{.spec.taints[?(@.key=="example.com/test")].value}'`);
    await kubectl.ok(`taint node ${node} example.com/test-`);

    expect(tainted.split(' ')).toContain('example.com/test');
    expect(value).toBe('no');
    expect((await taints()).split(' ')).not.toContain('example.com/test');
  });

  it('refuses a taint of an unknown effect', async () => {
    const patch = JSON.stringify({ spec: { taints: [{ key: 'a', effect: 'Sometimes' }] } });

    const refused = await kubectl(`patch node ${node} --type=merge -p '${patch}'`);

    expect(refused.stderr).toMatch(
      /metadata.taints\[0\].effect: Unsupported value: "Sometimes": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"/,
    );
  });

  it('labels a node, and finds it by the label', async () => {
    await kubectl.ok(`label node ${node} example.com/pool=${kubectl.namespace}`);

    const found = await kubectl.ok(`get nodes -l example.com/pool=${kubectl.namespace} -o name`);
    await kubectl.ok(`label node ${node} example.com/pool-`);

    expect(found).toBe(`node/${node}\n`);
  });

  it('drains a node: pods are evicted, the node stays cordoned', async () => {
    for (const name of ['a', 'b']) await kubectl.ok('apply -f -', pinned(name, 'free'));
    await kubectl.ok('wait --for=condition=Ready pod/a pod/b --timeout=30s');

    const printed = await kubectl.ok(`drain ${node} --force --ignore-daemonsets --pod-selector=app=free --timeout=60s`);

    expect(printed).toMatch(/pod\/a evicted/);
    expect(printed).toMatch(/pod\/b evicted/);
    expect(await kubectl.ok('get pods -o name')).toBe('');
    expect(await kubectl.ok(`get node ${node}`)).toContain('SchedulingDisabled');
  });

  it('does not drain pods that a budget protects, and says which budget and why', async () => {
    for (const name of ['a', 'b']) await kubectl.ok('apply -f -', pinned(name, 'guarded'));
    await kubectl.ok('wait --for=condition=Ready pod/a pod/b --timeout=30s');
    await kubectl.ok('apply -f -', budget('guard', 2, 'guarded'));
    await kubectl.ok("wait --for=jsonpath='{.status.currentHealthy}'=2 pdb/guard --timeout=30s");

    const refused = await kubectl(`drain ${node} --force --ignore-daemonsets --pod-selector=app=guarded --timeout=3s`);
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'a', namespace: kubectl.namespace },
    };
    const raw = await kubectl(
      `create -v=8 --raw /api/v1/namespaces/${kubectl.namespace}/pods/a/eviction -f -`,
      JSON.stringify(eviction),
    );

    expect(refused.exitCode).toBe(1);
    expect(`${refused.stdout}${refused.stderr}`).toContain(
      "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    expect(raw.exitCode).toBe(1);
    expect(raw.stderr).toContain('"reason":"DisruptionBudget"');
    expect(raw.stderr).toContain('The disruption budget guard needs 2 healthy pods and has 2 currently');
    expect((await kubectl.ok('get pods -o name')).split('\n').filter(Boolean)).toEqual(['pod/a', 'pod/b']);
  });

  it('counts an eviction in the budget at once, so that a second one is refused', async () => {
    for (const name of ['a', 'b']) await kubectl.ok('apply -f -', pinned(name, 'pair'));
    await kubectl.ok('wait --for=condition=Ready pod/a pod/b --timeout=30s');
    await kubectl.ok('apply -f -', budget('pair', 1, 'pair'));
    await kubectl.ok("wait --for=jsonpath='{.status.disruptionsAllowed}'=1 pdb/pair --timeout=30s");
    const evict = (name: string) => {
      const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: kubectl.namespace } };
      const path = `/api/v1/namespaces/${kubectl.namespace}/pods/${name}/eviction`;
      return kubectl(`create --raw ${path} -f -`, JSON.stringify(body));
    };

    const [first, second] = [await evict('a'), await evict('b')];

    expect(first.exitCode).toBe(0);
    expect(second.stderr).toContain("Cannot evict pod as it would violate the pod's disruption budget.");
  });
});
