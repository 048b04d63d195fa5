import { contains, parseCidr } from '../checks/cidr.ts';
import { nearest } from '../plan/nearest.ts';
import type {
  DeclaredFlow,
  Flow,
  FlowSource,
  ObservedFlow,
  Party,
  PolicyCluster,
  PolicyPod,
  PolicyService,
  Protocol,
} from './types.ts';

export interface GatheredFlows {
  flows: Flow[];
  /** One sentence for each flow that names somebody who is not there. */
  unknown: { source: FlowSource; message: string; hint?: string }[];
}

/** All flows that are known to work today, from every source, each connection once: what a person wrote goes first. */
export function gatherFlows(
  cluster: PolicyCluster,
  given: { declared?: { flows: readonly DeclaredFlow[]; file: string }; observed?: readonly ObservedFlow[] },
): GatheredFlows {
  const directory = createDirectory(cluster);
  const unknown: GatheredFlows['unknown'] = [];
  const flows: Flow[] = [];

  for (const [index, flow] of (given.declared?.flows ?? []).entries()) {
    const origin = `flow ${index + 1} of ${given.declared!.file}`;
    const from = directory.clients(flow.from);
    const to = directory.targets(flow.to, flow.port, flow.protocol);
    for (const [side, found] of [
      ['from', from],
      ['to', to],
    ] as const)
      if ('missing' in found)
        unknown.push({ source: 'file', message: `${origin}: ${side} ${found.missing}`, ...hint(found) });
    if ('missing' in from || 'missing' in to) continue;
    flows.push(...pairs(from.parties, to.targets, flow.protocol, { source: 'file', origin }));
  }
  for (const service of cluster.services) {
    const origin = `Service ${service.namespace}/${service.name}, its clients`;
    for (const client of service.clients.split(',').map((each) => each.trim())) {
      if (client === '') continue;
      const from = directory.clients(
        client.includes('/') || client.includes(':') ? client : `${service.namespace}/${client}`,
      );
      if ('missing' in from) {
        unknown.push({ source: 'annotation', message: `${origin}: it ${from.missing}`, ...hint(from) });
        continue;
      }
      for (const { port, protocol } of service.ports)
        flows.push(
          ...pairs(from.parties, directory.backends(service, port, protocol), protocol, {
            source: 'annotation',
            origin,
          }),
        );
    }
  }
  flows.push(...observedFlows(cluster, directory, given.observed ?? []), ...impliedFlows(cluster, directory));
  return { flows: distinct(flows), unknown };
}

interface Target {
  party: Party;
  port: number;
  service?: string;
}
interface Missing {
  /** `names shop/wbe, and the cluster has no workload or pod of that name`. */
  missing: string;
  near?: string | undefined;
}
const hint = ({ near }: Missing) => (near === undefined ? {} : { hint: `did you mean ${near}?` });

