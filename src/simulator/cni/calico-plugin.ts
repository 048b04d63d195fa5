import { macOf, vethName } from '../node/identity.ts';
import { assignAddress, releaseHandle } from './calico-ipam.ts';
import type { CniPlugin } from './plugin.ts';

/** The calico plugin with calico-ipam: a veth without an address and a /32 route to the pod. */
export const calicoPlugin: CniPlugin = {
  add({ node, store, directory, network, conf, sandbox }) {
    for (const path of ['/etc/cni/net.d/calico-kubeconfig', '/var/lib/calico/nodename']) {
      if (node.files.has(path)) continue;
      const hint = ': check that the calico/node container is running and has mounted /var/lib/calico/';
      throw failed(`stat ${path}: no such file or directory${path.endsWith('nodename') ? hint : ''}`);
    }
    const { namespace, name } = sandbox.pod;
    let ip: string;
    try {
      const attributes = { namespace, node: node.name, pod: name };
      const handle = handleOf(network, sandbox.id);
      ip = assignAddress({ store, directory, node: node.name, use: 'Workload', handle, attributes });
    } catch (error) {
      throw failed((error as Error).message);
    }
    // 0 leaves it to Felix, which writes this file. A veth keeps what it was made with.
    const mtu = Number(conf['mtu'] ?? 0) || Number(node.files.get('/var/lib/calico/mtu') ?? 0) || node.underlayMtu - 50;
    const link = vethName('cali', `${namespace}.${name}`);
    node.links.set(link, { name: link, kind: 'veth', mac: macOf(link), mtu, up: true, addresses: [] });
    const dst = `${ip}/32`;
    node.routes = [
      ...node.routes.filter((route) => route.dst !== dst),
      { dst, dev: link, proto: '80', type: 'unicast' },
    ];
    return { ip, prefixLength: 32, link };
  },
  // A sandbox of another plugin is unknown to it: it says so in its log and succeeds (§0.6 of the migration facts).
  del({ node, store, network, sandbox }) {
    releaseHandle(store, handleOf(network, sandbox.id));
    node.deleteLink(vethName('cali', `${sandbox.pod.namespace}.${sandbox.pod.name}`));
  },
};

const handleOf = (network: string, id: string) => `${network}.${id}`;
const failed = (message: string) => new Error(`plugin type="calico" failed (add): ${message}`);
