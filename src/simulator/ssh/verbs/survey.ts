import type { NodeSurvey } from '../../../node/types.ts';
import type { SimNode } from '../../types.ts';
import type { VerbModel } from './model.ts';
import { failure, latency } from './model.ts';

/** Reads the state of the node as survey.sh reads the real thing. */
export const survey: VerbModel<'survey'> = async ({ node, clock }, { address, peers, bytes }) => {
  if (/[^0-9A-Fa-f.: ]/.test(address + peers)) throw failure('BadInput', `not an address among: ${address} ${peers}`);
  await clock.sleep(latency.inspect);
  const { host } = node;
  const uplink = [...node.links.values()].find(({ addresses }) =>
    addresses.some((each) => each.split('/')[0] === address),
  );
  return {
    clock: Math.floor(clock.now() / 1000) + host.clockAheadSeconds,
    confDir: host.confDir,
    binDirs: [...host.binDirs],
    maxConfNum: host.maxConfNum,
    listeners: [...host.listeners, ...vxlanSockets(node)],
    uplink: { name: uplink?.name ?? '', mtu: uplink?.mtu ?? 0 },
    pings: peers
      .split(' ')
      .filter((peer) => peer !== '')
      .map((peer) => {
        const small = host.icmp;
        return { peer, small, large: small && bytes <= Math.min(uplink?.mtu ?? 0, host.pathMtu ?? Infinity) };
      }),
    sysctls: { ...host.sysctls },
    services: [...host.services],
    nmLeavesAlone: says(node, /\/NetworkManager\//, /^[^#]*unmanaged-devices.*cali/m),
    networkdLeavesAlone: says(node, /\/systemd\/networkd\.conf/, /^ *ManageForeignRoutes *= *(no|false|off|0)/im),
    conntrack: { count: host.conntrackCount + node.conntrack.length, max: host.conntrackMax },
    diskFreePercent: host.diskFreePercent,
    images: host.images.toSorted(),
    otherRules: otherRules(node),
    missing: [],
  };
};

const says = (node: SimNode, path: RegExp, text: RegExp): boolean =>
  [...node.files].some(([name, content]) => path.test(name) && text.test(content));

/** A VXLAN link has a socket of the kernel, of no program. */
const vxlanSockets = (node: SimNode): NodeSurvey['listeners'] =>
  [...new Set([...node.links.values()].map(({ dstPort = 0 }) => dstPort))]
    .filter((port) => port > 0)
    .map((port) => ({ protocol: 'udp', port, program: '' }));

const marks: [network: string, mark: RegExp][] = [
  ['Antrea', /ANTREA-/],
  ['Cilium', /CILIUM_/],
  ['Weave Net', /WEAVE-/],
  ['kube-router', /KUBE-ROUTER/],
];

const otherRules = (node: SimNode): NodeSurvey['otherRules'] =>
  marks.flatMap(([network, mark]) => {
    const rules = node.rules.filter(({ chain, text }) => mark.test(chain) || mark.test(text)).length;
    return rules === 0 ? [] : [{ network, rules }];
  });
