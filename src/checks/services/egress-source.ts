import type { CurlAnswer } from '../../probe/curl.ts';
import type { Asker, Parties } from '../asker.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { podUrl } from '../pod-network/paths.ts';

type Facts = {
  node: string;
  /** Whether traffic from pods to the outside gets the node's address; FLANNEL_IPMASQ of the node, true when unknown. */
  masquerade: boolean;
  sources: { from: string; to: string; expected: string; seen: string; error: string }[];
};

/**
 * Receivers see the source address that they saw before: the pod's own inside the cluster, the node's outside of it.
 * A leftover FLANNEL-POSTRTG hides pods behind node addresses, and every policy that names them fails (calico PR #12920).
 */
export const egressSource = defineCheck<Facts>({
  id: 'egress-source',
  layer: 'services',
  title: 'Source addresses are as before',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    // Side by side: what `inspect` says is needed to judge the answers, not to ask.
    const [state, answers] = await Promise.all([
      context.inspect(node.name),
      context.parties(node).then((parties) => askAll(context, parties)),
    ]);
    const masquerade = state.subnetEnv['FLANNEL_IPMASQ'] !== 'false';
    const sources = answers.map(({ answer, from, to, outside }) =>
      seen(answer, from.node, to, outside && masquerade ? from.ip : from.pod.ip),
    );
    return { node: node.name, masquerade, sources };
  },
  judge: ({ node, sources }) => {
    const failed = sources.filter((source) => source.error !== '');
    if (failed.length === 0)
      return pass(`${count(sources.length, 'receiver')} saw the right source address of pods to and from ${node}`);

    const wrong = failed.some((source) => source.seen !== '');
    return block(
      `${failed.length} of ${count(sources.length, 'receiver')} saw a wrong source address: ${some(failed.map(({ from, to, error }) => `pod on ${from} -> ${to}: ${error}`))}`,
      {
        remedy: wrong
          ? `on ${node} look for leftover FLANNEL-POSTRTG rules in both iptables backends, and at natOutgoing and cidr of the IPPool`
          : 'the packets do not arrive at all: see the check pod-to-pod',
      },
    );
  },
});

/** To and from a pod of each partner, and out of the pod network to its node. */
const askAll = (context: Asker, { own, partners }: Parties) =>
  Promise.all(
    partners
      .flatMap((partner) => [
        { from: own, to: `pod on ${partner.node}`, outside: false, at: podUrl(context, partner.pod, '/clientip') },
        { from: partner, to: `pod on ${own.node}`, outside: false, at: podUrl(context, own.pod, '/clientip') },
        {
          from: own,
          to: `node ${partner.node}`,
          outside: true,
          at: `http://${partner.ip}:${context.ports.hostHttp}/clientip`,
        },
      ])
      .map(async ({ at, ...way }) => ({ ...way, answer: await context.curl(way.from.pod, at) })),
  );

function seen(answer: CurlAnswer, from: string, to: string, expected: string) {
  // `10.244.1.5:43210`
  const source = answer.ok ? answer.body.replace(/:\d+$/, '') : '';
  const wrong = source === expected ? '' : `it is ${source}, and should be ${expected}`;
  return { from, to, expected, seen: source, error: answer.ok ? wrong : answer.error };
}
