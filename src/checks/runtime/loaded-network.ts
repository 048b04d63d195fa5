import { block, defineCheck, pass } from '../define.ts';
import type { NodeCheckSpec } from '../define.ts';

type Facts = {
  node: string;
  expected: string;
  loaded: string[];
  /** Files of /etc/cni/net.d in order: `10-calico.conflist (k8s-pod-network)`. */
  confs: string[];
};

/**
 * The container runtime of the node has loaded exactly one network, the expected one. Its status field says OK in every
 * case, so names are compared (§0a.11 of the migration facts).
 */
export const loadedNetwork = (id: string, title: string, expected: string): NodeCheckSpec<Facts> =>
  defineCheck<Facts>({
    id,
    layer: 'runtime',
    title,
    scope: 'node',
    patient: true,
    ask: async ({ inspect }, { name }) => {
      const state = await inspect(name);
      return {
        node: name,
        expected,
        loaded: state.loadedNetworks,
        confs: state.confs.map((conf) => `${conf.name} (${conf.network})`),
      };
    },
    judge: ({ node, loaded, confs }) => {
      const has = loaded.length === 0 ? 'no network' : loaded.join(' and ');
      if (loaded.length !== 1 || loaded[0] !== expected) {
        return block(
          `the runtime of ${node} has loaded ${has}, not ${expected}; its confs: ${confs.join(', ') || 'none'}`,
          {
            remedy: `the first conf by name has to be the one of ${expected}: write it again in place (a file that is moved in is not noticed), or restart containerd, which leaves pods running`,
          },
        );
      }
      return pass(`the runtime of ${node} has loaded ${expected}`);
    },
  });
