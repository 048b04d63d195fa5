import { defineCheck, pass, some, warn } from '../define.ts';
import { troubleWith } from '../known-versions.ts';

type Facts = { nodes: { name: string; kernel: string }[] };

/** Every kernel has what the new network needs. */
export const kernel = defineCheck<Facts>({
  id: 'kernel',
  layer: 'node',
  title: 'The kernels are new enough',
  scope: 'cluster',
  ask: async ({ nodeObjects }) => ({
    nodes: (await nodeObjects()).map((node) => ({
      name: node.metadata.name,
      kernel: String(node['status']?.nodeInfo?.kernelVersion ?? ''),
    })),
  }),
  judge: ({ nodes }) => {
    const old = nodes.flatMap(({ name, kernel: version }) => {
      const [row] = troubleWith('kernel', version);
      return row === undefined ? [] : [{ said: `${name} ${version}`, row }];
    });
    const [first] = old;
    if (first !== undefined) {
      return warn(
        `the kernel of ${old.length} of ${nodes.length} nodes ${first.row.says}: ${some(old.map(({ said }) => said))}`,
        {
          remedy: first.row.remedy,
        },
      );
    }
    const unknown = nodes.filter((node) => node.kernel === '');
    if (unknown.length > 0) {
      return warn(
        `${unknown.length} of ${nodes.length} nodes do not say which kernel they run: ${some(unknown.map(({ name }) => name))}`,
        {
          remedy: 'look with `uname -r`; kubelet reports it in the status of its node',
        },
      );
    }
    return pass(`${nodes.length} nodes run ${some([...new Set(nodes.map((node) => node.kernel))])}`);
  },
});
