import { CutoverError } from '../../errors.ts';
import type { Fault } from '../types.ts';

/**
 * Every fault that a scenario, a test or the control endpoint can switch on, and what it does. Parameters stand beside
 * `nodes` (limits it to these nodes) and `times` (it wears off after so many uses; without it, it stays until cleared).
 */
export const faultTable = {
  'pdb-never-yields':
    'A budget allows no disruption whatever the numbers say. `budget`: `namespace/name`; without it, every budget.',
  'vxlan-blocked':
    'The node drops UDP 8472 in both directions. `when`: `calico` (default: from the moment a Calico agent runs there) or `always`.',
  'mtu-hole':
    "Packets above `bytes` (default 1400, as they stand on the underlay) are lost in silence on the node's underlay.",
  'pods-slow':
    "What the node's pods exchange with other nodes gets `factor` (default 0.5) of the bandwidth, and takes as much longer; the node's own traffic does not.",
  'agent-image-missing':
    'The image of the agent is not on the node and cannot be pulled: ErrImagePull, then ImagePullBackOff. `image`: part of its name, default `calico`.',
  'agent-never-ready':
    'The agent container runs, but its readiness probe fails. `agent`: `calico` (default) or `flannel`.',
  'runtime-ignores-conf': 'The container runtime does not notice changes of its CNI conf directory.',
  'ssh-refused': 'The SSH port of the node refuses connections.',
  'ssh-lost':
    'The SSH connection is cut in the middle of a verb, which may have been done or half done by then. `verb`: which one (default any); `nth`: its how manieth run (default 1); `phase`: `before` or `after` (default) the verb has acted.',
  'host-key-changed': 'The node shows another SSH host key than the one in known_hosts.',
  'node-dead':
    'The node loses power. `seconds`: it is back after so many simulated seconds; without it, it stays away until the fault is cleared.',
  'prober-starved':
    'The continuous probe of the node gets no processor: everything that it sends is late, on every path, while the network is in order.',
  'api-429':
    'The API server answers 429 with Retry-After: 1. `method` and `path` (parts of them) limit it; `times` is best given.',
  'api-500': 'The API server answers 500. `method` and `path` limit it.',
  'api-410': 'A running watch ends with 410 Expired (`Gone`). `path` limits it.',
  'bgp-port-blocked': 'A firewall of the node drops TCP 179 in both directions.',
  'bgp-foreign-listener': 'Another program listens on TCP 179 of the node. `program`: its name, default `bgpd`.',
  'bird-refuses-config':
    'BIRD of the node refuses a rendered configuration and keeps the one that it has. `when`: `never` (default: what sets krt_tunnel, as for a pool without VXLAN) or `always`.',
  'leftover-conf':
    'A conf of another CNI lies in /etc/cni/net.d. `file`: its name, default `05-cilium.conflist`; `content`: what is in it.',
} as const satisfies Record<string, string>;

export type FaultName = keyof typeof faultTable;

export const faultNames = Object.keys(faultTable) as FaultName[];

export const isFaultName = (name: string): name is FaultName => Object.hasOwn(faultTable, name);

export type FaultChange = { type: 'injected' | 'cleared'; fault: Fault };

/** The faults that are switched on, shared by the API server, the nodes, the SSH servers and the controllers. */
export interface FaultRegistry {
  /** The fault, when it is on for that node; uses up one of its `times`. */
  take(name: FaultName, node?: string): Fault | undefined;
  /** Like `take`, and uses nothing up: for lasting conditions, and for looking at parameters before taking. */
  peek(name: FaultName, node?: string): Fault | undefined;
  has(name: FaultName, node?: string): boolean;
  /** @throws CutoverError NotFound when no fault of that name exists */
  inject(fault: Fault): void;
  /** Switches off one fault, or all of them. */
  clear(name?: string): void;
  list(): Fault[];
  /** Calls back when a fault is switched on, cleared or used up. Returns the way to stop it. */
  onChange(listener: (change: FaultChange) => void): () => void;
}

export function createFaults(initial: readonly Fault[] = []): FaultRegistry {
  let faults: Fault[] = [];
  const listeners = new Set<(change: FaultChange) => void>();
  const tell = (change: FaultChange) => listeners.forEach((each) => each(change));

  /** A fault that names nodes is not on for questions without a node. */
  const concerns = (fault: Fault, node?: string) =>
    fault.nodes === undefined || (node !== undefined && fault.nodes.includes(node));

  const peek = (name: FaultName, node?: string) => faults.find((fault) => fault.name === name && concerns(fault, node));

  function take(name: FaultName, node?: string): Fault | undefined {
    const fault = peek(name, node);
    if (fault?.times === undefined) return fault;
    const left = { ...fault, times: fault.times - 1 };
    faults =
      left.times > 0 ? faults.map((each) => (each === fault ? left : each)) : faults.filter((each) => each !== fault);
    if (left.times <= 0) tell({ type: 'cleared', fault });
    return fault;
  }

  function inject(fault: Fault): void {
    if (!isFaultName(fault.name)) {
      throw new CutoverError('NotFound', `the simulator knows no fault named ${JSON.stringify(fault.name)}`, {
        remedy: `use one of ${faultNames.join(', ')}`,
      });
    }
    if (fault.times !== undefined && fault.times <= 0) return;
    faults = [...faults, fault];
    tell({ type: 'injected', fault });
  }

  function clear(name?: string): void {
    const gone = faults.filter((fault) => name === undefined || fault.name === name);
    faults = faults.filter((fault) => !gone.includes(fault));
    gone.forEach((fault) => tell({ type: 'cleared', fault }));
  }

  initial.forEach(inject);
  return {
    take,
    peek,
    has: (name, node) => peek(name, node) !== undefined,
    inject,
    clear,
    list: () => [...faults],
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
