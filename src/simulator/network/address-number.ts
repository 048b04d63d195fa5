import { toNumber, type Cidr } from '../scenario/address.ts';

const numbers = new Map<string, number>();
const MOST = 200_000;

/** An address as a number; remembered, because the same few thousand come by all the time. */
export function addressNumber(address: string): number {
  let value = numbers.get(address);
  if (value === undefined) {
    if (numbers.size > MOST) numbers.clear();
    numbers.set(address, (value = toNumber(address)));
  }
  return value;
}

/** Whether a network holds an address. */
export const holds = ({ base, length }: Cidr, address: string) => length === 0 || (addressNumber(address) ^ base) >>> (32 - length) === 0;
