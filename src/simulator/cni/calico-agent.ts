import { macOf } from '../node/identity.ts';
import type { SimRoute } from '../types.ts';
import { debounced, setNetworkUnavailable, vxlanTwin, type Agent, type AgentHost } from './agent.ts';
import { holds } from '../network/address-number.ts';
import { parseCidr } from '../scenario/address.ts';
import type { Range } from '../scenario/random.ts';
import type { Bgp, Bird } from './bgp.ts';
import { assignAddress, holdsAddress, inPool, poolsFor, releaseHandle } from './calico-ipam.ts';
import { calicoPrefix, type CalicoPool } from './directory.ts';
import { felixIpsets, felixRules, withRules } from './rules.ts';

const LINK = 'vxlan.calico';
const MTU_FILE = '/var/lib/calico/mtu';
/** Felix programs what it calculated at once, and repairs what others changed within a second or so. */
const APPLY_MS = 200;
const REPAIR_MS = 1000;
/** A change of the encapsulation makes Felix exit (rc 129) and start again. */
const RESTART_MS = 2000;
/** A route that leads another way is deleted, then added anew (§0a.9 of the migration facts). */
const REPLACE_MS: Range = [0.4, 28];

/** calico-node in VXLAN mode: its start-up, then Felix. */
export function startCalico(
  host: AgentHost,
  config: {
    backend: 'nft' | 'legacy';
    natOutgoing?: boolean;
    forbidden?: () => string | undefined;
    /** CALICO_NETWORKING_BACKEND: `bird` runs BIRD and confd beside Felix. */
    networking?: string;
    /** The readiness probe asks BIRD, too. */
    birdReady?: boolean;
    bgp?: Bgp;
  },
): Agent {
  const { node, store, clock, directory, random } = host;
  const stops: (() => void)[] = [];
  let running = true;
  /** Whether this Felix runs with VXLAN; undefined while it starts. */
  let vxlan: boolean | undefined;
  let own: SimRoute[] = [];
  let bird: Bird | undefined;
  let poolsSeen: readonly CalicoPool[] | undefined;
  const handle = `vxlan-tunnel-addr-${node.name}`;

  function startUp() {
    const forbidden = config.forbidden?.();
    if (forbidden !== undefined) return host.crash(forbidden);
    node.write('/var/lib/calico/nodename', node.name);
    const annotations = store.get('nodes', undefined, node.name)?.metadata.annotations ?? {};
    const updates: { [key: string]: string } = {};
    // IP=autodetect writes the true prefix over a /32 that a migration left there.
    const detected = node.links.get('eth0')?.addresses[0] ?? `${node.ip}/32`;
    if (annotations[`${calicoPrefix}IPv4Address`] !== detected) updates[`${calicoPrefix}IPv4Address`] = detected;
    store.mutate('nodes', undefined, node.name, ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, ...updates };
    });
    if (!tunnelAddress()) return;
    setNetworkUnavailable(host, 'False', 'CalicoIsUp', 'Calico is running on this node');
    startFelix();
    if (config.networking === 'bird') bird = config.bgp?.start(node);
    if (bird !== undefined && config.birdReady) bird.whenEstablished(() => running && host.ready());
    else host.ready();
  }

  /**
   * The tunnel's address and MAC in the node's annotations. Without a VXLAN pool for this node they are given up, and the next
   * time another address is taken (§0a.10 of the migration facts). @returns false when the agent ends for want of one
   */
  function tunnelAddress(): boolean {
    const annotations = store.get('nodes', undefined, node.name)?.metadata.annotations ?? {};
    const kept = annotations[`${calicoPrefix}IPv4VXLANTunnelAddr`];
    const request = { store, directory, node: node.name, use: 'Tunnel' as const };
    const pools = poolsFor(request);
    poolsSeen = directory.pools();
    if (!directory.felix().vxlanEnabled || pools.length === 0) {
      if (kept === undefined) return true;
      releaseHandle(store, handle);
      store.mutate('nodes', undefined, node.name, ({ metadata }) => {
        delete metadata.annotations?.[`${calicoPrefix}IPv4VXLANTunnelAddr`];
      });
      return true;
    }
    const updates: { [key: string]: string } = {};
    const isGood = (ip: string) => holdsAddress(store, handle, ip) && pools.some((pool) => inPool(pool, ip));
    if (kept === undefined || !isGood(kept)) {
      // One that IPAM does not know as the tunnel's, or of a pool that is not for this node any more, is given up for a new one.
      if (kept !== undefined) releaseHandle(store, handle);
      try {
        const attributes = { node: node.name, type: 'vxlanTunnelAddress' };
        updates[`${calicoPrefix}IPv4VXLANTunnelAddr`] = assignAddress({ ...request, handle, attributes });
      } catch (error) {
        host.crash(`Unable to autoassign an address for IPIP/VXLAN/Wireguard: ${(error as Error).message}`);
        return false;
      }
    }
    const mac = `${calicoPrefix}VXLANTunnelMACAddr`;
    if (annotations[mac] === undefined) updates[mac] = macOf(`${node.name} ${LINK}`);
    if (Object.keys(updates).length === 0) return true;
    store.mutate('nodes', undefined, node.name, ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, ...updates };
    });
    return true;
  }

  function startFelix() {
    if (!running) return;
    vxlan = directory.felix().vxlanEnabled;
    if (!tunnelAddress()) return;
    if (!vxlan) removeVxlan();
    host.log(`Felix starting up; VXLAN ${vxlan ? 'enabled' : 'disabled'}`);
    apply();
  }

  function removeVxlan() {
    node.deleteLink(LINK);
    const mine = new Set(own);
    if (mine.size > 0) node.routes = node.routes.filter((route) => !mine.has(route));
    own = [];
  }

  /** Brings the node to what Felix has calculated; does nothing when it is so already. */
  function apply() {
    if (!running || vxlan === undefined) return;
    const felix = directory.felix();
    if (felix.vxlanEnabled !== vxlan) {
      host.log('Encapsulation changed; exiting to restart');
      // The pool has no tunnel any more, so its routes go first; the link goes when Felix is back (§0a.9).
      if (vxlan && directory.pools().every((pool) => !pool.vxlan))
        setRoutes(calculate().routes.filter(({ type }) => type === 'blackhole'));
      vxlan = undefined;
      const timer = clock.after(RESTART_MS, startFelix);
      stops.push(() => timer.cancel());
      return;
    }
    // Looked at again when a pool changes, and not when a label of the node does (node/pkg/allocateip, OnUpdates).
    if (vxlan && directory.pools() !== poolsSeen && !tunnelAddress()) return;
    writeMtu(vxlan, felix.mtu);
    const link = vxlan ? ensureLink(felix) : undefined;
    const { routes, peers } = calculate();
    if (link !== undefined) {
      for (const { vtep, mac, ip } of peers) {
        if (link.neighbours?.get(vtep) !== mac) link.neighbours?.set(vtep, mac);
        if (link.fdb?.get(mac) !== ip) link.fdb?.set(mac, ip);
      }
    }
    // Routes through a device that is not there cannot be programmed.
    setRoutes(link === undefined ? routes.filter(({ dev }) => dev !== LINK) : routes);
    const nat = config.natOutgoing ?? directory.pools().some(({ natOutgoing }) => natOutgoing);
    const { front, back } = felixRules(config.backend, nat, felix.port);
    const rules = withRules(node.rules, front, back);
    if (rules !== node.rules) node.rules = rules;
    for (const name of felixIpsets) node.ipsets.add(name);
  }

  function calculate() {
    const peers = vxlan ? [...directory.calicoPeers.values()].filter((peer) => peer.node !== node.name) : [];
    const pools = directory.pools();
    const subnet = parseCidr(directory.calicoNodes.get(node.name)?.address ?? `${node.ip}/32`);
    const remote = peers.flatMap(({ node: name, vtep, ip }) =>
      directory.blocksOf(name).flatMap((block) => {
        const pool =
          pools.length === 1 ? pools[0] : pools.find(({ cidr }) => holds(parseCidr(cidr), block.split('/')[0]!));
        // Without a tunnel the routes are BIRD's.
        if (pool?.mode === 'Never') return [];
        const near = pool?.mode === 'CrossSubnet' && holds(subnet, ip);
        return [near ? directory.plainRoute(block, ip) : directory.calicoRoute(block, vtep)];
      }),
    );
    // More specific than anything else for these addresses; they stay when Felix is gone (§0a.2 of the migration facts).
    const blackholes = directory.blocksOf(node.name).map((dst) => ownBlock(dst));
    return { peers, routes: [...remote, ...blackholes] };
  }

  let replacing = false;
  const ownBlocks = new Map<string, SimRoute>();
  function ownBlock(dst: string): SimRoute {
    if (!ownBlocks.has(dst)) ownBlocks.set(dst, Object.freeze<SimRoute>({ dst, type: 'blackhole', proto: '80' }));
    return ownBlocks.get(dst)!;
  }

  function setRoutes(wanted: SimRoute[]) {
    const key = ({ dst, via = '', type }: SimRoute) => `${dst} ${via} ${type}`;
    // The route to a pod of the node itself has no next hop.
    const isFelix = ({ via, dev, type, proto }: SimRoute) =>
      dev === LINK || (proto === '80' && (via !== undefined || type === 'blackhole'));
    const felix = node.routes.filter(isFelix);
    const present = new Set(felix.map(key));
    const dsts = new Set(felix.filter(({ type }) => type === 'unicast').map(({ dst }) => dst));
    const replaced = wanted.filter((route) => dsts.has(route.dst) && !present.has(key(route)));
    if (replaced.length > 0 && !replacing) {
      const turned = new Set(replaced);
      replacing = true;
      own = wanted.filter((route) => !turned.has(route));
      node.routes = [...node.routes.filter((route) => !isFelix(route)), ...own];
      const timer = clock.after(random.between(REPLACE_MS), () => {
        replacing = false;
        apply();
      });
      stops.push(() => timer.cancel());
      return;
    }
    if (replacing) return;
    own = wanted;
    if (wanted.length === present.size && wanted.every((route) => present.has(key(route)))) return;
    node.routes = [...node.routes.filter((route) => !isFelix(route)), ...wanted];
  }

  /** What a pod gets when the conf says 0: the tunnel's as long as any pool may use it (Felix, determinePodMTU). */
  function writeMtu(tunnel: boolean, configured: number) {
    const mtu = String(tunnel ? configured || node.underlayMtu - 50 : node.underlayMtu);
    if (node.files.get(MTU_FILE) !== mtu) node.write(MTU_FILE, mtu);
  }

  function ensureLink({ vni, port, mtu }: { vni: number; port: number; mtu: number }) {
    const self = directory.calicoPeers.get(node.name);
    if (self === undefined) return undefined;
    const found = node.links.get(LINK);
    if (found !== undefined && found.vni === vni && found.dstPort === port) {
      if (found.mac !== self.mac) found.mac = self.mac;
      if (found.addresses[0] !== `${self.vtep}/32`) found.addresses = [`${self.vtep}/32`];
      return found;
    }
    if (found !== undefined) node.deleteLink(LINK);
    const twin = vxlanTwin(node, LINK, vni, port);
    if (twin !== undefined) {
      host.log(
        `Failed to configure VXLAN tunnel device, retrying...: file exists (${twin.name} has VNI ${vni} and port ${port})`,
      );
      return undefined;
    }
    node.links.set(LINK, {
      name: LINK,
      kind: 'vxlan',
      mac: self.mac,
      mtu: mtu || node.underlayMtu - 50,
      up: true,
      vni,
      dstPort: port,
      local: node.ip,
      addresses: [`${self.vtep}/32`],
      fdb: new Map(),
      neighbours: new Map(),
    });
    return node.links.get(LINK);
  }

  const program = debounced(clock, APPLY_MS, apply);
  const repair = debounced(clock, REPAIR_MS, apply);
  const timer = clock.after(host.startMs, startUp);
  stops.push(directory.onCalicoChange(program.request), node.onChange(repair.request), program.cancel, repair.cancel);
  return {
    stop() {
      running = false;
      timer.cancel();
      bird?.stop();
      stops.forEach((stop) => stop());
    },
    preStop() {
      setNetworkUnavailable(host, 'True', 'CalicoIsDown', 'Calico is shutting down on this node');
    },
  };
}
