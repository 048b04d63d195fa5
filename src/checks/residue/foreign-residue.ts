import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { calico } from '../names.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = { nodes: number; left: string[]; unknown: string[] };

/** Links that networks make: of those that run on neither side of this change. */
const foreignLinks =
  /^(cilium_.*|lxc.*|weave|vxlan-6784|kube-bridge|kube-dummy-if|antrea-gw0|ovn-k8s-mp0|genev_sys_6081)$/;

/** Nothing is left of a network that does not run: its rules still act, and its links hold ports and addresses. */
export const foreignResidue = defineCheck<Facts>({
  id: 'foreign-residue',
  layer: 'residue',
  title: 'Nothing is left of a network that does not run',
  scope: 'cluster',
  ask: async ({ inspectAll, planned, surveyAll }) => {
    const moving = planned.filter((node) => !node.adopted);
    const [states, surveyed] = await Promise.all([inspectAll(planned), surveyAll()]);
    const own = new Map(states.map(({ node, state }) => [node.name, state]));
    const names = new Set(moving.map(({ name }) => name));
    const ofMoving = surveyed.filter(({ node }) => names.has(node.name));
    return {
      nodes: ofMoving.length,
      left: saying(ofMoving, ({ otherRules }, node) => {
        const state = own.get(node.name);
        const links = (state?.links ?? []).map(({ name }) => name);
        const calicoRules = (state?.rules ?? []).reduce((sum, rules) => sum + rules.calico, 0);
        return [
          ...links.filter((name) => foreignLinks.test(name) || name === calico.link).map((name) => `link ${name}`),
          ...(calicoRules > 0 ? [`${count(calicoRules, 'rule')} of Calico`] : []),
          ...otherRules.map(({ network, rules }) => `${count(rules, 'rule')} of ${network}`),
        ].join(', ');
      }),
      unknown: unasked(ofMoving),
    };
  },
  judge: ({ nodes, left, unknown }) => {
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (left.length > 0) {
      return warn(
        `a network that does not run left things on ${count(left.length, 'node')} of ${nodes}: ${some(left)}`,
        {
          remedy: 'remove them before the node has its turn (a reboot does, when no conf of that network is left)',
        },
      );
    }
    return pass(`nothing of another network is left on ${nodes} nodes`);
  },
});
