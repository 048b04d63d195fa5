import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client, Connection } from '@temporalio/client';
import type { AuditRecord } from '../../src/store/types.ts';
import { approveGate, install, nodesOf } from '../support/cutover.ts';
import { until } from '../support/until.ts';
import { ownDisk, type Beset, type Trouble } from './troubles.ts';

/** Simulated seconds that a trouble lasts, and how fast the simulated cluster runs. */
const lastsSeconds = 60;
const speed = 10;

/** Where a migration is when the trouble begins: a step of a node or of the cluster that has just begun, or an open gate. */
export interface Moment {
  name: string;
  /** Id of the step, and which way. */
  step?: string;
  direction?: 'forward' | 'back';
}

export const moments: Moment[] = [
  { name: 'evict', step: 'evict' },
  { name: 'behind the fence', step: 'fence' },
  { name: 'swap', step: 'swap' },
  { name: 'settle', step: 'settle' },
  { name: 'soak', step: 'soak' },
  { name: 'gate open' },
  { name: 'finalize', step: 'clean-nodes' },
  { name: 'rollback', step: 'swap', direction: 'back' },
];

export interface Survival {
  /** What went wrong, one sentence each; empty when it survived. */
  problems: string[];
  /** What `status` and `why` said while it lasted. */
  said: string;
}

/**
 * A whole migration with one trouble of Cutover's own at one moment of it. It survives when it comes to its end (with a person
 * who only approves, resumes and retries), no workflow failed, every steering command answered, the record is whole, and no
 * pod that did not move lost a packet.
 *
 * @returns undefined where this user may not mount a file system
 */
export async function survive(trouble: Trouble, moment: Moment): Promise<Survival | undefined> {
  const disk = trouble.ownDisk ? ownDisk() : undefined;
  if (trouble.ownDisk && !disk) return undefined;
  const cutover = await install('three-nodes', { speed, ...(disk ? { home: disk.home } : {}) });
  const problems: string[] = [];
  let said = '';
  try {
    await cutover.launch((yaml) => yaml.replace('nodeSoak: 0s', 'nodeSoak: 1s'));
    const asked = await come(cutover, moment);

    const end = await trouble.begin(cutover);
    const over = new Promise((resolve) => setTimeout(resolve, (lastsSeconds / speed) * 1000 + 2_000));
    for (const command of [['status'], ['why', asked], ['pause', '--scope', 'node', '--reason', 'trouble']]) {
      const { code, stdout, stderr } = await cutover.cutover(...command);
      said += `$ cutover ${command.join(' ')} (exit ${code})\n${stdout}${stderr}\n`;
      if (/bug of Cutover|Workflow Update failed|UnhandledPromise/.test(stdout + stderr))
        problems.push(`cutover ${command[0]} answered: ${stderr}`);
    }
    await over;
    await end();
    if (trouble.says && !trouble.says.test(said)) problems.push(`nothing said what was wrong: ${said}`);

    await finish(cutover, moment, asked);
    problems.push(...(await whatIsWrong(cutover)));
  } catch (error) {
    problems.push(String(error));
  } finally {
    await cutover.stop().catch(() => undefined);
    disk?.remove();
  }
  return { problems, said };
}

/** Waits for the moment. @returns the node that it is about, or one that `why` can be asked about */
async function come(cutover: Beset, { step, direction = 'forward' }: Moment): Promise<string> {
  if (step === undefined || direction === 'back' || step === 'clean-nodes') await cutover.reach('at-gate', 180_000);
  const [first] = nodesOf(await cutover.status()).filter(({ state }) => state === 'migrated');
  if (step === undefined) return first!.name;
  if (direction === 'back') void cutover.cutover('rollback', '--node', first!.name, '--reason', 'trouble', '--yes');
  else if (first) await approveGate(cutover, 'after-canary');
  // The database is read directly: a step takes a tenth of a second, and a command of its own would come too late.
  const database = new DatabaseSync(join(cutover.home, 'cutover.db'), { readOnly: true });
  const last = database.prepare("SELECT body FROM records WHERE kind = 'step.began' ORDER BY seq DESC LIMIT 1");
  try {
    for (const until = Date.now() + 180_000; Date.now() < until;) {
      const row = last.get() as { body: string } | undefined;
      const record = row && (JSON.parse(row.body) as AuditRecord);
      if (record?.step === step && record.direction === direction) return record.node ?? first!.name;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  } finally {
    database.close();
  }
  throw new Error(`the migration did not come to ${step}`);
}

/** A person who approves what is open, resumes what is paused, and retries what waits. */
async function finish(cutover: Beset, { direction }: Moment, asked: string): Promise<void> {
  let wentBack = direction !== 'back';
  await until(
    async () => {
      const view = await cutover.status();
      if (!wentBack) wentBack = nodesOf(view).some(({ name, state }) => name === asked && state === 'rolled-back');
      if (view.state === 'completed') return wentBack || 'it completed without the rollback';
      const waiting = nodesOf(view).find(({ state }) => state === 'waiting');
      if (waiting) await cutover.cutover('retry', waiting.name, '--reason', 'it is over');
      else if (view.pause && wentBack) await cutover.cutover('resume', '--reason', 'it is over');
      else if (view.openGate && wentBack)
        await cutover.cutover('approve', view.openGate.id, '--as', 'ben', '--yes', '--reason', 'seen');
      return false;
    },
    'the migration is completed',
    240_000,
  ).catch(async (error: unknown) => {
    const { stdout } = await cutover.cutover('status');
    throw new Error(`${String(error)}; ${stdout}`);
  });
}

async function whatIsWrong(cutover: Beset): Promise<string[]> {
  const problems: string[] = [];
  const { lost } = cutover.simulation.traffic().bystanders;
  if (lost > 0) problems.push(`pods that did not move lost ${lost} packets`);
  const verified = await cutover.cutover('audit', 'verify');
  if (verified.code !== 0) problems.push(`audit verify: ${verified.stdout}${verified.stderr}`);
  const records = (await cutover.json<{ items: AuditRecord[] }>('audit', 'list')).items;
  for (const ended of records.filter(({ kind }) => kind === 'step.ended')) {
    const key = ended.key.replace(/:ended$/, ':began');
    if (!records.some((record) => record.key === key)) problems.push(`a step ended that never began: ${ended.key}`);
  }
  for (const migrated of new Set(records.flatMap(({ kind, node }) => (kind === 'node.ended' && node ? [node] : [])))) {
    const ends = records.filter(
      ({ kind, node, outcome }) => kind === 'node.ended' && node === migrated && outcome === 'held',
    );
    if (ends.length > 0) problems.push(`${migrated} was held: ${ends[0]!.message}`);
  }
  problems.push(...(await failedWorkflows(cutover)));
  return problems;
}

/** Of the migration's own workflows none may end Failed: their ids begin with its lock. */
async function failedWorkflows({ pidOf }: Beset): Promise<string[]> {
  const port = /--port (\d+)/.exec(commandLine(pidOf('temporal')))?.[1];
  const connection = await Connection.connect({ address: `127.0.0.1:${port}` });
  try {
    const found: string[] = [];
    for await (const { workflowId } of new Client({ connection }).workflow.list({
      query: "ExecutionStatus = 'Failed'",
    }))
      if (workflowId.startsWith('migration:')) found.push(`workflow ${workflowId} ended Failed`);
    return found;
  } finally {
    await connection.close();
  }
}

const commandLine = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
