import { block, defineCheck, pass, some, warn } from '../define.ts';

type Facts = {
  nodes: number;
  /** Images that the bundles name; empty when nobody read the bundles. */
  images: string[];
  /** `worker-1: docker.io/calico/node:v3.28.5`. */
  missing: string[];
  /** Nodes whose list is empty or full, so that a missing name proves nothing, and whose runtime could not be asked. */
  unknown: string[];
};

/** kubelet reports at most this many images of a node (nodeStatusMaxImages), the largest first: then the node's runtime is asked. */
const mostReported = 50;

/** What Calico needs is on every node before it is touched: a node without a network may not be able to pull. */
export const imagesPresent = defineCheck<Facts>({
  id: 'images-present',
  layer: 'node',
  title: 'The images of the new network are on every node',
  scope: 'cluster',
  ask: async ({ images, nodeObjects, surveyAll }) => {
    const wanted = [...new Set(((await images?.()) ?? []).map(normalImage))];
    const nodes = await nodeObjects();
    const facts: Facts = { nodes: nodes.length, images: wanted, missing: [], unknown: [] };
    const notAmong = (names: readonly string[]): string[] => {
      const there = new Set(names.map(normalImage));
      return wanted.filter((image) => !there.has(image));
    };
    for (const node of nodes) {
      const reported: { names?: string[] | null }[] = node['status']?.images ?? [];
      let missing = notAmong(reported.flatMap(({ names }) => names ?? []));
      if (missing.length === 0) continue;
      const partial = reported.length === 0 || reported.length >= mostReported;
      const asked = partial && (await surveyAll()).find((each) => each.node.name === node.metadata.name);
      const onNode = (asked && asked.survey?.images) || [];
      if (onNode.length > 0) missing = notAmong(onNode);
      if (partial && onNode.length === 0) facts.unknown.push(node.metadata.name);
      else facts.missing.push(...missing.map((image) => `${node.metadata.name}: ${image}`));
    }
    return facts;
  },
  judge: ({ nodes, images, missing, unknown }) => {
    if (images.length === 0) {
      return warn('it is not known which images the bundle brings, so nothing was compared', {
        remedy: 'pull the images of the new network on every node by hand: `crictl pull`',
      });
    }
    if (missing.length > 0) {
      return block(`images are missing on nodes: ${some(missing)}`, {
        remedy:
          'pull them on every node first (`crictl pull`, or a DaemonSet that only pulls): a node in the middle of the change may reach no registry',
      });
    }
    if (unknown.length > 0) {
      return warn(
        `${unknown.length} of ${nodes} nodes do not say whether they have the ${images.length} images: ${some(unknown)}`,
        {
          remedy: `look with \`crictl images\`; kubelet reports at most ${mostReported} images of a node`,
        },
      );
    }
    return pass(`all ${nodes} nodes have the ${images.length} images`);
  },
});

/** `calico/node:v3` -> `docker.io/calico/node:v3`, as runtimes write it. A name with tag and digest counts by its digest. */
export function normalImage(name: string): string {
  const first = name.split('/')[0] ?? '';
  const hasRegistry = name.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  const path = hasRegistry ? name : `docker.io/${name.includes('/') ? name : `library/${name}`}`;
  const digest = /^(.+?)(?::[^:/@]+)?(@sha256:[0-9a-f]+)$/.exec(path);
  if (digest !== null) return `${digest[1]}${digest[2]}`;
  return /:[^/]+$/.test(path) ? path : `${path}:latest`;
}
