import { block, defineCheck, pass, some } from '../define.ts';
import { flannel } from '../names.ts';
import { flannelFiles, flannelLeftovers } from './leftovers.ts';

type Facts = {
  nodes: number;
  /** `worker-1: link flannel.1`. */
  left: string[];
  /** Nodes with annotations of Flannel. */
  annotated: string[];
  /** Whether the DaemonSet of Flannel exists. */
  daemonSet: boolean;
  unreachable: string[];
};

/** The end of the migration: no node and no object keeps anything of Flannel, files included. */
export const allNodesClean = defineCheck<Facts>({
  id: 'all-nodes-clean',
  layer: 'residue',
  title: 'Nothing of Flannel is left anywhere',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects, inspectAll, planned }) => {
    const [states, nodes, daemonSet] = await Promise.all([
      inspectAll(planned),
      nodeObjects(),
      kubernetes.get({
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        name: flannel.daemonSet,
        namespace: flannel.namespace,
      }),
    ]);
    return {
      nodes: nodes.length,
      left: states.flatMap(({ node, state }) =>
        state === undefined
          ? []
          : // Routes go with their links, which are looked for.
            [...flannelLeftovers({ ...state, routes: [] }), ...flannelFiles(state)].map(
              (thing) => `${node.name}: ${thing}`,
            ),
      ),
      annotated: nodes
        .filter((node) =>
          Object.keys(node.metadata.annotations ?? {}).some((key) => key.startsWith(flannel.annotations)),
        )
        .map((node) => node.metadata.name),
      daemonSet: daemonSet !== undefined,
      unreachable: states.flatMap(({ node, error }) => (error === undefined ? [] : [`${node.name}: ${error}`])),
    };
  },
  judge: ({ nodes, left, annotated, daemonSet, unreachable }) => {
    const all = [
      ...left,
      ...(daemonSet ? [`the DaemonSet ${flannel.namespace}/${flannel.daemonSet}`] : []),
      ...(annotated.length > 0 ? [`annotations on ${annotated.length} nodes (${some(annotated)})`] : []),
    ];
    if (all.length > 0) {
      return block(`Flannel left ${all.length} things: ${some(all, 5)}`, {
        remedy: 'resume the migration: its last steps clean again what is missing; or remove by hand what is named',
      });
    }
    if (unreachable.length > 0) {
      return block(`${unreachable.length} of ${nodes} nodes could not be looked at: ${some(unreachable)}`, {
        remedy: 'bring these nodes back within reach of SSH, then try again',
      });
    }
    return pass(`nothing of Flannel is left on ${nodes} nodes`);
  },
});
