import { describe, expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import { CutoverError } from '../../src/errors.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import type { NodeAccess, SeenFlows } from '../../src/node/types.ts';
import type { CompiledPlan } from '../../src/plan/types.ts';
import { contextFor, object } from './doubles.ts';

const pod = (name: string, ip: string) =>
  object('v1', 'Pod', name, 'shop', {
    metadata: { labels: { app: name } },
    spec: { nodeName: 'worker-1', dnsPolicy: 'Default', containers: [] },
    status: { phase: 'Running', podIP: ip },
  });
const deny = object('networking.k8s.io/v1', 'NetworkPolicy', 'deny', 'shop', {
  spec: { podSelector: { matchLabels: { app: 'api' } }, policyTypes: ['Ingress'] },
});
const pods = [pod('web', '10.244.1.20'), pod('api', '10.244.2.20')];
const flow = {
  source: '10.244.1.20',
  destination: '10.244.2.20',
  protocol: 'TCP' as const,
  port: 8080,
  connections: 3,
};

const check = async (
  objects: { [kind: string]: KubernetesObject[] },
  seen: (node: string) => SeenFlows = () => ({ from: 'conntrack', total: 1, flows: [flow] }),
  plan: Partial<CompiledPlan> = {},
) => {
  const asked: string[] = [];
  const nodes = {
    run: async (node: string, verb: string, input: object) => {
      asked.push(`${node} ${verb} ${JSON.stringify(input)}`);
      return seen(node);
    },
  } as unknown as NodeAccess;
  const cluster = { nodes: [{ name: 'worker-1' }, { name: 'worker-2' }], objects, plan };
  const [result] = await runChecks(['policy-hazards'], contextFor(cluster, { nodes }).context);
  return { ...result!, asked };
};

describe('policy-hazards', () => {
  it('passes, and asks no node, when there is no policy', async () => {
    expect(await check({ Pod: pods })).toMatchObject({ verdict: 'pass', message: 'there is no policy', asked: [] });
  });

  it('blocks on what conntrack has seen and a policy would cut; both remedies are named', async () => {
    const { verdict, message, remedy, evidence, asked } = await check({ Pod: pods, NetworkPolicy: [deny] });

    expect(verdict).toBe('block');
    expect(message).toMatch(
      /^1 policy hazard: \[[0-9a-f]{10}\] shop\/web to shop\/api, TCP 8080, would be cut on ingress: no rule of NetworkPolicy shop\/deny allows it \(default deny\) \(known from conntrack of worker-1, 3 connections\); 1 flow judged against 1 policy$/,
    );
    expect(remedy).toMatch(
      /add an ingress rule from the pods app=web of namespace shop for TCP 8080 .*\(spec\.acknowledge: - id: policy-hazards\/[0-9a-f]{10}/,
    );
    expect(evidence).toMatchObject({
      hazards: [{ kind: 'flow-cut' }],
      flows: [{ source: 'conntrack', judged: 1, cut: 1 }],
    });
    expect(asked).toEqual(
      ['worker-1', 'worker-2'].map((node) => `${node} flows {"first":"10.244.1.0","last":"10.244.2.255","limit":2000}`),
    );
  });

  it('passes when the plan acknowledges each hazard by its id, and warns when it acknowledges one that is gone', async () => {
    const { evidence } = await check({ Pod: pods, NetworkPolicy: [deny] });
    const { id } = (evidence as { hazards: { id: string }[] }).hazards[0]!;
    const acknowledge = [{ id: `policy-hazards/${id}`, reason: 'web moves to v2' }];

    const acknowledged = await check({ Pod: pods, NetworkPolicy: [deny] }, undefined, { acknowledge });
    const stale = await check({ Pod: pods, NetworkPolicy: [deny] }, undefined, {
      acknowledge: [...acknowledge, { id: 'policy-hazards/0123456789', reason: 'x' }],
    });

    expect(acknowledged).toMatchObject({
      verdict: 'pass',
      message: '1 flow judged against 1 policy, 1 hazard acknowledged in the plan',
      evidence: { hazards: [{ acknowledged: 'web moves to v2' }] },
    });
    expect(stale).toMatchObject({
      verdict: 'warn',
      message: expect.stringContaining('acknowledges what is not there any more: 0123456789'),
    });
  });

  it('warns of a policy that becomes live and cuts nothing known', async () => {
    expect(
      await check({ Pod: pods, NetworkPolicy: [deny] }, () => ({ from: 'conntrack', total: 0, flows: [] })),
    ).toMatchObject({
      verdict: 'warn',
      message: expect.stringContaining('NetworkPolicy shop/deny becomes live for 1 pod (ingress)'),
    });
  });

  it('says which nodes it could not ask, and which have no conntrack', async () => {
    const { verdict, evidence } = await check({ Pod: pods, NetworkPolicy: [deny] }, (node) => {
      if (node === 'worker-1') return { from: 'none', total: 0, flows: [] };
      throw new CutoverError('NodeUnreachable', 'worker-2 cannot be reached over SSH');
    });

    expect(verdict).toBe('warn');
    expect(evidence).toMatchObject({
      gaps: [
        'worker-1 has no conntrack to read: what works there is not known',
        'worker-2 could not be asked for its flows: worker-2 cannot be reached over SSH',
      ],
    });
  });

  it('takes the flows of the plan, and asks no node when the plan says so', async () => {
    const flows = [{ from: 'shop/web', to: 'shop/api', port: 9000, protocol: 'TCP' as const }];
    const { message, asked } = await check({ Pod: pods, NetworkPolicy: [deny] }, undefined, {
      policies: { flows, file: 'flows.yaml', conntrack: false },
    });

    expect(message).toContain('TCP 9000, would be cut on ingress');
    expect(message).toContain('known from flow 1 of flows.yaml');
    expect(asked).toEqual([]);
  });

  it('blocks with one sentence when a flow of the plan names a pod that is not there', async () => {
    const flows = [{ from: 'shop/wbe', to: 'shop/api', port: 80, protocol: 'TCP' as const }];

    expect(
      await check({ Pod: pods, NetworkPolicy: [deny] }, undefined, {
        policies: { flows, file: 'f.yaml', conntrack: false },
      }),
    ).toMatchObject({
      verdict: 'block',
      message: 'flow 1 of f.yaml: from names shop/wbe, and the cluster has no workload or pod of that name',
      remedy: 'did you mean shop/web?',
    });
  });
});
