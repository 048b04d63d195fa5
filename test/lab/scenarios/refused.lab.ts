import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodesOf } from '../../support/cutover.ts';
import { until } from '../../support/until.ts';
import { kubectl } from '../cluster/control-plane.ts';
import { inNode } from '../cluster/node.ts';
import { nodeNamed, running } from '../settings.ts';
import { labPlan, startLab, type Lab } from './harness.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
}, 300_000);
afterAll(() => lab?.stop());

const victim = nodeNamed('worker-2');

const stubborn = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: never, namespace: default }
spec: { minAvailable: 100%, selector: { matchLabels: { app: web } } }
`;

/** The victim is the canary: the migration stops there, and is taken back whole. */
const plan = (yaml: string): string =>
  labPlan(yaml)
    .replace('timeout: 60s', 'timeout: 5s')
    .replace('nodes: 1', `nodes: [${victim.name}]`)
    .replace('nodeAttempts: 2', 'nodeAttempts: 1');

describe('a node of a real cluster that cannot be migrated', () => {
  it.each([
    {
      what: 'a budget that does not yield',
      damage: () => kubectl(['apply', '-f', '-'], stubborn),
      mend: () => kubectl(['delete', '-n', 'default', 'pdb', 'never']),
      says: /budget.*never|never.*budget/,
    },
    {
      what: 'SSH that is refused',
      damage: () => inNode(victim, ['sh', '-c', 'systemctl stop sshd; pkill -x sshd; true']),
      mend: () => inNode(victim, ['systemctl', 'start', 'sshd']),
      says: /worker-2.*(refused|reach)/,
    },
    {
      what: 'a changed host key',
      damage: async () => {
        await inNode(victim, [
          'sh',
          '-ec',
          'cp -p /etc/ssh/lab_host_key /root/kept; rm /etc/ssh/lab_host_key; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/lab_host_key; systemctl restart sshd; pkill -f "[s]shd: root" || true',
        ]);
      },
      mend: () => inNode(victim, ['sh', '-ec', 'mv -f /root/kept /etc/ssh/lab_host_key; systemctl restart sshd']),
      says: /host key/,
    },
  ])(
    'because of $what stops there, stays in service, and says why',
    async ({ damage, mend, says }) => {
      const known = await readFile(running.knownHosts, 'utf8');
      await lab.launch(plan);
      // After the preflight, which would have found it: it happens while the migration is under way.
      await until(
        async () => (await lab.records()).some(({ kind, step }) => kind === 'step.began' && step === 'select-flannel'),
        'the migration prepares',
        120_000,
      );
      await damage();
      try {
        const waiting = await until(
          async () => nodesOf(await lab.status()).find(({ state }) => state === 'waiting'),
          'the node waits for a person',
          300_000,
        );
        expect(waiting).toMatchObject({ name: victim.name, message: expect.stringMatching(says) });
        expect((await lab.cutover('why', victim.name)).stdout).toMatch(says);
        const node = await lab.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name: victim.name });
        expect(node!['spec'].unschedulable ?? false).toBe(false);
      } finally {
        await mend();
      }
      expect(await readFile(running.knownHosts, 'utf8')).toBe(known);
      await writeFile(running.knownHosts, known);
      expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
      await lab.reach('rolled-back', 300_000);
    },
    900_000,
  );
});
