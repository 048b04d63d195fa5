import { block, defineCheck, pass, some } from '../define.ts';

type Facts = {
  nodes: number;
  /** `worker-1: ssh: connect … refused`. */
  failed: string[];
  /** `worker-1: planned SHA256:… shows SHA256:…`. */
  otherKeys: string[];
};

/** Every node lets us in, shows the host key that the plan knows, and can be inspected: all later steps go this way. */
export const nodeAccess = defineCheck<Facts>({
  id: 'node-access',
  layer: 'node',
  title: 'Every node can be reached and read',
  scope: 'cluster',
  ask: async ({ inspectAll, planned, nodes }) => {
    const states = await inspectAll(planned);
    const reached = states.filter(({ state }) => state !== undefined).map(({ node }) => node);
    const keys = await Promise.all(reached.map(async (node) => ({ node, key: await nodes.hostKey(node.name) })));
    return {
      nodes: planned.length,
      failed: states.flatMap(({ node, error }) => (error === undefined ? [] : [`${node.name}: ${error}`])),
      otherKeys: keys
        .filter(({ node, key }) => node.fingerprint.hostKey !== '' && key !== node.fingerprint.hostKey)
        .map(({ node, key }) => `${node.name}: planned ${node.fingerprint.hostKey}, shows ${key}`),
    };
  },
  judge: ({ nodes, failed, otherKeys }) => {
    if (otherKeys.length > 0) {
      return block(
        `${otherKeys.length} of ${nodes} nodes show another SSH host key than when the plan was made: ${some(otherKeys)}`,
        {
          remedy:
            'find out why (a reinstalled node, or somebody in between); if it is right, update known_hosts and plan again',
        },
      );
    }
    if (failed.length > 0) {
      return block(`${failed.length} of ${nodes} nodes cannot be inspected: ${some(failed)}`, {
        remedy: failed.some((text) => text.includes('host key'))
          ? 'find out why a host key is another one (a reinstalled node, or somebody in between); if it is right, correct known_hosts'
          : 'try `ssh` with the same config and user, and `sudo -n true` there',
      });
    }
    return pass(`all ${nodes} nodes let us in, show the planned host key and answer`);
  },
});
