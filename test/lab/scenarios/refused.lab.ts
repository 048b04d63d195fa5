import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodesOf } from '../../support/cutover.ts';
import { until } from '../../support/until.ts';
import { kubectl } from '../cluster/control-plane.ts';
import { inNode } from '../cluster/node.ts';
import { nodeNamed, running } from '../settings.ts';
import { flannelResidue, labPlan, nodeNames, startLab, type Lab } from './harness.ts';

let lab: Lab;
let known: string;
beforeAll(async () => {
  lab = await startLab();
  known = await readFile(running.knownHosts, 'utf8');
}, 300_000);
afterAll(() => lab?.stop());

const victim = nodeNamed('worker-2');

const stubborn = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: never, namespace: default }
spec: { minAvailable: 100%, selector: { matchLabels: { app: web } } }
`;

/** The canary moves; then the victim's turn comes, once for each trouble. */
const plan = (yaml: string): string =>
  labPlan(yaml)
    .replace('timeout: 60s', 'timeout: 15s')
    .replace('nodes: 1', 'nodes: [worker-1]')
    .replace('nodeAttempts: 2', 'nodeAttempts: 1')
    .replace('failureBudget: 2', 'failureBudget: 9');

const newHostKey = `
cp -p /etc/ssh/lab_host_key /root/kept
rm /etc/ssh/lab_host_key
ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/lab_host_key
systemctl restart sshd
pkill -f "[s]shd: root" || true`;

describe('a node of a real cluster that cannot be migrated', () => {
  it('is not there yet: the canary moves first', async () => {
    await lab.launch(plan);
    await lab.reach('at-gate', 300_000);
  }, 400_000);

  it.each([
    {
      what: 'a budget that does not yield',
      goOn: () => lab.cutover('approve', 'after-canary', '--as', 'ben', '--yes'),
      damage: () => kubectl(['apply', '-f', '-'], stubborn),
      mend: () => kubectl(['delete', '-n', 'default', 'pdb', 'never']),
      says: /budget default\/never/,
    },
    {
      what: 'SSH that is refused',
      goOn: () => lab.cutover('retry', victim.name, '--reason', 'the budget is gone'),
      damage: () => inNode(victim, ['sh', '-c', 'systemctl stop sshd; pkill -f "[s]shd: root"; true']),
      mend: () => inNode(victim, ['systemctl', 'start', 'sshd']),
      says: /worker-2 .*cannot be reached over SSH/,
    },
    {
      what: 'a changed host key',
      goOn: () => lab.cutover('retry', victim.name, '--reason', 'sshd runs again'),
      damage: () => inNode(victim, ['sh', '-ec', newHostKey]),
      mend: () => inNode(victim, ['sh', '-ec', 'mv -f /root/kept /etc/ssh/lab_host_key; systemctl restart sshd']),
      says: /host key/,
    },
  ])(
    'stops because of $what, stays in service, and says why',
    async ({ goOn, damage, mend, says }) => {
      await damage();
      try {
        expect(await goOn()).toMatchObject({ code: 0 });
        const waiting = await until(
          async () =>
            nodesOf(await lab.status()).find(({ state, message }) => state === 'waiting' && says.test(message)),
          'the node waits for a person, and says so',
          200_000,
        );
        expect(waiting.name).toBe(victim.name);
        expect((await lab.cutover('why', victim.name)).stdout).toMatch(says);
        const node = await lab.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name: victim.name });
        expect(node!['spec'].unschedulable ?? false).toBe(false);
      } finally {
        await mend();
      }
    },
    300_000,
  );

  it('goes on when a person has mended it; no host key was added, and nothing is left', async () => {
    expect(await lab.cutover('retry', victim.name, '--reason', 'all mended')).toMatchObject({ code: 0 });
    await lab.reach('completed', 400_000);

    expect(await readFile(running.knownHosts, 'utf8')).toBe(known);
    const states = await Promise.all(nodeNames.map((node) => lab.inspect(node)));
    expect(states.flatMap(flannelResidue)).toEqual([]);
  }, 500_000);
});
