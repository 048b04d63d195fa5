import { createKubernetesClient } from '../../../src/kubernetes/client.ts';
import type { KubernetesClient } from '../../../src/kubernetes/types.ts';
import { createSshAccess } from '../../../src/node/ssh.ts';
import type { NodeAccess, NodeState } from '../../../src/node/types.ts';
import type { AuditRecord } from '../../../src/store/types.ts';
import type { NodeHistory } from '../../../src/store/views.ts';
import { installBeside, oneWave as inOneWave, type Installation } from '../../support/cutover.ts';
import { reset } from '../cluster/up.ts';
import { commandOutput } from '../run.ts';
import { keepRecords, type StepTime } from '../results.ts';
import { nodes, running } from '../settings.ts';
import { judge, type Judged } from '../traffic/judge.ts';
import { startRecorder, type Recorder } from '../traffic/recorder.ts';
import type { Cut } from '../traffic/types.ts';

/** A real cluster, and Cutover beside it. Everything here runs in the fabric. */
export interface Lab extends Installation {
  kubernetes: KubernetesClient;
  nodes: NodeAccess;
  inspect(node: string): Promise<NodeState>;
  /** Runs a shell script on a node over SSH, as a person would. */
  onNode(node: string, script: string): Promise<string>;
  record(): Promise<Recorder>;
  records(): Promise<AuditRecord[]>;
  history(node: string): Promise<NodeHistory>;
  /** What the traffic lost, by when the pods of each node were taken away. `also` are cuts that no step made. */
  judge(recorder: Recorder, also?: Cut[]): Promise<Judged>;
}

export const nodeNames = nodes.map(({ name }) => name);

/** A fresh cluster, unless LAB_KEEP says to take it as it is. */
export async function startLab(options: { fresh?: boolean } = {}): Promise<Lab> {
  if ((options.fresh ?? true) && !process.env['LAB_KEEP']) await reset((line) => console.log(line));
  const access = { kubeconfig: running.kubeconfig, sshConfig: running.sshConfig };
  const installation = await installBeside(access);
  const kubernetes = createKubernetesClient({ kubeconfig: running.kubeconfig, context: '' });
  const ssh = createSshAccess({ configFile: running.sshConfig, user: 'root', sudo: false, connectTimeoutSeconds: 10 });
  const records = async () => (await installation.json<{ items: AuditRecord[] }>('audit', 'list')).items;
  const recorders: Recorder[] = [];
  const scenario = process.env['LAB_SCENARIO']!;
  return {
    ...installation,
    kubernetes,
    nodes: ssh,
    inspect: (node) =>
      ssh.run(node, 'inspect', {}, { token: 0, timeoutMs: 30_000, signal: AbortSignal.timeout(30_000) }),
    onNode: (node, script) => commandOutput('ssh', ['-F', running.sshConfig, node, 'sh', '-s'], script),
    record: async () => {
      const recorder = await startRecorder(kubernetes);
      recorders.push(recorder);
      return recorder;
    },
    records,
    history: (node) => installation.json<NodeHistory>('history', node),
    judge: async (recorder, also = []) => judge(await recorder.measured(), [...cutsOf(await records()), ...also]),
    stop: async () => {
      // Whatever went wrong before, the record tells.
      await records().then(
        (all) => keepRecords(scenario, all),
        (error: unknown) => console.warn(`no record of ${scenario}: ${String(error)}`),
      );
      for (const recorder of recorders) await recorder.stop();
      await ssh.close();
      await installation.stop();
    },
  };
}

/**
 * Pods of a node end when its sandboxes are purged: forward by the step of that name, back by the undo of the swap. With a new
 * pool they are made anew instead.
 */
const ends = { forward: ['purge', 'readdress'], back: ['swap', 'pool'] };
export const cutsOf = (records: readonly AuditRecord[]): Cut[] =>
  records
    .filter(({ kind, step = '', direction = 'forward' }) => kind === 'step.began' && ends[direction].includes(step))
    .map(({ node = '', at }) => ({ node, at }));

/** All nodes in one wave, with the lab's own ports and a short soak. */
export const oneWave = (yaml: string): string => inOneWave(labPlan(yaml));

/** The traffic of the lab has the hostPort that the plan of the other tests names. */
export const labPlan = (yaml: string): string => yaml.replace('hostPort: 18180', 'hostPort: 18080');

/** Seconds of each step of a node, as its history has them. */
export const stepTimes = ({ node, entries }: NodeHistory): StepTime[] =>
  entries
    .filter(({ kind, durationMs }) => kind === 'step' && durationMs !== null)
    .map(({ title, direction, durationMs }) => ({ node, step: title, direction, seconds: durationMs! / 1000 }));

/** Everything of the old network on a node, in words; nothing of it may be left. */
export const flannelResidue = ({ links, confs, rules, leases, flannelBinary, nftTables }: NodeState): string[] => [
  ...links.filter(({ name }) => /^(flannel|cni0)/.test(name)).map(({ name }) => `link ${name}`),
  ...confs.filter(({ network }) => network !== 'k8s-pod-network').map(({ name }) => `conf ${name}`),
  ...rules
    .filter(({ flannel }) => flannel > 0)
    .map(({ backend, family, flannel }) => `${flannel} rules (${backend} ${family})`),
  ...leases.map((address) => `lease ${address}`),
  ...nftTables.filter((table) => table.includes('flannel')).map((table) => `nft table ${table}`),
  ...(flannelBinary ? ['binary /opt/cni/bin/flannel'] : []),
];

/** The same of the new one, after a rollback. */
export const calicoResidue = ({ links, confs, rules, routes, ipsets, nftTables }: NodeState): string[] => [
  ...links.filter(({ name }) => /^(cali|vxlan\.calico)/.test(name)).map(({ name }) => `link ${name}`),
  ...confs.filter(({ network }) => network !== 'cbr0').map(({ name }) => `conf ${name}`),
  ...rules
    .filter(({ calico }) => calico > 0)
    .map(({ backend, family, calico }) => `${calico} rules (${backend} ${family})`),
  ...routes
    .filter(({ proto, type }) => proto === '80' || proto === 'bird' || type === 'blackhole')
    .map(({ dst, type }) => `${type} route ${dst}`),
  ...ipsets.filter((name) => name.startsWith('cali')).map((name) => `ipset ${name}`),
  ...nftTables.filter((table) => table.includes('calico')).map((table) => `nft table ${table}`),
];

/** What belongs to Cutover on a node: nothing of it may outlive a migration. */
export const ownResidue = ({ revertArmed, revertFired, snapshot }: NodeState): string[] => [
  ...(revertArmed ? ['dead-man switch'] : []),
  ...(revertFired ? ['mark of the dead-man switch'] : []),
  ...(snapshot ? ['snapshot'] : []),
];

/** From the first step of a node to its end. */
export const nodeSeconds = (histories: readonly NodeHistory[]): Record<string, number> =>
  Object.fromEntries(
    histories.map(({ node, startedAt, endedAt }) => [node, (Date.parse(endedAt) - Date.parse(startedAt)) / 1000]),
  );
