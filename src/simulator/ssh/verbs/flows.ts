import { parseCidr } from '../../scenario/address.ts';
import { number } from './input.ts';
import type { VerbModel } from './model.ts';
import { failure, latency } from './model.ts';

function address(input: object, name: string): number {
  const text = (input as { [name: string]: string })[name];
  if (text === undefined) throw failure('BadInput', `the input has no "${name}"`);
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text) || text.split('.').some((byte) => Number(byte) > 255))
    throw failure('BadInput', `"${name}" is not an IPv4 address: ${text}`);
  return toUnsigned(text);
}

const toUnsigned = (text: string): number => parseCidr(`${text}/32`).base >>> 0;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What conntrack of the node holds that was answered, as flows.sh counts it. */
export const flows: VerbModel<'flows'> = async ({ node, clock }, input) => {
  const [first, last] = [address(input, 'first'), address(input, 'last')];
  const limit = number(input, 'limit');
  await clock.sleep(latency.command);
  const inside = (text: string): boolean => toUnsigned(text) >= first && toUnsigned(text) <= last;
  const seen = new Map<string, number>();
  const now = clock.now();
  const answered = [
    ...node.conntrack.filter(({ state }) => state !== 'SYN_SENT' && state !== 'SYN_RECV'),
    ...[...node.connections.values()].filter(({ expiresAt }) => expiresAt > now),
  ];
  for (const { protocol, src, dst, dport, realDst = dst, realPort = dport } of answered) {
    if (src === undefined || (!inside(src) && !inside(realDst))) continue;
    const key = `${src} ${realDst} ${protocol.toUpperCase()} ${realPort}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  const rows = [...seen].sort((a, b) => b[1] - a[1] || compare(a[0], b[0]));
  return {
    from: 'conntrack',
    total: rows.length,
    flows: rows.slice(0, limit).map(([key, connections]) => {
      const [source, destination, protocol, port] = key.split(' ') as [string, string, 'TCP' | 'UDP', string];
      return { source, destination, protocol, port: Number(port), connections };
    }),
  };
};
