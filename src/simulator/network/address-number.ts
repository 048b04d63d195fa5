import { parseCidr, toNumber, type Cidr } from '../scenario/address.ts';

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

const networks = new Map<string, Cidr>();

/** `parseCidr`, remembered: every node of a cluster has routes to the same networks. */
export function network(text: string): Cidr {
  let value = networks.get(text);
  if (value === undefined) {
    if (networks.size > MOST) networks.clear();
    networks.set(text, (value = parseCidr(text)));
  }
  return value;
}

/** Whether a network holds an address. */
export const holds = ({ base, length }: Cidr, address: string) =>
  length === 0 || (addressNumber(address) ^ base) >>> (32 - length) === 0;
