import type { SimRule } from '../types.ts';
import { addressMatcher } from './nat.ts';

/** What a packet filter sees of a packet: the addresses and the port that its sender wrote, before any DNAT. */
export interface Header {
  source: string;
  destination: string;
  protocol: string;
  port: number;
  /** IP packet, bytes. */
  bytes: number;
}

export interface DropRule {
  chain: 'PREROUTING' | 'OUTPUT';
  /** As `iptables-save` prints it. */
  text: string;
  matches(header: Header): boolean;
}

/** Rules of raw and mangle that drop: packets meet these tables first, as they come in or as the node itself sends them. */
export const dropRules = (rules: readonly SimRule[]): DropRule[] =>
  rules.flatMap(({ family, table, chain, text }): DropRule[] =>
    family === 'ip' &&
    (table === 'raw' || table === 'mangle') &&
    (chain === 'PREROUTING' || chain === 'OUTPUT') &&
    text.endsWith('-j DROP')
      ? [{ chain, text: `-A ${chain} ${text}`, matches: matcher(text) }]
      : [],
  );

/** The rule of that chain that drops the packet. */
export const droppedBy = (rules: readonly DropRule[], chain: DropRule['chain'], header: Header): DropRule | undefined =>
  rules.find((rule) => rule.chain === chain && rule.matches(header));

function matcher(text: string): DropRule['matches'] {
  const isSource = addressMatcher(text, 's');
  const isDestination = addressMatcher(text, 'd');
  const protocol = /-p (\w+)/.exec(text)?.[1];
  const port = /--dport (\d+)/.exec(text)?.[1];
  const [, least = '0', most = '65535'] = /--length (\d+):(\d+)/.exec(text) ?? [];
  return (header) =>
    isSource(header.source) &&
    isDestination(header.destination) &&
    (protocol === undefined || header.protocol === protocol) &&
    (port === undefined || header.port === Number(port)) &&
    header.bytes >= Number(least) &&
    header.bytes <= Number(most);
}
