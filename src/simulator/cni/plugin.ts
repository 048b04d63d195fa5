import type { NodeControl } from '../node/sim-node.ts';
import type { ObjectStore, SimSandbox } from '../types.ts';
import type { ClusterDirectory } from './directory.ts';

/** What a plugin gets: the conf of its place in the chain, and the sandbox it is about. */
export interface CniCall {
  node: NodeControl;
  store: ObjectStore;
  directory: ClusterDirectory;
  /** `name` of the conf: `cbr0`. */
  network: string;
  conf: { type?: string; [key: string]: unknown };
  sandbox: Pick<SimSandbox, 'id' | 'pod' | 'hostPorts'>;
}

export interface CniResult {
  ip: string;
  /** Prefix length of the pod's own address. */
  prefixLength: number;
  /** Host side of the pod's veth. */
  link: string;
}

export interface CniPlugin {
  /** @throws Error with the plugin's own words */
  add(call: CniCall, previous: CniResult | undefined): CniResult;
  /** Succeeds when there is nothing to do: the CNI specification asks for it. @throws Error */
  del(call: CniCall): void;
}

/** A parsed conf of /etc/cni/net.d. */
export interface CniNetwork {
  name: string;
  plugins: CniCall['conf'][];
}

/** @throws Error when the file is no CNI conf */
export function parseNetwork(content: string): CniNetwork {
  const conf = JSON.parse(content) as { name?: string; type?: string; plugins?: CniCall['conf'][] };
  const plugins = conf.plugins ?? (conf.type === undefined ? [] : [conf]);
  if (!conf.name || plugins.length === 0 || plugins.some(({ type }) => !type))
    throw new Error('no network name or plugin');
  return { name: conf.name, plugins };
}
