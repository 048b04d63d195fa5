import { nodes, type LabNode } from '../settings.ts';

/** What Flannel, or a way from it, can leave on a node; one line a find. Asked of both ways alike. */
const script = `
ip -br link | awk '$1 ~ /^(flannel|cni0)/ { print "link " $1 }'
iptables-nft-save 2>/dev/null | grep -c FLANNEL | awk '$1 > 0 { print $1 " lines of FLANNEL rules" }'
ls /var/lib/cni/networks/cbr0 2>/dev/null | grep -cE '^[0-9.]+$' | awk '$1 > 0 { print $1 " leases of cbr0" }'
ls /var/lib/cni/flannel 2>/dev/null | wc -l | awk '$1 > 0 { print $1 " files in /var/lib/cni/flannel" }'
ls /var/lib/cni/results 2>/dev/null | grep -c '^cbr0-' | awk '$1 > 0 { print $1 " results of cbr0" }'
ls /etc/cni/net.d | grep -vE '^(10-calico.conflist|calico-kubeconfig)$' | sed 's/^/conf /'
[ -e /run/flannel/subnet.env ] && echo /run/flannel/subnet.env
[ -e /opt/cni/bin/flannel ] && echo /opt/cni/bin/flannel
iptables-nft-save -t nat 2>/dev/null | grep -E '^-A CNI-HOSTPORT-DNAT' | sed -E 's/.*name: "([^"]*)".*/\\1/; s/.*comment "([^"]*)".*/\\1/' | grep -c cbr0 | awk '$1 > 0 { print $1 " hostPort chains of cbr0" }'
:
`;

export async function residueOf(run: (node: LabNode, script: string) => Promise<string>): Promise<string[]> {
  const found = await Promise.all(
    nodes.map(async (node) =>
      (await run(node, script))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => `${node.name}: ${line}`),
    ),
  );
  return found.flat();
}
