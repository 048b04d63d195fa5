/** IPv4 arithmetic. Addresses are unsigned 32-bit numbers. */

export interface Cidr {
  base: number;
  length: number;
}

export function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** `10.244.0.0/16`; a base that has host bits set is cut to its network. */
export function parseCidr(text: string): Cidr {
  const [address = '', bits = '32'] = text.split('/');
  const length = Number(bits);
  const mask = length === 0 ? 0 : (~0 << (32 - length)) >>> 0;
  return { base: (toNumber(address) & mask) >>> 0, length };
}

export function contains(cidr: Cidr, address: string): boolean {
  return toNumber(address) >>> (32 - cidr.length) === cidr.base >>> (32 - cidr.length) || cidr.length === 0;
}

/** The address so many places after the base. @throws RangeError when the network is not that large */
export function addressAt(cidr: Cidr, offset: number): string {
  if (offset >= 2 ** (32 - cidr.length)) {
    throw new RangeError(`${toAddress(cidr.base)}/${cidr.length} has no address number ${offset}`);
  }
  return toAddress(cidr.base + offset);
}
