import { vethName, macOf } from '../node/identity.ts';
import type { NodeControl } from '../node/sim-node.ts';
import { addressAt, parseCidr } from '../scenario/address.ts';
import type { CniPlugin } from './plugin.ts';

/** The flannel plugin with its delegates `bridge` and `host-local`. */
export const flannelPlugin: CniPlugin = {
  add({ node, network, sandbox }) {
    const env = node.files.get('/run/flannel/subnet.env');
    if (env === undefined) {
      throw failed('loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory');
    }
    const subnet = /^FLANNEL_SUBNET=(.+)$/m.exec(env)?.[1];
    if (subnet === undefined) throw failed('subnet.env has no FLANNEL_SUBNET');
    const mtu = Number(/^FLANNEL_MTU=(\d+)$/m.exec(env)?.[1] ?? 1500);
    const cidr = parseCidr(subnet);
    ensureBridge(node, subnet, mtu);
    const ip = allocate(node, network, subnet, sandbox.id);
    const link = vethName('veth', sandbox.id);
    node.links.set(link, { name: link, kind: 'veth', mac: macOf(link), mtu, up: true, master: 'cni0', addresses: [] });
    node.write(
      `/var/lib/cni/flannel/${sandbox.id}`,
      JSON.stringify({ name: network, type: 'bridge', mtu, ipam: { type: 'host-local', subnet } }),
    );
    node.write(
      `/var/lib/cni/results/${network}-${sandbox.id}-eth0`,
      JSON.stringify({ kind: 'cniCacheV1', containerId: sandbox.id, networkName: network }),
    );
    return { ip, prefixLength: cidr.length, link };
  },
  // Without the delegate conf it kept for this sandbox there is nothing that it made (flannel-io/cni-plugin cmdDel).
  del({ node, network, sandbox }) {
    if (!node.unlink(`/var/lib/cni/flannel/${sandbox.id}`)) return;
    for (const [path, content] of node.files) {
      if (path.startsWith(leases(network)) && content.startsWith(sandbox.id)) node.unlink(path);
    }
    node.unlink(`/var/lib/cni/results/${network}-${sandbox.id}-eth0`);
    node.deleteLink(vethName('veth', sandbox.id));
  },
};

const failed = (message: string) => new Error(`plugin type="flannel" failed (add): ${message}`);
const leases = (network: string) => `/var/lib/cni/networks/${network}/`;

/** The bridge plugin makes cni0 on the first ADD, with the address of the pods' gateway. */
function ensureBridge(node: NodeControl, subnet: string, mtu: number): void {
  const cidr = parseCidr(subnet);
  const gateway = addressAt(cidr, 1);
  const bridge = node.links.get('cni0');
  const address = `${gateway}/${cidr.length}`;
  if (bridge === undefined) {
    node.links.set('cni0', {
      name: 'cni0',
      kind: 'bridge',
      mac: macOf(`${node.name} cni0`),
      mtu,
      up: true,
      addresses: [address],
    });
  } else if (!bridge.addresses.includes(address)) {
    throw failed(`failed to set bridge addr: "cni0" already has an IP address different from ${address}`);
  }
  const dst = `${addressAt(cidr, 0)}/${cidr.length}`;
  if (!node.routes.some((route) => route.dst === dst && route.dev === 'cni0')) {
    node.routes.push({ dst, dev: 'cni0', proto: 'kernel', type: 'unicast' });
  }
}

/** host-local: a file for each lease, round robin from the last one given out. */
function allocate(node: NodeControl, network: string, subnet: string, id: string): string {
  const cidr = parseCidr(subnet);
  const size = 2 ** (32 - cidr.length);
  const folder = leases(network);
  const last = node.files.get(`${folder}last_reserved_ip.0`);
  const begin = last === undefined ? 2 : offsetOf(cidr.base, last) + 1;
  for (let step = 0; step < size - 3; step += 1) {
    const offset = 2 + ((begin - 2 + step) % (size - 3));
    const ip = addressAt(cidr, offset);
    if (node.files.has(folder + ip)) continue;
    node.write(folder + ip, `${id}\r\neth0`);
    node.write(`${folder}last_reserved_ip.0`, ip);
    return ip;
  }
  throw failed(
    `failed to allocate for range 0: no IP addresses available in range set: ${addressAt(cidr, 1)}-${addressAt(cidr, size - 2)}`,
  );
}

const offsetOf = (base: number, address: string) =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) - base;
