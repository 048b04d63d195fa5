import type { Fault } from '../types.ts';

/** A text parameter of a fault, or what it is without one. */
export function faultText(fault: Fault, parameter: string, otherwise: string): string {
  const value = fault[parameter];
  return typeof value === 'string' ? value : otherwise;
}
