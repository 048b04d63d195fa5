import type { CompiledPlan } from '../plan/types.ts';
import type { Capture } from '../probe/capture/types.ts';

/** What a leaner encapsulation saves in a month, as a range of thought and no bill: every number that went in is in `formula`. */
export type CostEstimate = {
  currency: string;
  /** 0 when nothing is saved, below when it costs more. */
  perMonth: number;
  savedBytesPerPacket: number;
  packetsPerMonth: number;
  savedGBPerMonth: number;
  /** `given` in the plan, or `measured` in a quiet moment of the capture. */
  volume: 'given' | 'measured';
  gbPerMonth: number;
  /** Mean of a packet between nodes, bytes. */
  bytesPerPacket: number;
  /** The arithmetic, with the numbers in it. */
  formula: string;
  /** One sentence each: what the estimate rests on. */
  assumptions: string[];
};

const secondsPerMonth = 30 * 24 * 3600;
const bytesPerGB = 1e9;

/**
 * @param nodes of the whole plan: what two of them sent stands for all
 * @returns null without a price, or when bytes per packet were not measured both times
 */
export function estimateCost(
  traffic: CompiledPlan['traffic'],
  before: Capture | undefined,
  savedBytes: number | undefined,
  nodes: number,
): CostEstimate | null {
  if (traffic === undefined || before === undefined || savedBytes === undefined) return null;
  const quiet = before.devices.filter(({ role }) => role === 'tunnel').map((device) => device.quiet);
  const packets = mean(quiet.map(({ txpck }) => txpck));
  const bytes = mean(quiet.map(({ txkB }) => txkB * 1024));
  const assumptions: string[] = [];

  const isKnown = packets > 0;
  const bytesPerPacket = isKnown ? bytes / packets : (before.encapsulation?.frameBytes ?? 1_000);
  if (!isKnown)
    assumptions.push(
      `no traffic between pods was counted in the quiet moment, so packets of ${fixed(bytesPerPacket)} bytes are assumed`,
    );
  const { gbPerMonth: given, pricePerGB, crossZoneShare, currency } = traffic;
  const gbPerMonth = given ?? (bytes * nodes * secondsPerMonth) / bytesPerGB;
  const packetsPerMonth = (gbPerMonth * bytesPerGB) / bytesPerPacket;
  if (given === undefined)
    assumptions.push(
      `the volume is what ${quiet.length} tunnel devices sent in ${before.settings.seconds} quiet s, for ${nodes} nodes and 30 days: give spec.traffic.gbPerMonth for a better one`,
    );
  assumptions.push('only bytes that cross zones cost anything, and none of them is free');

  const savedGBPerMonth = (packetsPerMonth * savedBytes) / bytesPerGB;
  const perMonth = savedGBPerMonth * crossZoneShare * pricePerGB;
  return {
    currency,
    perMonth,
    savedBytesPerPacket: savedBytes,
    packetsPerMonth,
    savedGBPerMonth,
    volume: given === undefined ? 'measured' : 'given',
    gbPerMonth,
    bytesPerPacket,
    formula:
      `${fixed(gbPerMonth)} GB a month / ${fixed(bytesPerPacket)} bytes a packet = ${fixed(packetsPerMonth / 1e6)} million packets; ` +
      `x ${savedBytes} bytes saved = ${fixed(savedGBPerMonth)} GB; ` +
      `x ${crossZoneShare} across zones x ${pricePerGB} ${currency} a GB = ${fixed(perMonth)} ${currency} a month`,
    assumptions,
  };
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Three digits that count, and all of those before the point. */
export const fixed = (value: number): string =>
  value.toLocaleString('en-US', {
    maximumSignificantDigits: Math.max(3, Math.trunc(Math.abs(value)).toString().length),
  });
