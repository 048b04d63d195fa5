import { readFileSync, readdirSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { bundleDigest, isManifest, readBundle } from '../../src/plan/bundle.ts';
import { compilePlan } from '../../src/plan/compile.ts';
import { loadPlan } from '../../src/plan/load.ts';
import { planJsonSchema, planSchema } from '../../src/plan/schema.ts';
import { clusterFacts } from './facts.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');
const planFiles = readdirSync(`${root}plans`).filter((name) => name.endsWith('.yaml'));
const calico = readdirSync(`${root}plans/manifests/calico`, { recursive: true, encoding: 'utf8' })
  .filter(isManifest)
  .map((name) => ({ name, content: read(`plans/manifests/calico/${name}`) }));

describe.each(planFiles)('plans/%s', (file) => {
  const text = read(`plans/${file}`);
  const plan = loadPlan(text, { file });

  it('pins the manifests that lie beside it', () => {
    const pinned = plan.spec.stages.flatMap((stage) => Object.values(stage.with));

    expect(pinned.map(({ path }) => path)).toEqual(['./manifests/calico']);
    expect(pinned.map(({ sha256 }) => sha256)).toEqual([bundleDigest(calico)]);
  });

  it('compiles against a cluster of three zones without a warning', () => {
    const facts = clusterFacts();
    facts.bundles = {
      manifests: { path: '/plans/manifests/calico', sha256: bundleDigest(calico), files: calico.length },
    };

    const { plan: compiled, warnings } = compilePlan(plan, facts, '/plans');

    expect(warnings).toEqual([]);
    // With several stages each gate carries the number of its own.
    const ofStage = compiled.stages.length > 1 ? '-1' : '';
    expect(compiled.stages[0]!.waves.map(({ id, nodes, gate }) => [id, nodes.length, gate?.id])).toEqual([
      ['canary', 1, `after-canary${ofStage}`],
      ['quarter', 2, `after-quarter${ofStage}`],
      ['rest', 3, undefined],
      ['control-plane', 1, undefined],
    ]);
    expect(compiled.stages[0]!.finalizeGate?.soakSeconds).toBe(600);
  });

  it('shows the defaults it claims to show', () => {
    const written = (parse(text) as { spec: { [key: string]: unknown } }).spec;
    const defaults = planSchema.parse({
      apiVersion: plan.apiVersion,
      kind: plan.kind,
      metadata: plan.metadata,
      spec: { stages: plan.spec.stages },
    }).spec;
    const { waves: _own, ...strategy } = written['strategy'] as { waves: unknown };

    expect(defaults.strategy).toMatchObject(strategy);
    for (const field of ['cluster', 'access', 'probe', 'exclude'] as const)
      expect(written[field]).toEqual(defaults[field]);
    expect({ ...(written['gates'] as object), approvers: [] }).toEqual(defaults.gates);
    expect({ ...(written['drain'] as object), deleteEmptyDirData: false }).toEqual(defaults.drain);
  });

  it('names who may approve, so that a new name does not get in by itself', () => {
    const approvers = compilePlan(
      plan,
      {
        ...clusterFacts(),
        bundles: { manifests: { path: '/plans/manifests/calico', sha256: bundleDigest(calico), files: calico.length } },
      },
      '/plans',
    )
      .plan.stages.flatMap(({ waves, finalizeGate }) => [...waves.map(({ gate }) => gate), finalizeGate])
      .flatMap((gate) => (gate ? [gate.approvers] : []));

    expect(approvers.length).toBeGreaterThan(2);
    for (const each of approvers) expect(each).toEqual(['alice', 'bob']);
  });

  it('tells editors where its schema is', () => {
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./migration-plan.schema.json');
  });
});

