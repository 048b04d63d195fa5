import { block, defineCheck, pass } from '../define.ts';

type Facts = {
  node: string;
  pod: string;
  /** Of eth0 in the probe pod, bytes; 0 when it does not say. */
  mtu: number;
  /** Of the link with the node's own address, bytes; 0 when none has it. */
  underlay: number;
};

/**
 * A pod of this node has the MTU of the node's own network: nothing is kept back for an encapsulation. A pod keeps the MTU that
 * it was made with, whatever the conf says later (§2.2 of the migration facts); whether such packets arrive is for `path-mtu`.
 */
export const podMtu = defineCheck<Facts>({
  id: 'pod-mtu',
  layer: 'pod-network',
  title: "Pods have the MTU of the node's own network",
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const [{ pod }, { uplink }] = await Promise.all([
      context.party(node),
      context.nodes.run(
        node.name,
        'survey',
        { address: node.fingerprint.internalIP, peers: '', bytes: 1500 },
        { token: context.token(), timeoutMs: 30_000, signal: context.signal },
      ),
    ]);
    const { stdout } = await context.exec(pod, ['cat', '/sys/class/net/eth0/mtu'], 10_000);
    return { node: node.name, pod: pod.name, mtu: Number.parseInt(stdout, 10) || 0, underlay: uplink.mtu };
  },
  judge: ({ node, pod, mtu, underlay }) => {
    if (underlay === 0)
      return block(`no link of ${node} has its InternalIP, so the MTU of its network is not known`, {
        remedy: 'find out which address the node speaks from, then plan again',
      });
    if (mtu === underlay) return pass(`${pod} has an MTU of ${mtu} bytes, as the network of ${node}`);
    return block(
      `${pod} has an MTU of ${mtu === 0 ? 'unknown size' : `${mtu} bytes`}, the network of ${node} one of ${underlay}`,
      {
        remedy:
          mtu > underlay
            ? `pods of ${node} lose full-size packets: give its link a greater MTU, or set veth_mtu in calico-config`
            : `look at "mtu" in /etc/cni/net.d/10-calico.conflist and at /var/lib/calico/mtu of ${node}; a pod gets it when it is made`,
      },
    );
  },
});
