import { felixRules, flannelRules } from '../../src/simulator/cni/rules.ts';
import type { SimRule } from '../../src/simulator/types.ts';
import type { Given, GivenSandbox } from './host.ts';

/** States of nodes and their pieces, as the cases put them together. */

export const token = 1000;
export const confDir = '/etc/cni/net.d';
export const flannelConf =
  '{\n  "name": "cbr0",\n  "cniVersion": "0.3.1",\n  "plugins": [\n    { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },\n    { "type": "portmap", "capabilities": { "portMappings": true } }\n  ]\n}\n';
export const calicoConf =
  '{\n  "name": "k8s-pod-network",\n  "cniVersion": "0.3.1",\n  "plugins": [{ "type": "calico", "log_level": "info" }]\n}\n';
export const fenceConf = '{"cniVersion":"0.3.1","name":"cutover-fence","plugins":[{"type":"cutover-fence"}]}\n';
export const subnetEnv =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

export const flannelFiles = {
  [`${confDir}/10-flannel.conflist`]: flannelConf,
  '/run/flannel/subnet.env': subnetEnv,
  '/opt/cni/bin/flannel': 'ELF',
};
export const fenced = { ...flannelFiles, [`${confDir}/10-calico.conflist`]: fenceConf };
export const onCalico = {
  ...flannelFiles,
  [`${confDir}/10-calico.conflist`]: calicoConf,
  [`${confDir}/calico-kubeconfig`]: 'apiVersion: v1\n',
};

export const rule = (
  table: SimRule['table'],
  chain: string,
  text: string,
  backend: SimRule['backend'] = 'nft',
  family: SimRule['family'] = 'ip',
): SimRule => ({ backend, family, table, chain, text });

/** Of kubelet, kube-proxy, a person, and a Service that is called `cali-shop`: no verb may touch any of it. */
export const foreign: SimRule[] = [
  rule('filter', 'INPUT', '-j KUBE-FIREWALL'),
  rule('filter', 'INPUT', '-p tcp -m tcp --dport 22 -j ACCEPT'),
  rule('filter', 'FORWARD', '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'),
  rule('nat', 'PREROUTING', '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'),
  rule(
    'nat',
    'KUBE-SERVICES',
    '-d 10.96.0.77/32 -p tcp -m comment --comment "default/cali-shop:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-ABCDEF',
  ),
  rule('nat', 'KUBE-SVC-ABCDEF', '-m comment --comment "default/cali:http FLANNEL-like" -j RETURN'),
  rule('nat', 'POSTROUTING', '-s 198.51.100.0/24 -m comment --comment "our own $(reboot) `rule`" -j MASQUERADE'),
];
export const foreignLegacy: SimRule[] = [rule('nat', 'POSTROUTING', '-s 203.0.113.0/24 -j MASQUERADE', 'legacy')];
export const printed = (rules: SimRule[]) =>
  rules.map(({ backend, family, table, chain, text }) => `${backend} ${family} ${table} ${chain} ${text}`).sort();

export const flannel = flannelRules('nft', '10.244.0.0/16', '10.244.1.0/24').map((each) => ({
  ...each,
  text: each.text.replace(/(-m mark .*?) (-m comment .*?) /, '$1 $2 '),
}));
export const flannelLegacy = flannelRules('legacy', '10.244.0.0/16', '10.244.1.0/24');
export const flannel6: SimRule[] = [
  rule('nat', 'POSTROUTING', '-m comment --comment "flanneld masq" -j FLANNEL-POSTRTG', 'nft', 'ip6'),
  rule('nat', 'FLANNEL-POSTRTG', '-j RETURN', 'nft', 'ip6'),
];
export const felix = (({ front, back }) => [...front, ...back])(felixRules('nft', true, 8472));
export const felixLegacy = (({ front, back }) => [...front, ...back])(felixRules('legacy', false, 8472)).filter(
  ({ text }) => !text.includes('match-set'),
);
export const ipsets = ['cali40all-ipam-pools', 'cali40masq-ipam-pools', 'cali40all-vxlan-net'];

export const pods = (cni: 'cbr0' | 'k8s-pod-network'): GivenSandbox[] => [
  {
    id: 'aaa1',
    pod: 'shop/web-1',
    network: 'POD',
    cni,
    ...(cni === 'cbr0' ? { lease: '10.244.1.2', link: 'veth0000aaa1' } : { link: 'cali0000aaa1' }),
  },
  {
    id: 'aaa2',
    pod: 'kube-system/coredns-2',
    network: 'POD',
    cni,
    ...(cni === 'cbr0' ? { lease: '10.244.1.3', link: 'veth0000aaa2' } : { link: 'cali0000aaa2' }),
  },
];
export const hostPods: GivenSandbox[] = [
  { id: 'bbb1', pod: 'kube-system/etcd-worker-1', network: 'NODE', container: 'etcd' },
];

export const flannelNode: Given = {
  files: flannelFiles,
  links: [
    { name: 'flannel.1', kind: 'vxlan' },
    { name: 'cni0', kind: 'bridge' },
  ],
  rules: [...foreign, ...flannel],
  sandboxes: [...pods('cbr0'), ...hostPods],
};
export const purgedNode: Given = {
  ...flannelNode,
  files: {
    ...fenced,
    '/var/lib/cni/networks/cbr0/last_reserved_ip.0': '10.244.1.3',
    '/var/lib/cni/networks/cbr0/10.244.1.9': 'gone\r\neth0',
  },
  sandboxes: hostPods,
  kubelet: 'inactive',
};
export const calicoResidue: Given = {
  files: fenced,
  links: [
    { name: 'vxlan.calico', kind: 'vxlan' },
    { name: 'cali0123456789a', kind: 'veth' },
    { name: 'california0', kind: 'veth' },
  ],
  routes: [
    { dst: '10.244.1.0/26', type: 'blackhole', proto: '80' },
    { dst: '10.244.1.64/26', type: 'blackhole', proto: '80' },
    { dst: '10.244.2.0/26', type: 'unicast', proto: '80' },
    { dst: '10.244.1.128/26', type: 'blackhole', proto: 'bird' },
    { dst: '198.51.100.0/24', type: 'blackhole', proto: 'static' },
  ],
  rules: [...foreign, ...felix],
  ipsets: [...ipsets, 'people'],
  sandboxes: hostPods,
};
