import type { Lab } from './harness.ts';
import { nodeNames } from './harness.ts';

/**
 * What a node is made of, as text: confs byte for byte, links, routes, rules, packet filters, sysctls. Names and addresses of
 * pods are new after every move and are left out; so are the chains that kube-proxy and portmap write for them.
 */
const script = `
export LC_ALL=C
section() { printf '== %s\\n' "$1"; }
section confs; cd /etc/cni/net.d; for file in *; do [ -f "$file" ] && sha256sum "$file"; done
section links; ip -d -o link show | sed -E 's/^[0-9]+: //; s/ qlen [0-9]+//; s/ state [A-Z]+//' | grep -vE '^(veth|cali|cni0)' | awk '{ print }' | sed -E 's/ numtxqueues.*//; s/@if[0-9]+//' | sort
section cni0; ip -o link show cni0 2>/dev/null | sed -E 's/^[0-9]+: //; s/ link.*//'
section routes; ip route show table all | grep -vE 'dev (veth|cali)|fe80:.* dev cni0' | sort
section rules; ip rule show; ip -6 rule show
section filters; for tool in iptables-nft-save ip6tables-nft-save; do $tool 2>/dev/null | sed -E 's/\\[[0-9]+:[0-9]+\\]//; s/ +$//' | grep -vE '^#|KUBE-|CNI-'; done
section legacy; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | sort -u
section nft; nft list tables | sort
section ipsets; ipset list -n | sort
section sysctls; for key in all eth0 default; do for name in rp_filter forwarding; do printf '%s.%s=%s\\n' $key $name "$(cat /proc/sys/net/ipv4/conf/$key/$name)"; done; done
section subnet; cat /run/flannel/subnet.env
section binaries; ls /opt/cni/bin
section services; systemctl is-active kubelet containerd sshd
section own; ls /var/lib/cutover 2>/dev/null; systemctl list-timers --all --no-legend | grep cutover
:
`;

/** What a rollback has to bring back, for every node by name. */
export async function whatIsFound(lab: Lab): Promise<Record<string, unknown>> {
  const entries = await Promise.all(
    nodeNames.map(async (name) => {
      const node = await lab.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name });
      const { labels, annotations = {} } = node!.metadata;
      return [
        name,
        {
          machine: (await lab.onNode(name, script)).split('\n'),
          labels,
          annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => !/volumes|ttl/.test(key))),
          taints: node!['spec'].taints,
          unschedulable: node!['spec'].unschedulable,
          podCIDR: node!['spec'].podCIDR,
          conditions: node!['status'].conditions
            .map(({ type, status, reason }: Record<string, string>) => `${type} ${status} ${reason}`)
            .toSorted(),
        },
      ] as const;
    }),
  );
  return Object.fromEntries(entries);
}
