import type { Json } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy } from '../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { captureManifests } from '../src/probe/capture/manifests.ts';
import {
  applyProbes,
  hostProbeName,
  probeManifests,
  probeName,
  servingLabel,
  streamContainer,
  streamReportFile,
} from '../src/probe/manifests.ts';
import { runningProbe } from '../src/probe/pods.ts';
import { serve, serveFromAll } from '../src/probe/serve.ts';
import { parseStreamReport } from '../src/probe/stream-report.ts';
import { count } from './args.ts';
import { awaitGone, refOf, withAnnotations } from './bundle.ts';
import { marksUnlessMarked } from './earlier.ts';
import { awaitRollout } from './daemon-sets.ts';
import type { Verb, VerbContext } from './types.ts';

/** `probe.deploy`: the pods that the checks ask from and to, on every node. @throws CutoverError AgentNotReady */
export const deployProbes: Verb = async (context) => {
  const { kubernetes, plan, stage } = context;
  const { namespace } = plan.probe;
  const found = await kubernetes.get({ ...kinds.namespace, name: namespace });
  // A namespace that no migration made belongs to somebody else: we live in it, and leave it.
  const ours = found === undefined || found.metadata.annotations?.[createdBy] !== undefined;
  let changed = 0;
  await applyProbes(
    plan.probe,
    stage.waves.flatMap(({ nodes }) => nodes),
    async (manifest) => {
      const object = manifest as unknown as KubernetesObject;
      if (object.kind === 'Namespace' && !ours) return undefined;
      const before = await kubernetes.get(refOf(object));
      const after = await kubernetes.apply(withAnnotations(object, marksUnlessMarked(context, before)), {
        force: true,
      });
      if (before?.metadata.resourceVersion !== after.metadata.resourceVersion) changed++;
      return after;
    },
  );
  const rolled = await Promise.all(
    [probeName, hostProbeName].map((name) => awaitRollout(context, { ...kinds.daemonSet, namespace, name })),
  );
  const ready = rolled.map(({ status }) => Number(status?.numberReady ?? 0));
  await serveFromAll(kubernetes, namespace);
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

/** Outages of one pod that are kept when it goes: the longest. */
const mostKept = 50;

/**
 * `probe.leave`: the node is about to lose its pods. Its probe pod leaves the Service, and what it has seen so far is kept as
 * evidence of the step. A pod that does not answer has seen nothing: that must not stop the node.
 */
export const leaveProbe: Verb = async (context) => {
  const pod = await probePodOf(context);
  if (pod === undefined) return { changed: false, summary: 'the node has no probe pod that runs' };
  const { kubernetes, signal } = context;
  const { namespace, name, serving } = pod;
  if (serving) await serve(kubernetes, { namespace, name }, false);
  const report = await kubernetes
    .exec({ namespace, name, container: streamContainer }, ['cat', streamReportFile], { timeoutMs: 10_000, signal })
    .then(({ stdout }) => parseStreamReport(stdout))
    .catch(() => undefined);
  signal.throwIfAborted();
  if (report === undefined)
    return { changed: serving, summary: 'its probe has left the Services, and had seen nothing' };
  const outages = report.outages.toSorted((a, b) => b.lost - a.lost).slice(0, mostKept);
  return {
    changed: serving,
    summary: `its probe has left the Services after ${report.ticks} s, with ${count(report.outages.length, 'outage')} seen`,
    evidence: {
      seen: { ...report, outages, dropped: report.dropped + report.outages.length - outages.length },
    } as unknown as Json,
  };
};

/**
 * `probe.join`: the node's probe is in the Service again, after `probe.leave`. Only once the node has passed its checks: what
 * calls a Service must not be led to a node whose network is in doubt.
 */
export const joinProbe: Verb = async (context) => {
  const pod = await probePodOf(context);
  if (pod === undefined || pod.serving) return { changed: false, summary: 'its probe serves, or there is none' };
  await serve(context.kubernetes, pod, true);
  return { changed: true, summary: 'its probe is in the Services again' };
};

async function probePodOf({ kubernetes, plan, node }: VerbContext) {
  const pods = await kubernetes.list(kinds.pod, {
    namespace: plan.probe.namespace,
    labelSelector: `app=${probeName}`,
    fieldSelector: `spec.nodeName=${node().name}`,
  });
  const found = runningProbe(pods);
  if (typeof found === 'string') return undefined;
  const labels = pods.find(({ metadata }) => metadata.name === found.name)?.metadata.labels;
  return { ...found, serving: labels?.[servingLabel] !== undefined };
}
