import type { CurlAnswer } from '../../probe/curl.ts';
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
    const [{ own, partners }, state] = await Promise.all([context.parties(node), context.inspect(node.name)]);
    const masquerade = state.subnetEnv['FLANNEL_IPMASQ'] !== 'false';
    const sources = await Promise.all(
      partners.flatMap((partner) => [
        seen(
          context.curl(own.pod, podUrl(context, partner.pod, '/clientip')),
          own.node,
          `pod on ${partner.node}`,
          own.pod.ip,
        ),
        seen(
          context.curl(partner.pod, podUrl(context, own.pod, '/clientip')),
          partner.node,
          `pod on ${own.node}`,
          partner.pod.ip,
        ),
        seen(
          context.curl(own.pod, `http://${partner.ip}:${context.ports.hostHttp}/clientip`),
          own.node,
          `node ${partner.node}`,
          masquerade ? own.ip : own.pod.ip,
        ),
      ]),
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

async function seen(asked: Promise<CurlAnswer>, from: string, to: string, expected: string) {
  const answer = await asked;
  // `10.244.1.5:43210`
  const source = answer.ok ? answer.body.replace(/:\d+$/, '') : '';
  const wrong = source === expected ? '' : `it is ${source}, and should be ${expected}`;
  return { from, to, expected, seen: source, error: answer.ok ? wrong : answer.error };
}
