import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PolicyReport } from '../../src/policy/report.ts';
import type { GateView } from '../../src/store/views.ts';
import { install } from '../support/cutover.ts';
import { until } from '../support/until.ts';

let it_: Awaited<ReturnType<typeof install>>;
let app = '';
beforeAll(async () => {
  it_ = await install('three-nodes');
  const [deployment] = it_.simulation.store.list('deployments.apps', { namespace: 'default' });
  app = deployment!.metadata.name;
});
afterAll(() => it_.stop());

const policy = (name: string, spec: object) =>
  it_.simulation.store.create('networkpolicies.networking.k8s.io', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec,
  });
const planned = async (more = '') =>
  (
    await it_.json<{ hash: string }>(
      'plan',
      '-f',
      it_.planFile((yaml) => yaml + more),
    )
  ).hash;

/** From the first look at policies to a gate that sees a new one, each test is one chapter. */
describe('policies through the command line', () => {
  it('a cluster without any has no hazard', async () => {
    const hash = await planned();

    const { code, stdout } = await it_.cutover('policy', 'report', hash);

    expect(code).toBe(0);
    expect(stdout).toContain('no hazard: nothing that is known to work would be cut');
  });

  it('a default deny without DNS is reported with what to write, and blocks preflight until it is acknowledged', async () => {
    policy('dormant', { podSelector: {}, policyTypes: ['Egress'] });
    const hash = await planned('  policies: { conntrack: false }\n');

    const { stdout } = await it_.cutover('policy', 'report', hash);
    const report = await it_.json<PolicyReport>('policy', 'report', hash, '--matrix');
    const [hazard] = report.hazards;
    const preflight = await it_.cutover('preflight', hash);
    const acknowledged = await planned(
      // The plan ends with what it acknowledges.
      `    - { id: policy-hazards/${hazard!.id}, reason: nothing there resolves names }\n  policies: { conntrack: false }\n`,
    );
    const after = await it_.cutover('preflight', acknowledged);

    expect(stdout).toContain("lets them ask the cluster's DNS");
    expect(stdout).toContain(
      'add an egress rule for UDP and TCP 53 to the pods k8s-app=kube-dns of namespace kube-system',
    );
    expect(report.matrix!.some(({ verdict }) => verdict === 'cut')).toBe(true);
    expect([preflight.code, preflight.stdout]).toEqual([1, expect.stringContaining('policy-hazards')]);
    expect(after.code).toBe(0);
    it_.simulation.store.remove('networkpolicies.networking.k8s.io', 'default', 'dormant');
  });

  it.each([
    [
      'names a pod that is not there',
      'flows:\n  - { from: default/nobody, to: kube-system/kube-dns, port: 53, protocol: UDP }\n',
      /flow 1 of .*flows\.yaml: from names default\/nobody, and the cluster has no workload or pod of that name/,
    ],
    ['is no list of flows', 'flows: everything\n', /flows\.yaml: flows: /],
  ])('a file of flows that %s is refused in one sentence', async (_, text, message) => {
    const hash = await planned();
    const file = join(it_.home, 'flows.yaml');
    writeFileSync(file, text);

    const { code, stderr } = await it_.cutover('policy', 'report', hash, '--flows', file);

    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('a file of flows that does not exist is refused in one sentence, by the command and by the plan', async () => {
    const byCommand = await it_.cutover('policy', 'report', await planned(), '--flows', '/nowhere.yaml');
    const byPlan = await it_.cutover(
      'plan',
      '-f',
      it_.planFile((yaml) => `${yaml}  policies: { flows: nowhere.yaml }\n`),
    );

    expect(byCommand).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('the file of flows /nowhere.yaml cannot be read: ENOENT'),
    });
    expect(byPlan).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/:\d+:\d+: the flows of nowhere\.yaml are not known: there is no such file at /),
    });
  });

  it('a policy that somebody adds during the migration keeps the next gate closed', async () => {
    await it_.launch((yaml) => yaml.replace('nodes: rest', 'nodes: rest\n        gate:\n          approvals: 1'));
    await it_.reach('at-gate');
    const checkOf = async (gate: string) =>
      (await it_.json<GateView>('gates', gate)).evidence.checks.find(({ id }) => id === 'policy-hazards');
    const first = await checkOf('after-canary');
    const { evidence } = await it_.json<GateView>('gates', 'after-canary');
    policy('added', { podSelector: { matchLabels: { app } }, policyTypes: ['Egress'] });
    await it_.cutover(
      'approve',
      'after-canary',
      '--as',
      'ben',
      '--evidence',
      `sha256:${evidence.digest}`,
      '--reason',
      'seen',
    );
    await until(async () => (await it_.cutover('gates', 'after-rest')).code === 0, 'the second gate opens', 120_000);

    expect(first).toMatchObject({ verdict: 'pass', message: 'there is no policy' });
    expect(await checkOf('after-rest')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('no rule of NetworkPolicy default/added'),
    });
  }, 240_000);
});
