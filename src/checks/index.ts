import type { Check } from './define.ts';
import { bgpPorts } from './bgp/bgp-ports.ts';
import { bgpSessions } from './bgp/bgp-sessions.ts';
import { birdConfigRunning } from './bgp/bird-config-running.ts';
import { birdTakesNever } from './bgp/bird-takes-never.ts';
import { calicoVxlan } from './bgp/calico-vxlan.ts';
import { nodeAddresses } from './bgp/node-addresses.ts';
import { podPool } from './bgp/pod-pool.ts';
import { nodeRoutesExpected, routesExpected } from './bgp/routes-expected.ts';
import { allNodesCalico } from './cluster/all-nodes-calico.ts';
import { blockedWorkloads } from './cluster/blocked-workloads.ts';
import { budgets } from './cluster/budgets.ts';
import { calicoDataplane } from './cluster/calico-dataplane.ts';
import { calicoLeftovers } from './cluster/calico-leftovers.ts';
import { chainedPlugins } from './cluster/chained-plugins.ts';
import { controlPlane } from './cluster/control-plane.ts';
import { coredns } from './cluster/coredns.ts';
import { distribution } from './cluster/distribution.ts';
import { enoughNodes } from './cluster/enough-nodes.ts';
import { flannelOwner } from './cluster/flannel-owner.ts';
import { flannelVxlan } from './cluster/flannel-vxlan.ts';
import { kubeProxy } from './cluster/kube-proxy.ts';
import { loadBalancers } from './cluster/load-balancers.ts';
import { nodeChangers } from './cluster/node-changers.ts';
import { nodesReady } from './cluster/nodes-ready.ts';
import { otherNetworks } from './cluster/other-networks.ts';
import { podCidrs } from './cluster/pod-cidrs.ts';
import { podsWithoutOwner } from './cluster/pods-without-owner.ts';
import { singleStack } from './cluster/single-stack.ts';
import { spareCapacity } from './cluster/spare-capacity.ts';
import { versions } from './cluster/versions.ts';
import { webhooks } from './cluster/webhooks.ts';
import { linksCalico } from './links/links-calico.ts';
import { linksFlannel } from './links/links-flannel.ts';
import { routesCalico } from './links/routes-calico.ts';
import { routesFlannel } from './links/routes-flannel.ts';
import { agentCalico } from './node/agent-calico.ts';
import { clocks } from './node/clocks.ts';
import { freePorts } from './node/free-ports.ts';
import { imagesPresent } from './node/images-present.ts';
import { ipHeadroom } from './node/ip-headroom.ts';
import { iptablesBackends } from './node/iptables-backends.ts';
import { kernel } from './node/kernel.ts';
import { networkManagers } from './node/network-managers.ts';
import { nodeAccess } from './node/node-access.ts';
import { nodeLimits } from './node/node-limits.ts';
import { nodeTools } from './node/node-tools.ts';
import { sysctls } from './node/sysctls.ts';
import { underlayMtu } from './node/underlay-mtu.ts';
import { clusterMatrix } from './pod-network/cluster-matrix.ts';
import { continuity } from './pod-network/continuity.ts';
import { pathMtu } from './pod-network/path-mtu.ts';
import { podIdentity } from './pod-network/pod-identity.ts';
import { podMtu } from './pod-network/pod-mtu.ts';
import { podToPod } from './pod-network/pod-to-pod.ts';
import { transfer } from './pod-network/transfer.ts';
import { policyHazards } from './policy/policy-hazards.ts';
import { allNodesClean } from './residue/all-nodes-clean.ts';
import { foreignResidue } from './residue/foreign-residue.ts';
import { residueCalico } from './residue/residue-calico.ts';
import { residueFlannel } from './residue/residue-flannel.ts';
import { cniConf } from './runtime/cni-conf.ts';
import { runtimeLoadedCalico } from './runtime/runtime-loaded-calico.ts';
import { runtimeLoadedFlannel } from './runtime/runtime-loaded-flannel.ts';
import { runtimePaths } from './runtime/runtime-paths.ts';
import { wholeNodes } from './runtime/whole-nodes.ts';
import { capture } from './services/capture.ts';
import { affinity } from './services/affinity.ts';
import { conntrackDrops } from './services/conntrack-drops.ts';
import { apiServer } from './services/api-server.ts';
import { clusterIp } from './services/cluster-ip.ts';
import { dns } from './services/dns.ts';
import { egressSource } from './services/egress-source.ts';
import { hairpin } from './services/hairpin.ts';
import { hostPort } from './services/host-port.ts';
import { nodePort } from './services/node-port.ts';
import { hostNetworkPods } from './workloads/host-network-pods.ts';
import { hostPorts } from './workloads/host-ports.ts';
import { localTraffic } from './workloads/local-traffic.ts';
import { meshes } from './workloads/meshes.ts';
import { pinnedPods } from './workloads/pinned-pods.ts';
import { sessionAffinity } from './workloads/session-affinity.ts';
import { singleAttachVolumes } from './workloads/single-attach-volumes.ts';
import { spoofingPods } from './workloads/spoofing-pods.ts';

/** Every check there is, by layer. A new one is one file beside these and one line here. */
export const checks: readonly Check[] = [
  versions,
  controlPlane,
  distribution,
  nodesReady,
  enoughNodes,
  spareCapacity,
  nodeChangers,
  flannelVxlan,
  flannelOwner,
  podCidrs,
  singleStack,
  kubeProxy,
  chainedPlugins,
  otherNetworks,
  budgets,
  podsWithoutOwner,
  calicoLeftovers,
  calicoDataplane,
  coredns,
  webhooks,
  loadBalancers,
  localTraffic,
  sessionAffinity,
  hostPorts,
  hostNetworkPods,
  spoofingPods,
  meshes,
  pinnedPods,
  singleAttachVolumes,
  allNodesCalico,
  blockedWorkloads,
  nodeAccess,
  nodeTools,
  imagesPresent,
  kernel,
  clocks,
  sysctls,
  nodeLimits,
  ipHeadroom,
  freePorts,
  underlayMtu,
  iptablesBackends,
  networkManagers,
  agentCalico,
  wholeNodes,
  cniConf,
  runtimePaths,
  runtimeLoadedCalico,
  runtimeLoadedFlannel,
  linksCalico,
  linksFlannel,
  routesCalico,
  routesFlannel,
  calicoVxlan,
  bgpPorts,
  nodeAddresses,
  bgpSessions,
  birdConfigRunning,
  birdTakesNever,
  routesExpected,
  nodeRoutesExpected,
  podIdentity,
  podToPod,
  pathMtu,
  transfer,
  podMtu,
  podPool,
  clusterMatrix,
  continuity,
  dns,
  clusterIp,
  nodePort,
  hairpin,
  apiServer,
  hostPort,
  egressSource,
  affinity,
  conntrackDrops,
  capture,
  policyHazards,
  foreignResidue,
  residueFlannel,
  residueCalico,
  allNodesClean,
];

const byId = new Map(checks.map((check) => [check.id, check]));

export const findCheck = (id: string): Check | undefined => byId.get(id);
