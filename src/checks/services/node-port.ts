import { block, defineCheck, pass, some } from '../define.ts';
import { serviceAnswers } from './service-answers.ts';

type Facts = {
  node: string;
  address: string;
  asked: number;
  /** Pods that answered. */
  answered: string[];
  /** `from worker-1: no answer in time`. */
  failures: string[];
};

/** Connections from each partner: unanswered SYNs of the dark window fail some and not all (§0a.23 of the migration facts). */
const connections = 4;

/** The NodePort of this node answers when other nodes ask, by a probe pod of any node. */
export const nodePort = defineCheck<Facts>({
  id: 'node-port',
  layer: 'services',
  title: 'The NodePort of this node answers',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const { own, partners } = await context.parties(node);
    const address = `${own.ip}:${context.ports.nodePort}`;
    const asked = await Promise.all(
      partners.map(async (partner) => ({
        partner,
        answers: await serviceAnswers(context, partner.pod, `http://${address}/hostname`, connections),
      })),
    );
    return {
      node: node.name,
      address,
      asked: partners.length * connections,
      answered: [...new Set(asked.flatMap(({ answers }) => answers.answered))],
      failures: asked.flatMap(({ partner, answers }) =>
        answers.errors.map((error) => `from ${partner.node}: ${error}`),
      ),
    };
  },
  judge: ({ node, address, asked, answered, failures }) => {
    if (failures.length === 0)
      return pass(
        `${asked} of ${asked} connections to ${address} of ${node} were answered, by ${answered.length} pods`,
      );

    const remedy =
      failures.length === asked
        ? "look at the routes of the node (a NodePort needs them to other nodes' pods), at kube-proxy there, and for a firewall on that port"
        : `unanswered connections of the dark window fail new ones for a minute or two: on ${node} \`conntrack -D -p tcp --state SYN_SENT\` for that port`;
    return block(
      `${failures.length} of ${asked} connections to ${address} of ${node} failed: ${some([...new Set(failures)])}`,
      { remedy },
    );
  },
});
