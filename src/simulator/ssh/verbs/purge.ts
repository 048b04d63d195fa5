import type { VerbModel, VerbRun } from './model.ts';
import { failure, fenceNetwork, leases, sandboxesOf } from './model.ts';

/** `purge_sandboxes` of lib.sh: side by side, each through the conf that is loaded now. */
export async function removeSandboxes(
  { node, guard }: VerbRun,
  ids: string[],
): Promise<{ removed: number; problem: string }> {
  if (ids.length > 0) guard();
  const ends = await Promise.allSettled(ids.map((id) => node.removeSandbox(id)));
  const failed = ends.filter((end) => end.status === 'rejected').map(({ reason }) => reason as unknown);
  return {
    removed: ids.length - failed.length,
    problem: failed.map((error) => (error instanceof Error ? error.message : String(error))).at(-1) ?? '',
  };
}

/** Model of purge.sh. */
export const purge: VerbModel<'purge'> = async (run) => {
  const { node } = run;
  const odd = [...node.sandboxes.values()].find(({ network }) => network !== 'POD' && network !== 'NODE');
  if (odd !== undefined) {
    const { pod, network } = odd;
    throw failure(
      'UnknownSandbox',
      `cannot tell whether this sandbox has a pod network: ${pod.namespace}/${pod.name} (network ${network as string})`,
    );
  }
  if (node.kubelet.active) {
    run.guard();
    await node.kubelet.stop();
  }
  let pods = sandboxesOf(node, 'POD');
  if (node.loadedNetworks.includes(fenceNetwork)) {
    // Behind the fence every DEL fails (§0a.4 of the migration facts).
    if (pods.some(({ running }) => running)) {
      throw failure('FenceStands', 'the fence is loaded: sandboxes cannot be removed behind it, purge comes first');
    }
    pods = [];
  }
  const { removed, problem } = await removeSandboxes(
    run,
    pods.map(({ id }) => id),
  );
  const left = sandboxesOf(node, 'POD').length;
  if (pods.length > 0 && left > 0)
    throw failure('SandboxesLeft', `${left} pod sandboxes are left on this node: ${problem}`);
  return { removed, kept: sandboxesOf(node, 'NODE').length, leases: leases(node).length };
};
