import type { Check } from './define.ts';
import { allNodesCalico } from './cluster/all-nodes-calico.ts';
import { budgets } from './cluster/budgets.ts';
import { calicoLeftovers } from './cluster/calico-leftovers.ts';
import { enoughNodes } from './cluster/enough-nodes.ts';
import { flannelOwner } from './cluster/flannel-owner.ts';
import { flannelVxlan } from './cluster/flannel-vxlan.ts';
import { nodesReady } from './cluster/nodes-ready.ts';
import { podCidrs } from './cluster/pod-cidrs.ts';
import { podsWithoutOwner } from './cluster/pods-without-owner.ts';
import { singleStack } from './cluster/single-stack.ts';
import { linksCalico } from './links/links-calico.ts';
import { linksFlannel } from './links/links-flannel.ts';
import { routesCalico } from './links/routes-calico.ts';
import { routesFlannel } from './links/routes-flannel.ts';
import { agentCalico } from './node/agent-calico.ts';
import { imagesPresent } from './node/images-present.ts';
import { nodeAccess } from './node/node-access.ts';
import { nodeTools } from './node/node-tools.ts';
import { clusterMatrix } from './pod-network/cluster-matrix.ts';
import { pathMtu } from './pod-network/path-mtu.ts';
import { podIdentity } from './pod-network/pod-identity.ts';
import { podToPod } from './pod-network/pod-to-pod.ts';
import { policyHazards } from './policy/policy-hazards.ts';
import { allNodesClean } from './residue/all-nodes-clean.ts';
import { residueCalico } from './residue/residue-calico.ts';
import { residueFlannel } from './residue/residue-flannel.ts';
import { cniConf } from './runtime/cni-conf.ts';
import { runtimeLoadedCalico } from './runtime/runtime-loaded-calico.ts';
import { runtimeLoadedFlannel } from './runtime/runtime-loaded-flannel.ts';
import { wholeNodes } from './runtime/whole-nodes.ts';
import { clusterIp } from './services/cluster-ip.ts';
import { dns } from './services/dns.ts';
import { egressSource } from './services/egress-source.ts';
import { hostPort } from './services/host-port.ts';
import { nodePort } from './services/node-port.ts';

/** Every check there is, by layer. A new one is one file beside these and one line here. */
export const checks: readonly Check[] = [
  nodesReady,
  enoughNodes,
  flannelVxlan,
  flannelOwner,
  podCidrs,
  singleStack,
  budgets,
  podsWithoutOwner,
  calicoLeftovers,
  allNodesCalico,
  nodeAccess,
  nodeTools,
  imagesPresent,
  agentCalico,
  wholeNodes,
  cniConf,
  runtimeLoadedCalico,
  runtimeLoadedFlannel,
  linksCalico,
  linksFlannel,
  routesCalico,
  routesFlannel,
  podIdentity,
  podToPod,
  pathMtu,
  clusterMatrix,
  dns,
  clusterIp,
  nodePort,
  hostPort,
  egressSource,
  policyHazards,
  residueFlannel,
  residueCalico,
  allNodesClean,
];

const byId = new Map(checks.map((check) => [check.id, check]));

export const findCheck = (id: string): Check | undefined => byId.get(id);
