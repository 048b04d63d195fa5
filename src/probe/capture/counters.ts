import type { VerbOutput } from '../../node/types.ts';
import { round } from './statistics.ts';
import type { DeviceRates, Rates } from './types.ts';

type Counters = VerbOutput<'counters'>;
type LinkCounters = Counters['links'][number];

/** What a node sent between two looks at its counters; undefined when they do not go together. */
export function sentBetween(
  first: Counters | undefined,
  last: Counters | undefined,
): { seconds: number; underlayBytes: number; tunnelPackets: number } | undefined {
  const seconds = secondsBetween(first, last);
  if (first === undefined || last === undefined || seconds === undefined) return undefined;
  const moved = (role: LinkCounters['role'], field: 'txBytes' | 'txPackets'): number =>
    last.links
      .filter((link) => link.role === role)
      .reduce((sum, link) => sum + link[field] - (first.links.find(({ name }) => name === link.name)?.[field] ?? 0), 0);
  return { seconds, underlayBytes: moved('underlay', 'txBytes'), tunnelPackets: moved('tunnel', 'txPackets') };
}

/** Rates of each device of a node over the quiet interval and over the one under load. */
export function deviceRates(
  node: string,
  start: Counters | undefined,
  quiet: Counters | undefined,
  loaded: Counters | undefined,
): DeviceRates[] {
  return (loaded?.links ?? []).flatMap(({ name: device, role }) => {
    const usual = ratesOf(device, start, quiet);
    const under = ratesOf(device, quiet, loaded);
    return usual === undefined || under === undefined ? [] : [{ node, device, role, quiet: usual, loaded: under }];
  });
}

function ratesOf(device: string, first: Counters | undefined, last: Counters | undefined): Rates | undefined {
  const seconds = secondsBetween(first, last);
  const [from, to] = [first, last].map((counters) => counters?.links.find(({ name }) => name === device));
  if (seconds === undefined || from === undefined || to === undefined) return undefined;
  const perSecond = (field: keyof LinkCounters & `${string}s`, unit: number): number =>
    round((to[field] - from[field]) / unit / seconds, 2);
  return {
    rxpck: perSecond('rxPackets', 1),
    txpck: perSecond('txPackets', 1),
    rxkB: perSecond('rxBytes', 1024),
    txkB: perSecond('txBytes', 1024),
  };
}

/** A node that was started in between counts anew. */
function secondsBetween(first: Counters | undefined, last: Counters | undefined): number | undefined {
  const ms = (last?.uptimeMs ?? 0) - (first?.uptimeMs ?? 0);
  return first === undefined || last === undefined || ms <= 0 ? undefined : ms / 1000;
}
