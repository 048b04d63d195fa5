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

/** Model of arm-revert.sh. */
export const armRevert: VerbModel<'arm-revert'> = async ({ node, clock, guard }, input) => {
  const migration = plainName(input, 'migration');
  if (plainName(input, 'old') !== 'flannel')
    throw failure('BadInput', `cannot revert to ${input.old}: only flannel is known`);
  const seconds = number(input, 'seconds');
  if (seconds <= 0) throw failure('BadInput', '"seconds" must be above 0');
  const script = `${ownFolder}/${migration}/revert.sh`;
  guard();
  replaceFile(node, script, revertScript());
  guard();
  node.timers.get(revertUnit)?.cancel();
  guard();
  node.unlink(`${ownFolder}/${migration}/fired`);
  guard();
  node.startTimer(revertUnit, seconds, `/bin/sh ${script} {"migration":"${migration}"}`, () =>
    withLock(node, () => revert({ node, clock, guard: () => {} }, migration)),
  );
  return { unit: revertUnit, armed: true };
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
  replaceFile(node, `${ownFolder}/${migration}/fired`, `${new Date(run.clock.now()).toISOString()}\n`);
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
  return { fired: node.files.has(`${ownFolder}/${migration}/fired`) };
};