/** Everybody in the cluster by the names under which people know them. */
function createDirectory(cluster: PolicyCluster) {
  const byWorkload = Map.groupBy(cluster.pods, ({ workload }) => workload);
  const byName = new Map(cluster.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const byIp = new Map(
    cluster.pods.filter(({ ip, hostNetwork }) => ip !== '' && !hostNetwork).map((pod) => [pod.ip, pod]),
  );
  const nodes = new Map(cluster.nodes.map((node) => [node.name, node]));
  const nodesByIp = new Map(cluster.nodes.flatMap((node) => [node.ip, node.tunnelIp].map((ip) => [ip, node] as const)));
  const services = new Map(cluster.services.map((service) => [`${service.namespace}/${service.name}`, service]));
  const servicesByIp = new Map(cluster.services.map((service) => [service.clusterIP, service]));

  const atAddress = (ip: string): Party => {
    const pod = byIp.get(ip);
    if (pod !== undefined) return { kind: 'pod', pod };
    const node = ip === '' ? undefined : nodesByIp.get(ip);
    return node === undefined ? { kind: 'address', ip } : { kind: 'host', node };
  };
  const podsOf = (name: string): readonly PolicyPod[] => {
    if (name.endsWith('/*')) return cluster.pods.filter(({ namespace }) => `${namespace}/*` === name);
    const pod = byName.get(name);
    return byWorkload.get(name) ?? (pod === undefined ? [] : [pod]);
  };
  const clients = (name: string): { parties: Party[] } | Missing => {
    if (parseCidr(name) !== undefined) return { parties: [atAddress(name)] };
    if (name.startsWith('node:')) {
      const node = nodes.get(name.slice('node:'.length));
      if (node !== undefined) return { parties: [{ kind: 'host', node }] };
      return {
        missing: `names ${name}, and the cluster has no such node`,
        near: nearest(
          name,
          [...nodes.keys()].map((each) => `node:${each}`),
        ),
      };
    }
    const found = podsOf(name);
    if (found.length > 0) return { parties: found.map((pod) => ({ kind: 'pod', pod })) };
    return {
      missing: `names ${name}, and the cluster has no workload or pod of that name`,
      near: nearest(name, [...byWorkload.keys(), ...byName.keys()]),
    };
  };
  const backends = (service: PolicyService, port: number, protocol: Protocol): Target[] =>
    service.backends
      .filter((backend) => backend.servicePort === port && backend.protocol === protocol)
      .map((backend) => ({
        party: atAddress(backend.ip),
        port: backend.port,
        service: `${service.namespace}/${service.name}`,
      }));
  const targets = (name: string, port: number, protocol: Protocol): { targets: Target[] } | Missing => {
    const service = services.get(name) ?? (name === '' ? undefined : servicesByIp.get(name));
    if (service?.ports.some((each) => each.port === port && each.protocol === protocol))
      return { targets: backends(service, port, protocol) };
    const found = clients(name);
    if (!('missing' in found)) return { targets: found.parties.map((party) => ({ party, port })) };
    if (service !== undefined) return { missing: `names the Service ${name}, which has no port ${port}/${protocol}` };
    return {
      missing: found.missing.replace('workload or pod', 'Service, workload or pod'),
      near: found.near ?? nearest(name, services.keys()),
    };
  };
  return { atAddress, clients, backends, targets, services };
}
type Directory = ReturnType<typeof createDirectory>;

const pairs = (
  from: readonly Party[],
  to: readonly Target[],
  protocol: Protocol,
  about: Pick<Flow, 'source' | 'origin'>,
): Flow[] =>
  from.flatMap((client) =>
    to.map(({ party, port, service }) => ({
      ...about,
      connection: { from: client, to: party, protocol, port, ...(service === undefined ? {} : { viaService: true }) },
      ...(service === undefined ? {} : { service }),
    })),
  );

/** What nobody has to declare: names are resolved, kubelets probe, the API server calls webhooks, DNS asks the API server. */
function impliedFlows(cluster: PolicyCluster, directory: Directory): Flow[] {
  const flows: Flow[] = [];
  const dns = cluster.services.filter(({ isDns }) => isDns);
  const resolvers = cluster.pods.filter(({ clusterDns }) => clusterDns).map((pod): Party => ({ kind: 'pod', pod }));
  for (const service of dns)
    for (const { port, protocol } of service.ports.filter(({ port }) => port === 53))
      flows.push(
        ...pairs(resolvers, directory.backends(service, port, protocol), protocol, {
          source: 'implied',
          origin: 'pods resolve names',
        }),
      );

  const api = directory.services.get('default/kubernetes');
  const servers = dns.flatMap(({ backends }) => backends).map(({ ip }) => directory.atAddress(ip));
  for (const { port, protocol } of api?.ports ?? [])
    flows.push(
      ...pairs(servers, directory.backends(api!, port, protocol), protocol, {
        source: 'implied',
        origin: "the cluster's DNS reads from the API server",
      }),
    );

  const nodes = new Map(cluster.nodes.map((node) => [node.name, node]));
  for (const pod of cluster.pods) {
    const node = nodes.get(pod.node);
    if (node === undefined || pod.hostNetwork) continue;
    for (const port of pod.probes)
      flows.push({
        source: 'implied',
        origin: 'kubelet probes its pods',
        connection: { from: { kind: 'host', node }, to: { kind: 'pod', pod }, protocol: 'TCP', port },
      });
  }

  // A managed control plane is no node of the cluster, and its address is not known.
  const controlPlane = cluster.nodes.filter((node) => node.controlPlane).map((node): Party => ({ kind: 'host', node }));
  const apiServers: Party[] = controlPlane.length > 0 ? controlPlane : [{ kind: 'address', ip: '' }];
  for (const { name, namespace, service, port } of cluster.webhooks) {
    const target = directory.services.get(`${namespace}/${service}`);
    if (target === undefined) continue;
    flows.push(
      ...pairs(apiServers, directory.backends(target, port, 'TCP'), 'TCP', {
        source: 'implied',
        origin: `the API server calls ${name}`,
      }),
    );
  }
  return flows;
}

/** Connections that the nodes remember. An address of the pod network that no pod has any more says nothing. */
function observedFlows(cluster: PolicyCluster, directory: Directory, observed: readonly ObservedFlow[]): Flow[] {
  const ranges = cluster.nodes.map(({ podCidr }) => parseCidr(podCidr)).filter((range) => range !== undefined);
  const isGone = (party: Party): boolean => {
    const address = party.kind === 'address' ? parseCidr(party.ip) : undefined;
    return address !== undefined && ranges.some((range) => contains(range, address));
  };
  return observed.flatMap(({ node, source, destination, protocol, port, connections }) => {
    const [from, to] = [directory.atAddress(source), directory.atAddress(destination)];
    if (isGone(from) || isGone(to) || (from.kind !== 'pod' && to.kind !== 'pod')) return [];
    const origin = `conntrack of ${node}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`;
    return [{ source: 'conntrack', origin, connection: { from, to, protocol, port } }];
  });
}

function distinct(flows: readonly Flow[]): Flow[] {
  const seen = new Set<string>();
  return flows.filter(({ connection: { from, to, protocol, port, viaService } }) => {
    const self = viaService === true && partyKey(from) === partyKey(to) ? ' again' : '';
    const key = `${partyKey(from)} ${partyKey(to)} ${protocol} ${port}${self}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** `shop/web-1`, `node n1`, `203.0.113.7`: one end as a person calls it. */
export function partyKey(party: Party): string {
  if (party.kind === 'pod') return `${party.pod.namespace}/${party.pod.name}`;
  if (party.kind === 'host') return `node ${party.node.name}`;
  return party.ip === '' ? 'the API server' : party.ip;
}
