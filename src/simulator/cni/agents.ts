import type { NodeControl } from '../node/sim-node.ts';
import type { KubernetesObject, ObjectStore, SimRule } from '../types.ts';
import type { Agent, AgentHost } from './agent.ts';
import type { Bgp } from './bgp.ts';
import { startCalico } from './calico-agent.ts';
import { forbiddenAtStart } from './calico-rbac.ts';
import { startFlannel } from './flannel-agent.ts';

export type AgentKind = 'flannel' | 'calico';

interface Container {
  name: string;
  image?: string;
  env?: {
    name: string;
    value?: string;
    valueFrom?: { configMapKeyRef?: { name: string; key: string } };
  }[];
}

/** Which CNI's agent a pod is: told by its labels and its images, as a person would tell it. */
export function agentKind({ metadata, spec }: KubernetesObject): AgentKind | undefined {
  if (spec?.hostNetwork !== true) return undefined;
  const labels = metadata.labels ?? {};
  const images = ((spec.containers ?? []) as Container[]).map(({ image = '' }) => image).join(' ');
  if (labels['k8s-app'] === 'calico-node' && images.includes('calico')) return 'calico';
  if ((labels['app'] === 'flannel' || labels['k8s-app'] === 'flannel') && images.includes('flannel')) return 'flannel';
  return undefined;
}

/** Starts the main container of an agent's pod. */
export function startAgent(
  kind: AgentKind,
  host: AgentHost,
  pod: KubernetesObject,
  backend: SimRule['backend'],
  bgp?: Bgp,
): Agent {
  if (kind === 'calico') {
    installIfNobodyDid(pod, () => installCalico(host.node, host.store, pod));
    const [main] = pod['spec'].containers as Container[];
    return startCalico(host, {
      backend,
      forbidden: () => forbiddenAtStart(host.store, pod),
      networking: setting(host.store, pod, main, 'CALICO_NETWORKING_BACKEND'),
      birdReady: JSON.stringify(pod['spec'].containers[0].readinessProbe ?? {}).includes('-bird-ready'),
      ...(bgp === undefined ? {} : { bgp }),
    });
  }
  installIfNobodyDid(pod, () => {
    host.node.write('/opt/cni/bin/flannel', 'ELF');
    installFlannelConf(host.node, host.store, pod);
  });
  return startFlannel(host, { podNamespace: pod.metadata.namespace ?? '', backend });
}

/** A variable of a container, as kubelet resolves it when the container starts. */
function setting(store: ObjectStore, pod: KubernetesObject, container: Container | undefined, name: string): string {
  const found = container?.env?.find((each) => each.name === name);
  const ref = found?.valueFrom?.configMapKeyRef;
  if (ref === undefined) return found?.value ?? '';
  return String(store.get('configmaps', pod.metadata.namespace, ref.name)?.['data']?.[ref.key] ?? '');
}

function installIfNobodyDid(pod: KubernetesObject, install: () => void): void {
  const init = (pod['spec'].initContainers ?? []) as Container[];
  if (!init.some(({ name }) => name.startsWith('install-cni'))) install();
}

/** What an init container of an agent's pod does to the node; nothing for those that the model has no use for. */
export function runInitContainer(
  kind: AgentKind,
  container: Container,
  node: NodeControl,
  store: ObjectStore,
  pod: KubernetesObject,
): void {
  if (kind === 'calico') {
    if (container.name === 'install-cni') installCalico(node, store, pod);
    return;
  }
  if (container.name === 'install-cni-plugin') node.write('/opt/cni/bin/flannel', 'ELF');
  if (container.name === 'install-cni') installFlannelConf(node, store, pod);
}

const flannelConf = `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
`;

/** `cp -f` from the ConfigMap: an in-place write, which the runtime notices. */
function installFlannelConf(node: NodeControl, store: ObjectStore, pod: KubernetesObject): void {
  const config = store.get('configmaps', pod.metadata.namespace, 'kube-flannel-cfg');
  node.write('/etc/cni/net.d/10-flannel.conflist', config?.['data']?.['cni-conf.json'] ?? flannelConf);
}

const calicoConf = `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico", "log_level": "info", "datastore_type": "kubernetes", "nodename": "__KUBERNETES_NODE_NAME__",
      "mtu": __CNI_MTU__, "ipam": { "type": "calico-ipam" }, "policy": { "type": "k8s" },
      "kubernetes": { "kubeconfig": "__KUBECONFIG_FILEPATH__" }
    },
    { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
    { "type": "bandwidth", "capabilities": { "bandwidth": true } }
  ]
}
`;

/** Calico's `install`: the binaries, the kubeconfig, and the conf written in place over whatever has its name. */
function installCalico(node: NodeControl, store: ObjectStore, pod: KubernetesObject): void {
  const data = store.get('configmaps', pod.metadata.namespace, 'calico-config')?.['data'] ?? {};
  const env = ((pod['spec'].initContainers ?? []) as Container[]).flatMap(({ env: own = [] }) => own);
  const name = env.find((each) => each.name === 'CNI_CONF_NAME')?.value ?? '10-calico.conflist';
  const kubeconfig = '/etc/cni/net.d/calico-kubeconfig';
  for (const binary of ['calico', 'calico-ipam']) node.write(`/opt/cni/bin/${binary}`, 'ELF');
  node.write(
    kubeconfig,
    '# Kubeconfig file for Calico CNI plugin. Installed by calico/node.\napiVersion: v1\nkind: Config\n',
  );
  node.write(
    `/etc/cni/net.d/${name}`,
    String(data['cni_network_config'] ?? calicoConf)
      .replaceAll('__KUBERNETES_NODE_NAME__', node.name)
      .replaceAll('__CNI_MTU__', data['veth_mtu'] ?? '0')
      .replaceAll('__KUBECONFIG_FILEPATH__', kubeconfig),
  );
}
