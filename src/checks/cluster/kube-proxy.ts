import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { contains, parseCidr, type Range } from '../cidr.ts';

type Facts = {
  /** Whether its configuration could be read. */
  found: boolean;
  mode: string;
  clusterCIDR: string;
  /** Of nodes: `worker-1 10.245.1.0/24`, outside of clusterCIDR. */
  outside: string[];
  nodes: number;
  /** `bgp.newPool` of the plan when it lies outside of clusterCIDR. */
  newPool: string;
};

const place = 'kube-system/kube-proxy';

/** kube-proxy is the one who makes Services, in a mode that was tried with both networks, and knows which addresses are pods'. */
export const kubeProxy = defineCheck<Facts>({
  id: 'kube-proxy',
  layer: 'cluster',
  title: 'kube-proxy works beside both networks',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects, stage }) => {
    const [config, nodes] = await Promise.all([
      kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'kube-proxy', namespace: 'kube-system' }),
      nodeObjects(),
    ]);
    const data = (config?.['data'] ?? {}) as { [file: string]: string };
    // kubeadm calls the file config.conf; others do not.
    const text =
      data['config.conf'] ?? Object.values(data).find((each) => each.includes('KubeProxyConfiguration')) ?? '';
    const clusterCIDR = settingOf(text, 'clusterCIDR');
    const ranges = clusterCIDR.split(',').flatMap((cidr) => parseCidr(cidr.trim()) ?? []);
    const isKnown = (range: Range | undefined): boolean =>
      range === undefined || ranges.length === 0 || ranges.some((outer) => contains(outer, range));
    const newPool = stage.bgp?.newPool?.cidr ?? '';
    return {
      found: text !== '',
      mode: settingOf(text, 'mode') || 'iptables',
      clusterCIDR,
      outside: nodes.flatMap((node) => {
        const podCIDR = String(node['spec']?.podCIDR ?? '');
        return isKnown(parseCidr(podCIDR)) ? [] : [`${node.metadata.name} ${podCIDR}`];
      }),
      nodes: nodes.length,
      newPool: isKnown(parseCidr(newPool)) ? '' : newPool,
    };
  },
  judge: ({ found, mode, clusterCIDR, outside, nodes, newPool }) => {
    if (outside.length > 0) {
      return block(
        `kube-proxy takes ${clusterCIDR} for the pods, and ${count(outside.length, 'node')} of ${nodes} lie outside of it: ${some(outside)}`,
        {
          remedy: `correct clusterCIDR in the ConfigMap ${place} and restart kube-proxy: it masquerades these pods today`,
        },
      );
    }
    if (!found) {
      return warn(`there is no configuration of kube-proxy in the ConfigMap ${place}`, {
        remedy:
          'find out who makes Services (another proxy, or kube-proxy with flags) and try the plan where nothing depends on it',
      });
    }
    if (newPool !== '') {
      return warn(
        `kube-proxy takes ${clusterCIDR} for the pods, and the new pool ${newPool} lies outside: what its pods send to a Service arrives with the address of their node, which policies take for a stranger`,
        {
          remedy: `in the ConfigMap ${place} set a clusterCIDR that holds both ranges, or detectLocalMode: InterfaceNamePrefix with \`cali\`; then restart kube-proxy`,
        },
      );
    }
    if (mode !== 'iptables') {
      return warn(`kube-proxy runs in the mode ${mode}; this route was measured with iptables`, {
        remedy:
          mode === 'ipvs'
            ? 'try the plan on a cluster like it first; ipvs is deprecated since Kubernetes 1.35 (KEP-5495)'
            : 'try the plan on a cluster like it first',
      });
    }
    return pass(`kube-proxy runs in the mode ${mode} and takes ${clusterCIDR || 'no range'} for the pods`);
  },
});

/** A top-level scalar of its YAML: one line, with or without quotes. */
const settingOf = (text: string, key: string): string =>
  new RegExp(`^${key}:[ \t]*["']?([^"'#\n]*?)["']?[ \t]*(?:#.*)?$`, 'm').exec(text)?.[1] ?? '';
