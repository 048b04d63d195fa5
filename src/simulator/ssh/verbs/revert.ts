import type { VerbModel, VerbRun } from './model.ts';
import {
  confFolder,
  failure,
  flannelNetwork,
  ownFolder,
  replaceFile,
  revertUnit,
  sandboxesOf,
  waitLoaded,
} from './model.ts';
import { verbProgram } from '../../../node/verb-program.ts';
import { clearCalico } from './clean.ts';
import { number, plainName } from './input.ts';
import { withLock } from './lock.ts';
import { removeSandboxes } from './purge.ts';
import { armedMarks, seenToken } from './token.ts';

/** Model of arm-revert.sh. */
export const armRevert: VerbModel<'arm-revert'> = async ({ node, clock, guard }, input) => {
  const migration = plainName(input, 'migration');
  if (plainName(input, 'old') !== 'flannel')
    throw failure('BadInput', `cannot revert to ${input.old}: only flannel is known`);
  const seconds = number(input, 'seconds');
  if (seconds <= 0) throw failure('BadInput', '"seconds" must be above 0');
  const script = `${ownFolder}/${migration}/revert.sh`;
  const own = `${ownFolder}/${migration}`;
  guard();
  replaceFile(node, script, revertScript());
  replaceFile(node, `${own}/reserve`, '\0'.repeat(65_536));
  const { owner, since } = seenToken(node);
  replaceFile(node, `${own}/armed`, `${owner === '' ? '' : `${owner} ${since}`}\n`);
  guard();
  node.unlink(`${own}/fired`);
  for (const mark of armedMarks(node)) if (mark !== `${own}/armed`) node.unlink(mark);
  guard();
  node.startTimer(
    revertUnit,
    seconds,
    `/bin/sh ${script} ${migration}`,
    () => withLock(node, () => revert({ node, clock, guard: () => {} }, migration)),
    { persistent: true },
  );
  return { unit: revertUnit, armed: true, persistent: true, note: '' };
};

/** The program that the verb writes on the node, byte for byte. */
function revertScript(): string {
  const program = verbProgram('arm-revert');
  const begin = program.indexOf("<<'END_OF_REVERT'\n") + "<<'END_OF_REVERT'\n".length;
  return program.slice(begin, program.indexOf('END_OF_REVERT\n}\n'));
}

/** Model of revert.sh: each part is done as far as it goes. */
async function revert(run: VerbRun, migration: string): Promise<void> {
  const { node } = run;
  const own = `${ownFolder}/${migration}`;
  if (!node.files.has(`${own}/armed`) && !node.files.has(`${own}/fired`)) return; // it was disarmed
  node.unlink(`${own}/reserve`);
  if (node.files.has(`${own}/armed`)) node.rename(`${own}/armed`, `${own}/fired`);
  await node.kubelet.stop().catch(() => {});
  if (node.loadedNetworks.includes('k8s-pod-network')) {
    await removeSandboxes(
      run,
      sandboxesOf(node, 'POD').map(({ id }) => id),
    );
  }
  node.unlink(`${confFolder}/10-calico.conflist`);
  node.unlink(`${confFolder}/calico-kubeconfig`);
  await clearCalico(run);
  await node.kubelet.start().catch(() => {});
  await waitLoaded(run, flannelNetwork, 30);
}

/** Model of disarm-revert.sh. */
export const disarmRevert: VerbModel<'disarm-revert'> = async ({ node, guard }, input) => {
  const migration = plainName(input, 'migration');
  const timer = node.timers.get(revertUnit);
  if (timer !== undefined && !timer.fired) {
    guard();
    timer.cancel();
  }
  for (const mark of armedMarks(node)) {
    guard();
    node.unlink(mark);
  }
  guard();
  node.unlink(`${ownFolder}/${migration}/reserve`);
  return { fired: node.files.has(`${ownFolder}/${migration}/fired`), problems: [] };
};