describe('the manifests of Calico', () => {
  const objects = readBundle(calico);
  const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet')!;

  it('define every kind that Calico 3.28 stores, with open schemas', () => {
    const kinds = objects
      .filter(({ kind }) => kind === 'CustomResourceDefinition')
      .map((crd) => crd['spec'].names.plural as string);

    expect(kinds).toHaveLength(18);
    expect(kinds).toEqual(
      expect.arrayContaining([
        'ippools',
        'ipamblocks',
        'ipamhandles',
        'ipamconfigs',
        'blockaffinities',
        'felixconfigurations',
      ]),
    );
    for (const { metadata, spec } of objects.filter(({ kind }) => kind === 'CustomResourceDefinition')) {
      expect(metadata.name).toBe(`${spec.names.plural}.crd.projectcalico.org`);
      expect(spec.versions[0].schema.openAPIV3Schema).toMatchObject({ 'x-kubernetes-preserve-unknown-fields': true });
    }
  });

  it('run the agent nowhere until a node is marked', () => {
    expect(daemonSet['spec'].template.spec).toMatchObject({
      nodeSelector: { 'projectcalico.org/node-network-during-migration': 'calico' },
      hostNetwork: true,
      terminationGracePeriodSeconds: 0,
    });
  });

  it('install a CNI configuration of the network k8s-pod-network, as 10-calico.conflist', () => {
    const config = objects.find(({ metadata }) => metadata.name === 'calico-config')!['data'] as {
      [key: string]: string;
    };
    const conf = JSON.parse(config['cni_network_config']!.replace('__CNI_MTU__', config['veth_mtu']!)) as {
      name: string;
      plugins: { type: string }[];
    };
    const [install] = daemonSet['spec'].template.spec.initContainers as { env: { name: string; value?: string }[] }[];

    expect(conf.name).toBe('k8s-pod-network');
    expect(conf.plugins[0]!.type).toBe('calico');
    expect(config['calico_backend']).toBe('vxlan');
    expect(install!.env).toContainEqual({ name: 'CNI_CONF_NAME', value: '10-calico.conflist' });
  });

  it('name service accounts, config maps and volumes that exist', () => {
    const names = (kind: string) =>
      objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
    const pod = daemonSet['spec'].template.spec as {
      serviceAccountName: string;
      volumes: { name: string }[];
      containers: object[];
      initContainers: object[];
    };
    const text = JSON.stringify([pod.containers, pod.initContainers]);

    expect(names('ServiceAccount')).toContain(pod.serviceAccountName);
    for (const [, name] of text.matchAll(/"configMapKeyRef":\{"name":"([^"]+)"/g))
      expect(names('ConfigMap')).toContain(name);
    const mounts = [...pod.containers, ...pod.initContainers].flatMap((container) =>
      (container as { volumeMounts: { name: string }[] }).volumeMounts.map(({ name }) => name),
    );
    expect(pod.volumes.map(({ name }) => name).toSorted()).toEqual([...new Set(mounts)].toSorted());
    for (const binding of objects.filter(({ kind }) => kind === 'ClusterRoleBinding')) {
      expect(names('ClusterRole')).toContain(binding['roleRef'].name);
      expect(names('ServiceAccount')).toEqual(
        expect.arrayContaining((binding['subjects'] as { name: string }[]).map(({ name }) => name)),
      );
    }
  });
});

describe('the JSON Schema for editors', () => {
  it('is up to date: otherwise run `node scripts/json-schema.mjs`', () => {
    expect(() =>
      execFileSync(process.execPath, [`${root}scripts/json-schema.mjs`, '--check'], { stdio: 'pipe' }),
    ).not.toThrow();
  });

  it('says something about every field', () => {
    const silent: string[] = [];
    const walk = (node: { [key: string]: unknown }, path: string): void => {
      for (const [name, child] of Object.entries(
        (node['properties'] ?? {}) as { [key: string]: { [key: string]: unknown } },
      )) {
        if (typeof child['description'] !== 'string') silent.push(`${path}.${name}`);
        walk(child, `${path}.${name}`);
      }
      for (const inner of [node['items'], node['additionalProperties'], ...((node['anyOf'] as unknown[]) ?? [])])
        if (inner && typeof inner === 'object') walk(inner as { [key: string]: unknown }, `${path}[]`);
    };
    walk(planJsonSchema(), '');

    expect(silent).toEqual([]);
  });
});
