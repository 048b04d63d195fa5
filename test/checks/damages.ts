import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import type { NodeState } from '../../src/node/types.ts';
import type { PlannedNode } from '../../src/plan/types.ts';
import { probeName } from '../../src/probe/manifests.ts';
import { partnerOrder } from '../../src/probe/peers.ts';
import { isReady } from '../../src/probe/pods.ts';
import type { SimRule } from '../../src/simulator/types.ts';
import { until } from '../support/until.ts';
import { probe } from './probe.ts';

/** What can be broken, and how it comes about in real clusters. Each target breaks the same thing in its own way. */
export const damages = {
  'felix-blackholes': 'Felix was here: its blackhole routes for the blocks of the node stayed (§0a.2)',
  'felix-rule': 'one of the two rules of Felix that name no cali chain stayed (§0a.3)',
  'overlay-port-dropped': 'a firewall drops UDP 8472 in both directions',
  'bgp-port-dropped': 'a firewall drops TCP 179 in both directions',
  'mtu-hole': 'the way between nodes loses VXLAN packets of more than 1480 bytes in silence',
  'flannel-link-deleted': 'somebody deleted flannel.1, and flanneld brought it back bare (§0a.5)',
  'route-missing': 'the route to the first partner of the node is gone',
  'vtep-mac-changed': 'flannel.1 has another MAC than the other nodes send to',
  'service-dropped': "a firewall drops the ClusterIP and the NodePort of the probes' Service",
  'dns-dropped': 'a firewall drops what pods of the node send to port 53',
  'masquerade-skipped': 'an earlier rule accepts what Flannel would masquerade',
  'pods-hidden': 'a leftover rule masquerades pods on their way to other pods',
  'stale-host-port': "an old portmap chain has the probe's hostPort, and its address is somebody else's (§0a.24)",
  'leftover-conf': "a conf that comes before Flannel's by name",
  'kubelet-stopped': 'kubelet does not run',
  'ssh-refused': 'sshd does not run',
  'host-key-changed': 'the node shows another SSH host key',
  cordoned: 'somebody cordoned the node',
  'budget-never-yields': 'a budget wants every pod healthy',
  'dormant-policy': 'a NetworkPolicy that Flannel never enforced',
  'sticky-service': "a Service that binds clients to one pod, and is answered by a node's own pods only",
  'dead-webhook': 'a webhook that must answer for pods, and has nobody behind it',
  'foreign-agents': 'DaemonSets of a third network, of a chained plugin and of a reboot daemon, on no node yet',
} as const satisfies Record<string, string>;

export type Damage = keyof typeof damages;

/** Undoes a damage; resolves when the node is as it was. */
export type Mend = () => Promise<void>;

/** Where a damage is done, and what it may need to know. */
export interface Site {
  node: string;
  kubernetes: KubernetesClient;
  planned: readonly PlannedNode[];
  inspect(node: string): Promise<NodeState>;
}

export type Rule = Pick<SimRule, 'table' | 'chain' | 'text'>;

/** Owned by nobody who is left, as a leaked chain of portmap is. */
export const staleChain = 'CNI-DN-0f5ta1e0f5ta1e0f5ta1e';
export const leftoverConf = {
  path: '/etc/cni/net.d/05-cilium.conflist',
  network: 'cilium',
  content: '{"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni"}]}',
};
export const otherMac = '02:00:5e:00:53:01';

const podNetwork = '10.244.0.0/16';
const vxlan = '-p udp -m udp --dport 8472';

/**
 * The damages that are rules of iptables, in front of all others of their chain; the same text on a real node and on a
 * simulated one. They drop in mangle, which sees addresses as the sender wrote them and is there on every node (kubelet's).
 */
export async function rulesOf(damage: Damage, site: Site): Promise<Rule[] | undefined> {
  const { podCIDR } = plannedNode(site).fingerprint;
  const drop = (chain: string, match: string): Rule => ({ table: 'mangle', chain, text: `${match} -j DROP` });
  switch (damage) {
    case 'overlay-port-dropped':
      return [drop('PREROUTING', vxlan), drop('OUTPUT', vxlan)];
    case 'bgp-port-dropped': {
      const bgp = '-p tcp -m tcp --dport 179';
      return [drop('PREROUTING', bgp), drop('OUTPUT', bgp)];
    }
    case 'mtu-hole': {
      const large = `${vxlan} -m length --length 1481:65535`;
      return [drop('PREROUTING', large), drop('OUTPUT', large)];
    }
    case 'service-dropped': {
      const service = `-d ${await serviceAddress(site)}/32`;
      const nodePort = `-p tcp -m tcp --dport ${probe.nodePort}`;
      return [drop('PREROUTING', service), drop('OUTPUT', service), drop('PREROUTING', nodePort)];
    }
    case 'dns-dropped':
      return ['udp', 'tcp'].map((protocol) =>
        drop('PREROUTING', `-s ${podCIDR} -p ${protocol} -m ${protocol} --dport 53`),
      );
    case 'masquerade-skipped':
      return [{ table: 'nat', chain: 'POSTROUTING', text: `-s ${podCIDR} ! -d ${podNetwork} -j ACCEPT` }];
    case 'pods-hidden':
      return [{ table: 'nat', chain: 'POSTROUTING', text: `-s ${podCIDR} -d ${podNetwork} -j MASQUERADE` }];
    case 'stale-host-port': {
      const port = String(probe.hostPort);
      const target = `-p tcp -m tcp --dport ${port} -j DNAT --to-destination ${await strangerAddress(site)}:8080`;
      const name = String.raw`-m comment --comment "dnat name: \"cbr0\" id: \"gone\""`;
      return [
        { table: 'nat', chain: staleChain, text: target },
        {
          table: 'nat',
          chain: 'CNI-HOSTPORT-DNAT',
          text: `-p tcp ${name} -m multiport --dports ${port} -j ${staleChain}`,
        },
      ];
    }
    case 'felix-rule': {
      const comment = '-m comment --comment "cali:Cp6Y2sBQz9zNn0kE"';
      return [{ table: 'filter', chain: 'FORWARD', text: `${comment} -m mark --mark 0x10000/0x10000 -j ACCEPT` }];
    }
    default:
      return undefined;
  }
}

