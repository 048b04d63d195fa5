/**
 * What must hold before any route touches a cluster that runs Flannel or Calico, whatever it changes: its versions and owners,
 * room to move pods, workloads that need care, and nodes in order. A route adds what only it needs to know.
 */
export const everyRoute: readonly string[] = [
  'versions',
  'control-plane',
  'distribution',
  'nodes-ready',
  'enough-nodes',
  'spare-capacity',
  'node-changers',
  'kube-proxy',
  'chained-plugins',
  'other-networks',
  'calico-dataplane',
  'coredns',
  'webhooks',
  'load-balancers',
  'local-traffic',
  'session-affinity',
  'host-ports',
  'host-network-pods',
  'spoofing-pods',
  'meshes',
  'node-access',
  'node-tools',
  'kernel',
  'clocks',
  'sysctls',
  'node-limits',
  'free-ports',
  'underlay-mtu',
  'iptables-backends',
  'network-managers',
  'runtime-paths',
];

/** And where nodes are drained for it. */
export const drainingRoute: readonly string[] = [
  'budgets',
  'pods-without-owner',
  'pinned-pods',
  'single-attach-volumes',
];
