import { block, count, defineCheck, pass, some } from '../define.ts';
import { askBirds } from './bird.ts';

type Facts = {
  nodes: number;
  silent: string[];
  /** `worker-1: bird_ipam.cfg, line 12: You may set only variables.`. */
  refused: string[];
  /** Rendered after what runs was loaded: `worker-1: 40 s`. */
  behind: string[];
};

/** BIRD loads within a second; its times are whole seconds. */
const slackSeconds = 2;

/**
 * BIRD runs what confd rendered. BIRD can refuse a configuration, keep the old one, and show every session Established with
 * complete routes: the flip to Never then black-holed a cluster for 86 s (§0a.8 of the migration facts). Two proofs: BIRD
 * would take what is rendered now, and it was reconfigured after the last rendering.
 */
export const birdConfigRunning = defineCheck<Facts>({
  id: 'bird-config-running',
  layer: 'bgp',
  title: 'BIRD runs the configuration that was rendered',
  scope: 'cluster',
  patient: true,
  ask: async (context) => {
    const birds = await askBirds(context, await context.nodeNames());
    const asked = birds.filter(({ error }) => error === '');
    return {
      nodes: birds.length,
      silent: birds.filter(({ error }) => error !== '').map(({ node, error }) => `${node}: ${error}`),
      refused: asked.filter(({ refused }) => refused !== '').map(({ node, refused }) => `${node}: ${refused}`),
      behind: asked
        .filter(({ renderedAt, loadedAt }) => renderedAt > loadedAt + slackSeconds)
        .map(({ node, renderedAt, loadedAt }) => `${node}: rendered ${renderedAt - loadedAt} s after what runs`),
    };
  },
  judge: ({ nodes, silent, refused, behind }) => {
    if (refused.length > 0)
      return block(
        `BIRD refuses the rendered configuration on ${count(refused.length, 'node')} and keeps an older one: ${some(refused)}`,
        {
          remedy:
            "correct the template or the BGPFilter that the line comes from; this BIRD may be older than Calico's own (Debian's 1.6.8 refuses krt_tunnel)",
        },
      );
    if (silent.length > 0)
      return block(`BIRD cannot be asked on ${count(silent.length, 'node')}: ${some(silent)}`, {
        remedy: 'look at the log of calico-node on these nodes, and whether calico_backend is bird',
      });
    if (behind.length > 0)
      return block(
        `BIRD runs an older configuration than the rendered one on ${count(behind.length, 'node')}: ${some(behind)}`,
        {
          remedy: 'look at the log of BIRD and confd there; `birdcl configure` loads what is rendered',
        },
      );
    return pass(`BIRD runs what confd rendered on all ${nodes} nodes`);
  },
});
