import type { Asker } from '../asker.ts';
import { mapLimit } from '../asker.ts';
import { isReady } from '../../probe/pods.ts';
import { calico } from '../names.ts';

/** One BGP session as BIRD shows it. */
export type Session = {
  /** Address of the other end. */
  peer: string;
  kind: 'mesh' | 'node' | 'global';
  established: boolean;
  /** `Established`, `Active        Socket: Connection refused`. */
  info: string;
  /** Seconds since the state changed, as far as BIRD says: a day and more count as 86400. */
  ageSeconds: number;
};

/** BIRD of one node: what runs, and what confd has rendered for it. */
export type BirdState = {
  node: string;
  /** Why it could not be asked, `` when it was. */
  error: string;
  sessions: Session[];
  /** Seconds since the epoch. */
  loadedAt: number;
  renderedAt: number;
  /** What BIRD says about the rendered configuration; `` when it would take it. */
  refused: string;
};

const socket = '/var/run/calico/bird.ctl';
const configs = ['bird.cfg', 'bird_ipam.cfg', 'bird_aggr.cfg'].map((file) => `/etc/calico/confd/config/${file}`);
const mark = '---';
const birdcl = (command: string): string => `birdcl -s ${socket} ${command}`;
const look = [
  birdcl('show status'),
  'date +%s',
  birdcl('show protocols'),
  `stat -c %Y ${configs.join(' ')}`,
  birdcl('configure check'),
].join(`; echo ${mark}; `);

const agentsAtOnce = 20;
const execMs = 15_000;

/** Asks the BIRD of each node, through its agent's pod. */
export async function askBirds(context: Asker, nodes: readonly string[]): Promise<BirdState[]> {
  const pods = await context.kubernetes.list(
    { apiVersion: 'v1', kind: 'Pod' },
    { namespace: calico.namespace, labelSelector: calico.podSelector },
  );
  const agents = new Map(pods.filter(isReady).map((pod) => [String(pod['spec']?.nodeName), pod.metadata.name]));
  return mapLimit(nodes, agentsAtOnce, async (node) => {
    const name = agents.get(node);
    if (name === undefined) return unknown(node, 'it has no Ready calico-node pod');
    try {
      const { stdout, stderr } = await context.kubernetes.exec(
        { namespace: calico.namespace, name, container: calico.daemonSet },
        ['sh', '-c', look],
        { timeoutMs: execMs, signal: context.signal },
      );
      return parseBird(node, stdout, stderr);
    } catch (error) {
      context.signal.throwIfAborted();
      return unknown(node, error instanceof Error ? error.message : String(error));
    }
  });
}

const unknown = (node: string, error: string): BirdState => ({
  node,
  error,
  sessions: [],
  loadedAt: 0,
  renderedAt: 0,
  refused: '',
});

/** Pure: what `look` printed, as BIRD 1.6 and 2 print it. */
export function parseBird(node: string, stdout: string, stderr = ''): BirdState {
  const [status = '', clock = '', protocols = '', files = '', check = ''] = stdout.split(`${mark}\n`);
  const now = Number(clock.trim());
  const server = timeIn(status, /Current server time is (\S+ \S+)/);
  const loaded = timeIn(status, /Last reconfiguration on (\S+ \S+)/);
  if (server === undefined || loaded === undefined || !Number.isFinite(now))
    return unknown(node, firstLine(`${status}${stderr}`) || 'BIRD does not answer');
  // BIRD prints local time: what it calls now tells how far that is from the epoch, in whole quarters of an hour.
  const shift = Math.round((now - server) / 900) * 900;
  const rendered = files
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
  return {
    node,
    error: rendered.length === 0 ? 'confd has rendered no configuration' : '',
    sessions: protocols.split('\n').flatMap((line) => sessionOf(line, server)),
    loadedAt: loaded + shift,
    renderedAt: Math.max(0, ...rendered),
    refused: refusalIn(check),
  };
}

const protocolLine = /^(Mesh|Node|Global)_(\S+)\s+BGP\s+\S+\s+\S+\s+(\d\S*)\s*(.*)$/;

function sessionOf(line: string, server: number): Session[] {
  const match = protocolLine.exec(line);
  if (match === null) return [];
  const [, kind = '', name = '', since = '', info = ''] = match;
  return [
    {
      peer: name.replaceAll('_', '.'),
      kind: kind.toLowerCase() as Session['kind'],
      established: info.startsWith('Established'),
      info: info.trim(),
      ageSeconds: ageOf(since, server),
    },
  ];
}

const day = 86_400;

/** `21:04:17` today, or a date when it is longer ago. */
function ageOf(since: string, server: number): number {
  const time = /^(\d{1,2}):(\d{2}):(\d{2})/.exec(since);
  if (time === null) return day;
  const seconds = Number(time[1]) * 3600 + Number(time[2]) * 60 + Number(time[3]);
  return (((server - seconds) % day) + day) % day;
}

function timeIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) return undefined;
  const at = Date.parse(`${found.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? undefined : Math.floor(at / 1000);
}

/** The sentence after `Reading configuration from …`, when it is not `Configuration OK`. */
function refusalIn(check: string): string {
  if (/Configuration OK/.test(check)) return '';
  const said = check
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^BIRD .* ready\.?$/.test(line) && !line.startsWith('Reading configuration'));
  return said.at(-1) ?? 'birdcl configure check said nothing';
}

const firstLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '') ?? '';
