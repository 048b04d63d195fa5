import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy } from '../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { captureManifests } from '../src/probe/capture/manifests.ts';
import { hostProbeName, probeManifests, probeName } from '../src/probe/manifests.ts';
import { count } from './args.ts';
import { awaitGone, refOf, withAnnotation } from './bundle.ts';
import { awaitRollout } from './daemon-sets.ts';
import type { Verb } from './types.ts';

/** `probe.deploy`: the pods that the checks ask from and to, on every node. @throws CutoverError AgentNotReady */
export const deployProbes: Verb = async (context) => {
  const { kubernetes, plan, place } = context;
  const { namespace } = plan.probe;
  const found = await kubernetes.get({ ...kinds.namespace, name: namespace });
  // A namespace that no migration made belongs to somebody else: we live in it, and leave it.
  const ours = found === undefined || found.metadata.annotations?.[createdBy] !== undefined;
  let changed = 0;
  for (const manifest of probeManifests(plan.probe)) {
    const object = manifest as unknown as KubernetesObject;
    if (object.kind === 'Namespace' && !ours) continue;
    const before = await kubernetes.get(refOf(object));
    const after = await kubernetes.apply(withAnnotation(object, createdBy, place.migration), { force: true });
    if (before?.metadata.resourceVersion !== after.metadata.resourceVersion) changed++;
  }
  const rolled = await Promise.all(
    [probeName, hostProbeName].map((name) => awaitRollout(context, { ...kinds.daemonSet, namespace, name })),
  );
  const ready = rolled.map(({ status }) => Number(status?.numberReady ?? 0));
  return {
    changed: changed > 0,
    summary: `probes are Ready on ${count(Math.min(...ready), 'node')}`,
    evidence: { [probeName]: ready[0]!, [hostProbeName]: ready[1]! },
  };
};

/** `probe.remove`: nothing of the probes stays, and nothing else goes. */
export const removeProbes: Verb = async (context) => {
  const { kubernetes, plan } = context;
  // A capture takes away what it made, unless its worker died for good.
  const objects = [...probeManifests(plan.probe), ...captureManifests(plan.probe, '')].map(
    (manifest) => manifest as unknown as KubernetesObject,
  );
  const removed: KubernetesObject[] = [];
  for (const object of objects.reverse()) {
    const found = await kubernetes.get(refOf(object));
    if (!found || (object.kind === 'Namespace' && found.metadata.annotations?.[createdBy] === undefined)) continue;
    if (await kubernetes.delete(refOf(object), { propagation: 'Background' })) removed.push(object);
  }
  await awaitGone(context, removed);
  return {
    changed: removed.length > 0,
    summary: removed.length === 0 ? 'there were no probes' : `${count(removed.length, 'object')} of the probes removed`,
  };
};
