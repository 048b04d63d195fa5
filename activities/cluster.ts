import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { foundState } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import { count, text } from './args.ts';
import { awaitRollout, daemonSetRef } from './daemon-sets.ts';
import { inParallel } from './in-parallel.ts';
import type { Verb } from './types.ts';

const atOnce = 10;

/**
 * `cluster.labelNodes { key, value }`: marks every node of the cluster, not only those of the plan: the agents' DaemonSet
 * is about to select by the mark. A node that carries the key with any value has been marked, or is past it, and stays.
 */
export const labelNodes: Verb = async (context, input) => {
  const key = text(input, 'key');
  const value = text(input, 'value');
  const nodes = await context.kubernetes.list(kinds.node);
  const unmarked = nodes.filter(({ metadata }) => metadata.labels?.[key] === undefined);
  let done = 0;
  await inParallel(unmarked, atOnce, async ({ metadata: { name } }) => {
    await modify(context.kubernetes, { ...kinds.node, name }, ({ metadata }) =>
      metadata.labels?.[key] === undefined ? { metadata: { labels: { [key]: value } } } : undefined,
    );
    context.progress(`${++done} of ${unmarked.length} nodes marked`);
  });
  return {
    changed: unmarked.length > 0,
    summary: `${count(unmarked.length, 'node')} marked, ${nodes.length - unmarked.length} were`,
  };
};

/** `cluster.unlabelNodes { key }` */
export const unlabelNodes: Verb = async (context, input) => {
  const key = text(input, 'key');
  const nodes = await context.kubernetes.list(kinds.node, { labelSelector: key });
  let done = 0;
  await inParallel(nodes, atOnce, async ({ metadata: { name } }) => {
    await modify(context.kubernetes, { ...kinds.node, name }, ({ metadata }) =>
      metadata.labels?.[key] === undefined ? undefined : { metadata: { labels: { [key]: null } } },
    );
    context.progress(`${++done} of ${nodes.length} marks removed`);
  });
  return { changed: nodes.length > 0, summary: `the mark of ${count(nodes.length, 'node')} removed` };
};

/**
 * `cluster.selectDaemonSet { namespace, name, key, value }`: from now on its pods run only where the mark says so. The
 * template changes, but with OnDelete no pod is replaced for that: the controller still takes pods from nodes that the new
 * selector leaves out. Rolling every agent of the old network just to tie it down cost 10 s for 3 nodes (§0a.1 of the
 * migration facts). How the DaemonSet was updated before is kept on it.
 *
 * @throws CutoverError NotFound, AgentNotReady
 */
export const selectDaemonSet: Verb = async (context, input) => {
  const ref = daemonSetRef(input);
  const key = text(input, 'key');
  const value = text(input, 'value');
  const { changed } = await modify(context.kubernetes, ref, ({ spec, metadata }) =>
    spec?.template?.spec?.nodeSelector?.[key] === value
      ? undefined
      : {
          metadata: {
            annotations: {
              [foundState]: metadata.annotations?.[foundState] ?? JSON.stringify(spec?.updateStrategy ?? {}),
            },
          },
          spec: {
            updateStrategy: { type: 'OnDelete', rollingUpdate: null },
            template: { spec: { nodeSelector: { [key]: value } } },
          },
        },
  );
  const { status } = await awaitRollout(context, ref);
  return {
    changed,
    summary: `${ref.name} follows the mark ${value}, ${count(Number(status?.numberReady ?? 0), 'pod')} ready`,
  };
};

/**
 * `cluster.unselectDaemonSet { namespace, name, key }`: it is updated as it was found, and pods that were made under the
 * mark roll. Tolerates that the DaemonSet is gone.
 *
 * @throws CutoverError AgentNotReady
 */
export const unselectDaemonSet: Verb = async (context, input) => {
  const ref = daemonSetRef(input);
  const key = text(input, 'key');
  if (!(await context.kubernetes.get(ref))) {
    if (context.direction === 'back') return { changed: false, summary: `there is no ${ref.name}` };
    throw new CutoverError('NotFound', `there is no DaemonSet ${ref.namespace}/${ref.name}`, {
      remedy: 'find out who deleted it, and apply the manifests of the plan again',
    });
  }
  const { changed } = await modify(context.kubernetes, ref, ({ spec, metadata }) => {
    if (spec?.template?.spec?.nodeSelector?.[key] === undefined) return undefined;
    const template = { spec: { nodeSelector: { [key]: null } } };
    const found = metadata.annotations?.[foundState];
    if (found === undefined) return { spec: { template } };
    const updateStrategy = JSON.parse(found) as JsonObject;
    return { metadata: { annotations: { [foundState]: null } }, spec: { updateStrategy, template } };
  });
  const { status } = await awaitRollout(context, ref);
  return {
    changed,
    summary: `${ref.name} runs on every node, ${count(Number(status?.numberReady ?? 0), 'pod')} ready`,
  };
};
