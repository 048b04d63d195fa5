import { mapLimit } from '../asker.ts';
import { partnerOrder } from '../../probe/peers.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = {
  nodes: number;
  pairs: number;
  /** No answer at all: `worker-1 -> worker-2`. */
  silent: string[];
  /** Who listens on TCP 179 besides BIRD: `worker-1: bgpd`. */
  foreign: string[];
  /** Interfaces whose rp_filter is strict: `worker-1: eth0`. */
  strict: string[];
  unreachable: string[];
};

const bgpPort = 179;
const waitSeconds = 2;
/** Of each node: a cluster of 500 has a quarter of a million pairs. */
const mostPeers = 25;

/**
 * TCP 179 passes between the nodes both ways, and nobody but BIRD listens there. A refusal is good: the SYN went there and the
 * reset came back, and the port is free. Silence is a firewall, or a cloud that drops what it does not know.
 */
export const bgpPorts = defineCheck<Facts>({
  id: 'bgp-ports',
  layer: 'bgp',
  title: 'TCP 179 passes between all nodes and is free',
  scope: 'cluster',
  ask: async (context) => {
    const facts: Facts = {
      nodes: context.planned.length,
      pairs: 0,
      silent: [],
      foreign: [],
      strict: [],
      unreachable: [],
    };
    const nameAt = new Map(context.planned.map((node) => [node.fingerprint.internalIP, node.name]));
    await mapLimit(context.planned, 20, async (node) => {
      const peers = partnerOrder(node, context.planned)
        .map(({ fingerprint }) => fingerprint.internalIP)
        .filter((address) => address !== '')
        .slice(0, mostPeers);
      try {
        const { answers, listener, strictRpFilter } = await context.nodes.run(
          node.name,
          'ask-peers',
          { port: bgpPort, peers: peers.join(','), waitSeconds },
          { token: context.token(), timeoutMs: 30_000, signal: context.signal },
        );
        facts.pairs += answers.length;
        for (const { address, answer } of answers)
          if (answer === 'silent') facts.silent.push(`${node.name} -> ${nameAt.get(address) ?? address}`);
        if (listener !== '' && listener !== 'bird') facts.foreign.push(`${node.name}: ${listener}`);
        if (strictRpFilter.length > 0) facts.strict.push(`${node.name}: ${strictRpFilter.join(' ')}`);
      } catch (error) {
        context.signal.throwIfAborted();
        facts.unreachable.push(`${node.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    for (const list of [facts.silent, facts.foreign, facts.strict, facts.unreachable]) list.sort();
    return facts;
  },
  judge: ({ pairs, silent, foreign, strict, unreachable }) => {
    if (unreachable.length > 0)
      return block(`${count(unreachable.length, 'node')} cannot be asked: ${some(unreachable)}`, {
        remedy: 'see the check node-access',
      });
    if (foreign.length > 0)
      return block(`another program listens on TCP 179: ${some(foreign)}`, {
        remedy:
          'stop it or give it another port: two BGP speakers cannot share an address (MetalLB, kube-vip, a routing daemon; calico #7893)',
      });
    if (silent.length > 0)
      return block(`TCP 179 gets no answer on ${silent.length} of ${pairs} paths between nodes: ${some(silent)}`, {
        remedy:
          'open TCP 179 between all nodes in both directions: host firewalls, security groups, network policies of the cloud',
      });
    if (strict.length > 0)
      return warn(`TCP 179 passes on ${pairs} paths, but rp_filter is strict on ${some(strict)}`, {
        remedy:
          'set net.ipv4.conf.*.rp_filter to 2 while paths may differ in the two directions: replies are dropped in silence otherwise',
      });
    return pass(`TCP 179 passes on all ${pairs} paths between nodes, and nobody else listens there`);
  },
});
