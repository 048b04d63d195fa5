import { listed } from './evaluate.ts';
import type { Party, PolicyCluster, Protocol, SideVerdict } from './types.ts';

/** What to write, and where, so that the connection works under Calico: one sentence. */
export function remedyForCut(
  cluster: PolicyCluster,
  side: SideVerdict,
  from: Party,
  to: Party,
  protocol: Protocol,
  port: number,
): string {
  const [judged, other] = side.direction === 'egress' ? [from, to] : [to, from];
  const where = port === 0 ? protocol : `${protocol} ${port}`;
  const word = side.direction === 'egress' ? 'to' : 'from';
  if (side.selectedBy.length === 0) return 'set FELIX_DEFAULTENDPOINTTOHOSTACTION=ACCEPT on the calico-node DaemonSet';
  const rule = `an ${side.direction} rule ${word} ${peerOf(cluster, other)} for ${where}`;
  if (side.policy !== '')
    return `if it shall work, let a policy with a lower order than ${side.policy} have ${rule}, or take ${side.rule} out of it`;
  const namespace = judged.kind === 'pod' ? judged.pod.namespace : '';
  return `if it shall work, add ${rule} to ${listed(side.selectedBy)}${side.selectedBy.length > 1 ? ' (one of them is enough)' : ''}, or give ${namespace} a policy with it`;
}

export function remedyForDns(cluster: PolicyCluster, side: SideVerdict, policies: readonly string[]): string {
  const service = cluster.services.find(({ isDns }) => isDns);
  const backend = cluster.pods.find(({ ip }) => ip !== '' && service?.backends.some((each) => each.ip === ip));
  const port = service?.backends.find(({ servicePort }) => servicePort === 53)?.port ?? 53;
  const peer = backend === undefined ? 'the DNS pods' : peerOf(cluster, { kind: 'pod', pod: backend });
  if (side.direction === 'ingress')
    return `add an ingress rule for UDP and TCP ${port} from every namespace (namespaceSelector: {}) to ${listed(policies)}`;
  return `add an egress rule for UDP and TCP ${port} to ${peer} to ${listed(policies)}${policies.length > 1 ? ' (one of them is enough)' : ''}`;
}

/** `the pods app=web of namespace shop (namespaceSelector kubernetes.io/metadata.name=shop)`. */
function peerOf(cluster: PolicyCluster, party: Party): string {
  if (party.kind === 'address')
    return party.ip === '' ? 'the API server (an ipBlock with its address)' : `ipBlock ${party.ip}/32`;
  if (party.kind === 'host' || party.pod.hostNetwork) {
    const node = party.kind === 'host' ? party.node : cluster.nodes.find(({ name }) => name === party.pod.node);
    const addresses = [node?.ip, node?.tunnelIp].filter((ip) => ip !== undefined && ip !== '');
    return `the node (ipBlocks ${addresses.map((ip) => `${ip}/32`).join(' and ')}: packets of a host carry the address of its tunnel)`;
  }
  const { namespace, labels } = party.pod;
  return `the pods ${labelsOf(labels)} of namespace ${namespace}`;
}

const usual = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name'];
const changing = ['pod-template-hash', 'controller-revision-hash', 'pod-template-generation'];

/** The label that people select by, or the first that does not change with every roll-out. */
function labelsOf(labels: { [key: string]: string }): string {
  const key = usual.find((each) => each in labels) ?? Object.keys(labels).find((each) => !changing.includes(each));
  return key === undefined ? '(which have no label to select by)' : `${key}=${labels[key]}`;
}
