import { macOf } from '../node/identity.ts';
import { addressAt, parseCidr } from '../scenario/address.ts';
import { debounced, setNetworkUnavailable, vxlanTwin, type Agent, type AgentHost } from './agent.ts';
import type { FlannelPeer } from './directory.ts';
import { flannelRules, withRules } from './rules.ts';

const prefix = 'flannel.alpha.coreos.com/';
const LINK = 'flannel.1';
/** flanneld looks after its rules every five seconds (`--iptables-resync`). */
const RULES_RESYNC_MS = 5000;

/** flanneld with the vxlan backend and the kube subnet manager. */
export function startFlannel(host: AgentHost, config: { podNamespace: string; backend: 'nft' | 'legacy' }): Agent {
  const { node, store, clock, directory, timing, random } = host;
  const programmed = new Map<string, FlannelPeer>();
  const stops: (() => void)[] = [];
  const net = readNetConf();
  let up = false;

  function readNetConf(): { network: string; vni: number; port: number } {
    const text = store.get('configmaps', config.podNamespace, 'kube-flannel-cfg')?.['data']?.['net-conf.json'] ?? '{}';
    const conf = JSON.parse(text) as { Network?: string; Backend?: { VNI?: number; Port?: number } };
    return { network: conf.Network ?? '10.244.0.0/16', vni: conf.Backend?.VNI ?? 1, port: conf.Backend?.Port ?? 8472 };
  }

  function setUp() {
    const object = store.get('nodes', undefined, node.name);
    const podCIDR = object?.['spec']?.podCIDR as string | undefined;
    if (podCIDR === undefined)
      return host.crash(
        `Error registering network: failed to acquire lease: node "${node.name}" pod cidr not assigned`,
      );
    const twin = vxlanTwin(node, LINK, net.vni, net.port);
    if (twin !== undefined) {
      return host.crash(
        `Error registering network: failed to create vxlan device: file exists (${twin.name} has VNI ${net.vni} and port ${net.port})`,
      );
    }
    const { length } = parseCidr(podCIDR);
    const vtep = addressAt(parseCidr(podCIDR), 0);
    const annotations = object?.metadata.annotations ?? {};
    const mtu = node.underlayMtu - 50;
    const mac = node.links.get(LINK)?.mac ?? keptMac(annotations) ?? macOf(`${node.name} ${LINK}`);
    if (!node.links.has(LINK)) addLink(mac, mtu, vtep);
    store.mutate('nodes', undefined, node.name, ({ metadata }) => {
      metadata.annotations = {
        ...metadata.annotations,
        [`${prefix}backend-data`]: JSON.stringify({ VNI: net.vni, VtepMAC: mac }),
        [`${prefix}backend-type`]: 'vxlan',
        [`${prefix}kube-subnet-manager`]: 'true',
        [`${prefix}public-ip`]: node.ip,
      };
    });
    const subnet = `${addressAt(parseCidr(podCIDR), 1)}/${length}`;
    node.write(
      '/run/flannel/subnet.env',
      `FLANNEL_NETWORK=${net.network}\nFLANNEL_SUBNET=${subnet}\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=true\n`,
    );
    const keepRules = () => {
      const next = withRules(node.rules, [], flannelRules(config.backend, net.network, podCIDR));
      if (next !== node.rules) node.rules = next;
    };
    keepRules();
    setNetworkUnavailable(host, 'False', 'FlannelIsUp', 'Flannel is running on this node');
    up = true;
    for (const name of directory.flannelPeers.keys()) program(name);
    host.log(
      `Running backend. Using interface with name eth0 and address ${node.ip}; ${directory.flannelPeers.size} leases`,
    );
    const resync = debounced(clock, RULES_RESYNC_MS, keepRules);
    stops.push(directory.onFlannelChange(program), node.onChange(resync.request), resync.cancel);
    stops.push(node.onLinkDeleted(({ name, mac: lost }) => name === LINK && bringBack(lost, mtu, vtep)));
    host.ready();
  }

  function addLink(mac: string, mtu: number, vtep: string) {
    node.links.set(LINK, {
      name: LINK,
      kind: 'vxlan',
      mac,
      mtu,
      up: true,
      vni: net.vni,
      dstPort: net.port,
      local: node.ip,
      addresses: [`${vtep}/32`],
      fdb: new Map(),
      neighbours: new Map(),
    });
  }

  // The link comes back, its routes, FDB and neighbours do not (flannel #2247; §0a.5 of the migration facts).
  function bringBack(mac: string, mtu: number, vtep: string) {
    const timer = clock.after(random.between(timing.flannelRecreate), () => {
      if (up && !node.links.has(LINK)) addLink(mac, mtu, vtep);
    });
    stops.push(() => timer.cancel());
  }

  /** One subnet event: what another node's annotations say now. */
  function program(name: string) {
    if (!up || name === node.name) return;
    const peer = directory.flannelPeers.get(name);
    const before = programmed.get(name);
    const link = node.links.get(LINK);
    if (before !== undefined && before.route.dst !== peer?.route.dst) {
      node.routes = node.routes.filter(({ dst, dev }) => dst !== before.route.dst || dev !== LINK);
      link?.neighbours?.delete(before.vtep);
    }
    if (before !== undefined && before.mac !== peer?.mac) link?.fdb?.delete(before.mac);
    if (peer === undefined) {
      programmed.delete(name);
      return;
    }
    programmed.set(name, peer);
    if (link === undefined) return;
    link.neighbours?.set(peer.vtep, peer.mac);
    link.fdb?.set(peer.mac, peer.publicIp);
    if (!hasRoute(peer)) node.routes.push(peer.route);
  }

  // At a start in a large cluster each route is new: looking each one up would be quadratic.
  let known: { routes: unknown; length: number; set: Set<string> } | undefined;
  function hasRoute({ route }: FlannelPeer): boolean {
    const { routes } = node;
    if (known === undefined || known.routes !== routes || known.length !== routes.length) {
      known = {
        routes,
        length: routes.length,
        set: new Set(routes.filter(({ dev }) => dev === LINK).map(({ dst }) => dst)),
      };
    }
    if (known.set.has(route.dst)) return true;
    known.set.add(route.dst);
    known.length += 1;
    return false;
  }

  const timer = clock.after(host.startMs, setUp);
  return {
    stop() {
      up = false;
      timer.cancel();
      stops.forEach((stop) => stop());
    },
  };
}

/** flannel >= 0.25.2 takes up the MAC of its annotation again. */
function keptMac(annotations: { [key: string]: string }): string | undefined {
  try {
    return (JSON.parse(annotations[`${prefix}backend-data`] ?? '{}') as { VtepMAC?: string }).VtepMAC;
  } catch {
    return undefined;
  }
}
