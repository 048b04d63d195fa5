import type { KubernetesObject } from '../types.ts';
import { invalid } from './status-error.ts';

const NODE_PORTS = { first: 30000, last: 32767 };

/** ClusterIPs and node ports of Services, given out as the API server does and kept for the life of the Service. */
export function createAddressAllocator(cidr: string) {
  const [base = '', length = '12'] = cidr.split('/');
  const first = toNumber(base);
  const size = 2 ** (32 - Number(length));
  const addresses = new Set<string>();
  const ports = new Set<number>();
  // The lower part is left for fixed addresses (kubernetes .1, DNS .10): KEP-3070.
  let nextAddress = Math.min(256, Math.max(16, Math.floor(size / 16)));
  let nextPort = NODE_PORTS.first;

  function freeAddress(): string {
    for (let tries = 0; tries < size; tries += 1) {
      const address = toAddress(first + nextAddress);
      nextAddress = nextAddress + 1 >= size - 1 ? 1 : nextAddress + 1;
      if (!addresses.has(address)) return address;
    }
    throw new Error(`no free address in ${cidr}`);
  }

  function freePort(): number {
    while (ports.has(nextPort)) nextPort += 1;
    return nextPort;
  }

  function give(service: KubernetesObject) {
    const { spec } = service;
    const name = service.metadata.name;
    if (spec.type === 'ExternalName') return;
    const wanted: string | undefined = spec.clusterIP || spec.clusterIPs?.[0];
    if (wanted !== undefined && wanted !== 'None' && addresses.has(wanted)) {
      const message = `Invalid value: ["${wanted}"]: failed to allocate IP ${wanted}: provided IP is already allocated`;
      throw invalid('Service', '', name, [{ field: 'spec.clusterIPs', reason: 'FieldValueInvalid', message }]);
    }
    spec.clusterIP = wanted ?? freeAddress();
    spec.clusterIPs = [spec.clusterIP];
    if (spec.clusterIP !== 'None') addresses.add(spec.clusterIP);
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') givePorts(service);
  }

  function givePorts({ spec, metadata }: KubernetesObject) {
    for (const [index, port] of (spec.ports ?? []).entries()) {
      if (port.nodePort !== undefined && ports.has(port.nodePort)) {
        const message = `Invalid value: ${port.nodePort}: provided port is already allocated`;
        const field = `spec.ports[${index}].nodePort`;
        throw invalid('Service', '', metadata.name, [{ field, reason: 'FieldValueInvalid', message }]);
      }
      port.nodePort ??= freePort();
      ports.add(port.nodePort);
    }
  }

  function release(resource: string, { spec }: KubernetesObject) {
    if (resource !== 'services') return;
    addresses.delete(spec?.clusterIP);
    for (const port of spec?.ports ?? []) ports.delete(port.nodePort);
  }

  return {
    first: toAddress(first + 1),
    allocate(resource: string, service: KubernetesObject) {
      if (resource === 'services') give(service);
    },
    release,
    /** An update that leaves addresses out keeps the ones it has. */
    keep(resource: string, current: KubernetesObject, next: KubernetesObject) {
      if (resource !== 'services') return;
      if (next['spec'].type !== 'ExternalName') {
        next['spec'].clusterIP ||= current['spec'].clusterIP;
        next['spec'].clusterIPs ??= [next['spec'].clusterIP];
      }
      release(resource, current);
      const had: { port: number; protocol?: string; nodePort?: number }[] = current['spec'].ports ?? [];
      const wantsPorts = ['NodePort', 'LoadBalancer'].includes(next['spec'].type);
      for (const port of next['spec'].ports ?? []) {
        const same = had.find((each) => each.port === port.port && each.protocol === port.protocol);
        if (wantsPorts && same?.nodePort !== undefined) port.nodePort ??= same.nodePort;
        if (!wantsPorts) delete port.nodePort;
      }
      try {
        give(next);
      } catch (error) {
        if (current['spec'].clusterIP !== undefined) addresses.add(current['spec'].clusterIP);
        for (const port of had) if (port.nodePort !== undefined) ports.add(port.nodePort);
        throw error;
      }
    },
  };
}

const toNumber = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toAddress = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
