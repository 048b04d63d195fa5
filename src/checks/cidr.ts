/** An IPv4 range; both ends belong to it. */
export interface Range {
  start: number;
  end: number;
}

/** `10.244.2.0/26` or an address without a length; undefined for anything else, IPv6 and `default` included. */
export function parseCidr(text: string): (Range & { bits: number }) | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;

  const bytes = match.slice(1, 5).map(Number);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  if (bytes.some((byte) => byte > 255) || bits > 32) return undefined;

  const size = 2 ** (32 - bits);
  const address = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const start = address - (address % size);
  return { start, end: start + size - 1, bits };
}

export const contains = (outer: Range, inner: Range): boolean => outer.start <= inner.start && inner.end <= outer.end;

/** Whether the address or range `inner` lies in `outer`; not when one of them is no IPv4. */
export function within(inner: string, outer: string): boolean {
  const [range, whole] = [parseCidr(inner), parseCidr(outer)];
  return range !== undefined && whole !== undefined && contains(whole, range);
}

export const overlaps = (a: Range, b: Range): boolean => a.start <= b.end && b.start <= a.end;

/** The same addresses as disjoint ranges in order, so that they can be searched. */
export function merge(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end + 1) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** How many addresses of `range` lie in none of `parts`, which `merge` made. */
export function uncovered(range: Range, parts: readonly Range[]): number {
  let missing = 0;
  let next = range.start;
  for (let index = firstReaching(parts, range.start); index < parts.length; index++) {
    const part = parts[index]!;
    if (part.start > range.end) break;
    missing += Math.max(0, part.start - next);
    next = part.end + 1;
  }
  return missing + Math.max(0, range.end + 1 - next);
}

function firstReaching(parts: readonly Range[], address: number): number {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (parts[middle]!.end < address) low = middle + 1;
    else high = middle;
  }
  return low;
}
