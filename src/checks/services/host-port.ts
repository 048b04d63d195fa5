import { block, count, defineCheck, pass, some } from '../define.ts';
import { named } from '../pod-network/paths.ts';

type Facts = {
  node: string;
  address: string;
  expected: string;
  asked: { from: string; answeredBy: string; error: string }[];
};

/**
 * The hostPort of the node leads to the node's own probe pod. WHO answers counts: an old portmap rule stays first and
 * wins, its target is gone or has become somebody else's address (§0a.24 of the migration facts).
 */
export const hostPort = defineCheck<Facts>({
  id: 'host-port',
  layer: 'services',
  title: 'The hostPort of this node leads to its own pod',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const { own, partners } = await context.parties(node);
    const address = `${own.ip}:${context.ports.hostPort}`;
    const asked = await Promise.all(
      partners.map(async (partner) => {
        const answer = await context.curl(partner.pod, `http://${address}/hostname`);
        return { from: partner.node, answeredBy: answer.body, error: named(answer, own.pod.name).error };
      }),
    );
    return { node: node.name, address, expected: own.pod.name, asked };
  },
  judge: ({ node, address, expected, asked }) => {
    const failed = asked.filter(({ error }) => error !== '');
    if (failed.length === 0)
      return pass(`${address} of ${node} leads to ${expected}, asked from ${count(asked.length, 'node')}`);

    const stranger = failed.find(({ answeredBy }) => answeredBy !== '');
    return block(
      `${address} of ${node} does not lead to ${expected}: ${some(failed.map(({ from, error }) => `from ${from}: ${error}`))}`,
      {
        remedy:
          stranger === undefined
            ? `on ${node} compare \`iptables-save -t nat | grep CNI-DN\` with the address of ${expected}: a chain of a pod that is gone comes first; delete it`
            : `traffic of this port reaches ${stranger.answeredBy}: on ${node} delete the stale CNI-DN chain that names its address (\`iptables-save -t nat | grep CNI-DN\`)`,
      },
    );
  },
});
