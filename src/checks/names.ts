/** Names that Flannel's and Calico's own manifests give to things. */
export const flannel = {
  namespace: 'kube-flannel',
  daemonSet: 'kube-flannel-ds',
  configMap: 'kube-flannel-cfg',
  /** Of node annotations: backend-type, backend-data, public-ip, kube-subnet-manager. */
  annotations: 'flannel.alpha.coreos.com/',
  network: 'cbr0',
  conf: '10-flannel.conflist',
  link: 'flannel.1',
  bridge: 'cni0',
} as const;

export const calico = {
  namespace: 'kube-system',
  daemonSet: 'calico-node',
  configMap: 'calico-config',
  podSelector: 'k8s-app=calico-node',
  network: 'k8s-pod-network',
  conf: '10-calico.conflist',
  link: 'vxlan.calico',
  /** Host side of a pod's veth. */
  podLink: 'cali',
  /** Felix marks its routes with this protocol number; `ip route` prints the number (§0a.2 of the migration facts). */
  routeProtocol: '80',
} as const;

/** Both networks have to speak the same VXLAN, or neither hears the other (§2.1 of the migration facts). */
export const sharedVxlan = { vni: 1, port: 8472 } as const;

export const taints = {
  networkUnavailable: 'node.kubernetes.io/network-unavailable',
  notReady: 'node.kubernetes.io/not-ready',
} as const;