/** The damages that are objects of the cluster: nothing differs between targets. */
export async function damageObjects(damage: Damage, { node, kubernetes }: Site): Promise<Mend | undefined> {
  const create = async (object: Parameters<KubernetesClient['apply']>[0] & { metadata: { name: string } }) => {
    await kubernetes.apply(object);
    const { apiVersion, kind } = object;
    return async () => {
      await kubernetes.delete({ apiVersion, kind, namespace: 'default', name: object.metadata.name });
    };
  };
  const web = { matchLabels: { app: 'web' } };
  /** Labels that nothing has. */
  const nowhere = { 'cutover.dev/nowhere': 'true' };
  switch (damage) {
    case 'cordoned': {
      const ref = { apiVersion: 'v1', kind: 'Node', name: node };
      await kubernetes.mergePatch(ref, { spec: { unschedulable: true } });
      return async () => void (await kubernetes.mergePatch(ref, { spec: { unschedulable: null } }));
    }
    case 'dormant-policy':
      return create({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'dormant', namespace: 'default' },
        spec: { podSelector: web, policyTypes: ['Ingress', 'Egress'] },
      });
    case 'sticky-service':
      return create({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'sticky', namespace: 'default' },
        spec: {
          selector: web.matchLabels,
          sessionAffinity: 'ClientIP',
          internalTrafficPolicy: 'Local',
          ports: [{ port: 80, targetPort: 8080 }],
        },
      });
    case 'dead-webhook':
      return create({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingWebhookConfiguration',
        metadata: { name: 'dead' },
        webhooks: [
          {
            name: 'pods.dead.example',
            clientConfig: { service: { namespace: 'default', name: 'nobody' } },
            rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
            // Concerns no pod that exists, so that it harms none.
            objectSelector: { matchLabels: nowhere },
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
          },
        ],
      });
    case 'foreign-agents': {
      const images = {
        kured: 'ghcr.io/kubereboot/kured:1.16.0',
        'kube-multus-ds': 'ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.0',
        cilium: 'quay.io/cilium/cilium:v1.18.0',
      };
      const mends: Mend[] = [];
      for (const [name, image] of Object.entries(images))
        mends.push(
          await create({
            apiVersion: 'apps/v1',
            kind: 'DaemonSet',
            metadata: { name, namespace: 'default' },
            spec: {
              selector: { matchLabels: { app: name } },
              template: {
                metadata: { labels: { app: name } },
                spec: { nodeSelector: nowhere, containers: [{ name: 'main', image }] },
              },
            },
          }),
        );
      return async () => {
        for (const mend of mends) await mend();
      };
    }
    case 'budget-never-yields': {
      const mend = await create({
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'never', namespace: 'default' },
        spec: { minAvailable: '100%', selector: web },
      });
      const ref = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', namespace: 'default', name: 'never' };
      await until(async () => (await kubernetes.get(ref))?.['status']?.expectedPods > 0, 'the budget is counted');
      return mend;
    }
    default:
      return undefined;
  }
}

/** Ends the Flannel pod of a node and waits for what its successor writes last: the routes to all other nodes. */
export async function restartFlannel({ node, kubernetes, planned, inspect }: Site): Promise<void> {
  const agents = () =>
    kubernetes.list(
      { apiVersion: 'v1', kind: 'Pod' },
      { namespace: 'kube-flannel', labelSelector: 'app=flannel', fieldSelector: `spec.nodeName=${node}` },
    );
  const before = await agents();
  for (const { metadata } of before)
    await kubernetes.delete({ apiVersion: 'v1', kind: 'Pod', namespace: 'kube-flannel', name: metadata.name });
  const old = new Set(before.map(({ metadata }) => metadata.uid));
  await until(
    async () => (await agents()).some((pod) => !old.has(pod.metadata.uid) && isReady(pod)),
    `another Flannel pod runs on ${node}`,
    120_000,
  );
  await until(
    async () => (await inspect(node)).routes.filter(({ dev }) => dev === 'flannel.1').length >= planned.length - 1,
    `flannel.1 of ${node} has its routes`,
    60_000,
  );
}

export function plannedNode({ node, planned }: Pick<Site, 'node' | 'planned'>): PlannedNode {
  return planned.find(({ name }) => name === node)!;
}

/** Whom the checks of a node ask first. */
export const firstPartner = (site: Site): PlannedNode => partnerOrder(plannedNode(site), site.planned)[0]!;

async function serviceAddress({ kubernetes }: Site): Promise<string> {
  const { namespace } = probe;
  const service = await kubernetes.get({ apiVersion: 'v1', kind: 'Service', namespace, name: probeName });
  return String(service!['spec'].clusterIP);
}

/** Of a probe pod on a node that takes no part in the checks of this one. */
async function strangerAddress(site: Site): Promise<string> {
  const { name } = partnerOrder(plannedNode(site), site.planned).at(-1)!;
  const [pod] = await site.kubernetes.list(
    { apiVersion: 'v1', kind: 'Pod' },
    { namespace: probe.namespace, labelSelector: `app=${probeName}`, fieldSelector: `spec.nodeName=${name}` },
  );
  return String(pod!['status'].podIP);
}
