import { createHash } from 'node:crypto';
import type { JsonObject } from '../../../json.ts';
import type { VerbInput, VerbName, VerbOutput } from '../../../node/types.ts';
import type { SimClock, SimNode, SimRoute, SimSandbox } from '../../types.ts';

/**
 * What the models of the verbs share. A model does to a SimNode what the shell program of the same name does to a node
 * (src/node/verbs): same order of effects, same refusals, same answers. test/verbs holds both to one table of cases.
 */

export const confFolder = '/etc/cni/net.d';
export const leaseFolder = '/var/lib/cni/networks/cbr0';
export const ownFolder = '/var/lib/cutover';
export const fenceNetwork = 'cutover-fence';
export const flannelNetwork = 'cbr0';
export const revertUnit = 'cutover-revert';

/** Ends a verb: what it prints, and its exit code. */
export class VerbExit extends Error {
  readonly exitCode: number;
  readonly answer: JsonObject;

  constructor(exitCode: number, answer: JsonObject & { error: string; message: string }) {
    super(answer.message);
    this.exitCode = exitCode;
    this.answer = answer;
  }
}

/** A sentence is one line, as `fail` of lib.sh prints it. */
export const failure = (error: string, message: string) =>
  new VerbExit(1, { error, message: message.replaceAll('\n', ' ') });

/** One run of one verb on one node. */
export interface VerbRun {
  node: SimNode;
  clock: SimClock;
  /** Called before each effect. @throws VerbExit 75 when the node has seen a greater token */
  guard(): void;
}

export type VerbModel<V extends VerbName> = (run: VerbRun, input: VerbInput<V>) => Promise<VerbOutput<V>>;

/** Simulated ms; those of the sandboxes and of kubelet are the runtime's and systemd's own (SimNode). */
export const latency = { start: 40, inspect: 250, snapshot: 400, filters: 120, command: 15 };

/** `await_route` of lib.sh. */
export async function awaitRoute(
  { node, clock }: VerbRun,
  seconds: number,
  is: (route: SimRoute) => boolean,
): Promise<void> {
  const end = clock.now() + seconds * 1000;
  while (!node.routes.some(is) && clock.now() < end) await clock.sleep(100);
}

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const inFolder = (node: SimNode, folder: string): string[] =>
  [...node.files.keys()].filter((path) => path.startsWith(`${folder}/`)).sort();

/** Conf files in the order in which the runtime tries them. */
export const confFiles = (node: SimNode): string[] =>
  inFolder(node, confFolder).filter(
    (path) => /\.(conf|conflist|json)$/.test(path) && !path.slice(confFolder.length + 1).includes('/'),
  );

export function confNetwork(node: SimNode, path: string): string {
  try {
    return (JSON.parse(node.files.get(path) ?? '{}') as { name?: string }).name ?? '';
  } catch {
    return '';
  }
}

/** Files of the lease folder that are named after an address. */
export const leases = (node: SimNode): string[] =>
  inFolder(node, leaseFolder).filter((path) => /\/(\d+\.\d+\.\d+\.\d+|[^/]*:[^/]*)$/.test(path));

/** Written aside and renamed inside its folder, as lib.sh does it. */
export function replaceFile(node: SimNode, path: string, content: string): void {
  node.write(`${path}.tmp`, content);
  node.rename(`${path}.tmp`, path);
}

export function removeFolder(node: SimNode, folder: string): boolean {
  const paths = inFolder(node, folder);
  for (const path of paths) node.unlink(path);
  return paths.length > 0;
}

export const sandboxesOf = (node: SimNode, network: SimSandbox['network']): SimSandbox[] =>
  [...node.sandboxes.values()].filter((sandbox) => sandbox.network === network);

/** Whether an agent runs, known by the name of its pod: the agents are hostNetwork pods. */
export const agentRuns = (node: SimNode, name: string): boolean =>
  [...node.sandboxes.values()].some(({ pod, running }) => running && pod.name.startsWith(name));

/** Waits until the runtime has loaded a network; half way it renames the first conf onto itself, which is noticed. */
export async function waitLoaded({ node, clock }: VerbRun, network: string, seconds: number): Promise<boolean> {
  const polls = seconds * 5;
  for (let poll = 0; ; poll += 1) {
    if (node.loadedNetworks.includes(network)) return true;
    if (poll >= polls) return false;
    const [first] = confFiles(node);
    if (poll === Math.ceil(polls / 2) && first !== undefined) replaceFile(node, first, node.files.get(first)!);
    await clock.sleep(200);
  }
}

export const loadedText = (node: SimNode) => [...node.loadedNetworks].join(' ') || 'nothing';
