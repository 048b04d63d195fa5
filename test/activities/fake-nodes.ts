import { CutoverError } from '../../src/errors.ts';
import type { NodeAccess, NodeState, VerbName } from '../../src/node/types.ts';

export interface FakeNodes {
  access: NodeAccess;
  /** What `inspect` answers; a test may change it. */
  state(node: string): NodeState;
  calls: { node: string; verb: VerbName; input: unknown; token: number; installation: string }[];
  /** Throws here to make a verb fail, or to change something at that moment. */
  before: { run(node: string, verb: VerbName, signal?: AbortSignal): void | Promise<void> };
  onChange(listener: (node: string) => void): void;
}

/** Nodes that do what each verb says to a NodeState: enough to see order, arguments, fencing and repetition. */
export function createFakeNodes(names: readonly string[]): FakeNodes {
  const states = new Map(names.map((name) => [name, onFlannel(name)]));
  const kept = new Set<string>();
  const calls: FakeNodes['calls'] = [];
  const before: FakeNodes['before'] = { run: () => {} };
  const listeners: ((node: string) => void)[] = [];
  const state = (node: string): NodeState => {
    const found = states.get(node);
    if (!found) throw new CutoverError('NodeUnreachable', `${node} is not there`);
    return found;
  };

  function effect(node: string, verb: VerbName, input: { [key: string]: unknown }): unknown {
    const s = state(node);
    switch (verb) {
      case 'inspect':
        return structuredClone(s);
      case 'snapshot': {
        const existed = kept.has(node);
        kept.add(node);
        s.snapshot = true;
        return {
          path: `/var/lib/cutover/${String(input['migration'])}/snapshot`,
          sha256: 'ab',
          kept: ['confs', 'rules'],
          existed,
        };
      }
      case 'arm-revert':
        s.revertArmed = true;
        return { unit: 'cutover-revert', armed: true, persistent: true, note: '' };
      case 'disarm-revert':
        s.revertArmed = false;
        return { fired: s.revertFired, problems: [] };
      case 'purge': {
        s.kubeletActive = false;
        const removed = s.sandboxes.filter(({ network }) => network === 'POD').length;
        s.sandboxes = s.sandboxes.filter(({ network }) => network === 'NODE');
        return { removed, kept: s.sandboxes.length, leases: s.leases.length };
      }
      case 'fence': {
        const existed = s.loadedNetworks.includes('cutover-fence');
        s.loadedNetworks = ['cutover-fence'];
        return { loaded: s.loadedNetworks, existed };
      }
      case 'unfence':
        if (!s.loadedNetworks.includes('stuck')) s.loadedNetworks = [String(input['expect'])];
        return { loaded: s.loadedNetworks, existed: true };
      case 'start-kubelet': {
        const changed = !s.kubeletActive;
        s.kubeletActive = true;
        return { active: true, changed };
      }
      case 'clean-flannel': {
        const old = s.links.filter(({ name }) => name === 'flannel.1' || name === 'cni0').map(({ name }) => name);
        const links = input['keepLinks'] === true ? [] : old;
        s.links = s.links.filter(({ name }) => !links.includes(name));
        const rules = s.rules.reduce((sum, { flannel }) => sum + flannel, 0);
        s.rules = s.rules.map((each) => ({ ...each, flannel: 0 }));
        return { links, rules, leases: 0 };
      }
      case 'clean-calico':
        return { links: [], routes: 0, rules: 0, ipsets: 0 };
      case 'flush-syn-sent':
        return { flushed: 2 };
      case 'remove-flannel-files': {
        const removed = s.confs.map(({ name }) => name);
        s.confs = [];
        return { removed };
      }
      case 'forget':
        return { removed: kept.delete(node) };
      case 'flows':
        return { from: 'conntrack', total: 0, flows: [] };
      default:
        throw new CutoverError('Internal', `no such verb ${verb}`);
    }
  }

  const run = async (
    node: string,
    verb: VerbName,
    input: unknown,
    { token, signal, installation = '' }: { token: number; signal?: AbortSignal; installation?: string },
  ): Promise<unknown> => {
    calls.push({ node, verb, input, token, installation });
    await before.run(node, verb, signal);
    signal?.throwIfAborted();
    const s = state(node);
    if (verb !== 'inspect') {
      if (token < s.token) throw new CutoverError('AttemptFenced', `a newer attempt owns ${node}`);
      s.token = token;
    }
    const answer = effect(node, verb, input as { [key: string]: unknown });
    for (const listener of listeners) listener(node);
    return answer;
  };

  return {
    access: { run: run as NodeAccess['run'], hostKey: async (node) => `SHA256:${node}`, close: async () => {} },
    state,
    calls,
    before,
    onChange: (listener) => void listeners.push(listener),
  };
}

const onFlannel = (hostname: string): NodeState => ({
  hostname,
  kernel: '6.1.0',
  kubeletActive: true,
  confs: [{ name: '10-flannel.conflist', sha256: 'f1', network: 'cbr0', firstPlugin: 'flannel' }],
  loadedNetworks: ['cbr0'],
  links: [
    {
      name: 'flannel.1',
      kind: 'vxlan',
      mac: '0e:00:00:00:00:01',
      mtu: 1450,
      up: true,
      vni: 1,
      dstPort: 8472,
      master: '',
    },
    { name: 'cni0', kind: 'bridge', mac: '', mtu: 1450, up: true, vni: 0, dstPort: 0, master: '' },
  ],
  routes: [],
  rules: [],
  legacyTables: [],
  nftTables: [],
  ipsets: [],
  leases: [],
  sandboxes: [],
  subnetEnv: { FLANNEL_NETWORK: '10.244.0.0/16', FLANNEL_MTU: '1450', FLANNEL_IPMASQ: 'true' },
  flannelBinary: true,
  revertArmed: false,
  revertFired: false,
  snapshot: false,
  token: 0,
  missingTools: [],
});
