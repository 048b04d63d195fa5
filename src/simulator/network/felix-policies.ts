import type { KubernetesObject } from '../types.ts';

/** Calico turns every kind of policy into this before its agents see it; selectors are text with namespaces worked in. */
export interface FelixPolicy {
  /** For sentences: `only-b`. */
  name: string;
  /** Decides between equal orders. */
  key: string;
  tier: string;
  order: number;
  selector: string;
  ingress?: FelixRule[];
  egress?: FelixRule[];
}

export interface FelixRule {
  action: 'allow' | 'deny' | 'next-tier' | 'log';
  /** Lower case, `` for any. */
  protocol: string;
  notProtocol: string;
  source: Entity;
  destination: Entity;
}

export interface Entity {
  selector: string;
  notSelector: string;
  nets: string[] | undefined;
  notNets: string[];
  ports: (number | string)[];
  notPorts: (number | string)[];
  service: { name: string; namespace: string } | undefined;
}

/** An address with the labels of everybody who has it: a pod, and network sets. */
export interface Endpoint {
  ip: string;
  pod: KubernetesObject | undefined;
  labels: { [key: string]: string }[];
}

const NAMESPACE = 'projectcalico.org/namespace';
const ACCOUNT = 'projectcalico.org/serviceaccount';
const quoted = (value: string) => `'${value}'`;
const and = (...parts: (string | undefined)[]): string => {
  const written = parts.filter((part) => part !== undefined && part !== '');
  return written.length === 1 ? written[0]! : written.map((part) => `(${part})`).join(' && ');
};

type Labels = { [key: string]: string };

/** What a pod is known by: its labels, those of its namespace and account with a prefix, and where it is. */
export function labelsOf(pod: KubernetesObject, namespace: Labels = {}, account: Labels = {}): Labels {
  const labels: Labels = { ...pod.metadata.labels };
  for (const [key, value] of Object.entries(namespace)) labels[`pcns.${key}`] = value;
  for (const [key, value] of Object.entries(account)) labels[`pcsa.${key}`] = value;
  labels[NAMESPACE] = pod.metadata.namespace ?? '';
  labels['projectcalico.org/orchestrator'] = 'k8s';
  labels[ACCOUNT] = pod['spec'].serviceAccountName ?? 'default';
  return labels;
}

/** None for objects that no pod is judged by. */
export function convert(object: KubernetesObject): FelixPolicy[] {
  if (object.apiVersion === 'networking.k8s.io/v1') return [fromKubernetes(object)];
  const { spec = {}, metadata } = object;
  const isGlobal = metadata.namespace === undefined;
  if (spec.preDNAT === true || spec.doNotTrack === true) return [];
  const own = metadata.namespace ?? '';
  const types: string[] = spec.types ?? [];
  const rules = (list: Written[] = []) => list.map((rule) => fromCalico(rule, own));
  return [
    {
      name: metadata.name,
      key: isGlobal ? metadata.name : `${own}/${metadata.name}`,
      tier: spec.tier ?? 'default',
      order: spec.order ?? Infinity,
      selector: and(
        spec.selector,
        isGlobal ? prefixed(spec.namespaceSelector, 'pcns.', NAMESPACE) : `${NAMESPACE} == ${quoted(own)}`,
        prefixed(spec.serviceAccountSelector, 'pcsa.', ACCOUNT),
      ),
      ...(types.length === 0 || types.includes('Ingress') ? { ingress: rules(spec.ingress) } : {}),
      ...(types.length === 0 || types.includes('Egress') ? { egress: rules(spec.egress) } : {}),
    },
  ];
}

/** Puts a prefix before every label of a selector; `all()` becomes "has one at all". */
function prefixed(selector: string | undefined, prefix: string, whole: string): string {
  if (selector === undefined || selector === '') return '';
  return selector.replace(
    /'[^']*'|"[^"]*"|\b(all|global)\(\s*\)|\bhas\(\s*([A-Za-z0-9_./-]+)\s*\)|\b(not\s*in|in|contains|starts\s+with|ends\s+with)\b(?=\s*['"{])|[A-Za-z0-9_./-]+/g,
    (text: string, call?: string, key?: string, operator?: string) => {
      if (call === 'all') return `has(${whole})`;
      if (call === 'global') return `!has(${NAMESPACE})`;
      if (key !== undefined) return `has(${prefix}${key})`;
      return operator !== undefined || /^['"]/.test(text) ? text : prefix + text;
    },
  );
}

interface WrittenEntity {
  selector?: string;
  notSelector?: string;
  namespaceSelector?: string;
  serviceAccounts?: { names?: string[]; selector?: string };
  services?: { name: string; namespace?: string };
  nets?: string[];
  notNets?: string[];
  ports?: (number | string)[];
  notPorts?: (number | string)[];
}
interface Written {
  action?: string;
  protocol?: string | number;
  notProtocol?: string | number;
  source?: WrittenEntity;
  destination?: WrittenEntity;
}

const actions = { Allow: 'allow', Deny: 'deny', Pass: 'next-tier', Log: 'log' } as const;
const named: { [number: string]: string } = { 6: 'tcp', 17: 'udp', 132: 'sctp', 1: 'icmp' };
const protocolOf = (written: string | number | undefined): string =>
  written === undefined ? '' : (named[String(written)] ?? String(written).toLowerCase());

const fromCalico = (
  { action = 'Allow', protocol, notProtocol, source, destination }: Written,
  own: string,
): FelixRule => ({
  action: actions[action as keyof typeof actions],
  protocol: protocolOf(protocol),
  notProtocol: protocolOf(notProtocol) || '-',
  source: entity(source, own),
  destination: entity(destination, own),
});

function entity(written: WrittenEntity = {}, own = ''): Entity {
  const { selector, notSelector = '', namespaceSelector = '', serviceAccounts, services, nets, notNets = [] } = written;
  const named = serviceAccounts?.names ?? [];
  const who = and(
    prefixed(serviceAccounts?.selector, 'pcsa.', ACCOUNT),
    named.length > 0 ? `${ACCOUNT} in { ${named.map(quoted).join(', ')} }` : '',
    selector,
  );
  const where =
    namespaceSelector !== ''
      ? prefixed(namespaceSelector, 'pcns.', NAMESPACE)
      : own !== '' && (who !== '' || notSelector !== '')
        ? `${NAMESPACE} == ${quoted(own)}`
        : '';
  return {
    selector: and(where, who),
    notSelector,
    nets: nets !== undefined && nets.length > 0 ? nets : undefined,
    notNets,
    ports: written.ports ?? [],
    notPorts: written.notPorts ?? [],
    service: services && { name: services.name, namespace: services.namespace ?? own },
  };
}

interface Selector {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}
interface KubernetesRule {
  from?: KubernetesPeer[];
  to?: KubernetesPeer[];
  ports?: { port?: number | string; endPort?: number; protocol?: string }[];
}
interface KubernetesPeer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}

/** Kubernetes' own policy as one of Calico's, at order 1000: a rule for each peer and protocol. */
function fromKubernetes({ metadata, spec }: KubernetesObject): FelixPolicy {
  const own = metadata.namespace ?? '';
  const types: string[] =
    spec.policyTypes?.length > 0 ? spec.policyTypes : spec.egress?.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
  const rules = (direction: 'ingress' | 'egress') =>
    ((spec[direction] ?? []) as KubernetesRule[]).flatMap((rule) => {
      const written = (direction === 'ingress' ? rule.from : rule.to) ?? [];
      const peers = written.length === 0 ? [{}] : written.map((peer) => calicoEntity(peer));
      return portsByProtocol(rule.ports ?? []).flatMap(([protocol, ports]) =>
        peers.map((peer) =>
          fromCalico(
            {
              ...(protocol === '' ? {} : { protocol }),
              source: direction === 'ingress' ? peer : {},
              destination: { ...(direction === 'ingress' ? {} : peer), ports },
            },
            own,
          ),
        ),
      );
    });
  return {
    name: metadata.name,
    key: `${own}/knp.default.${metadata.name}`,
    tier: 'default',
    order: 1000,
    selector: and(`${NAMESPACE} == ${quoted(own)}`, text(spec.podSelector ?? {})),
    ...(types.includes('Ingress') ? { ingress: rules('ingress') } : {}),
    ...(types.includes('Egress') ? { egress: rules('egress') } : {}),
  };
}

function calicoEntity({ ipBlock, podSelector, namespaceSelector }: KubernetesPeer): WrittenEntity {
  if (ipBlock !== undefined) return { nets: [ipBlock.cidr], notNets: ipBlock.except ?? [] };
  const isAll = namespaceSelector !== undefined && text(namespaceSelector) === '';
  return {
    selector: and("projectcalico.org/orchestrator == 'k8s'", podSelector && text(podSelector)),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector: isAll ? 'all()' : text(namespaceSelector) }),
  };
}

/** A protocol without a port among them means all ports of it. */
function portsByProtocol(written: NonNullable<KubernetesRule['ports']>): [string, (number | string)[]][] {
  if (written.length === 0) return [['', []]];
  return [...Map.groupBy(written, ({ protocol = 'TCP' }) => protocol)].map(([protocol, ports]) => [
    protocol,
    ports.some(({ port }) => port === undefined)
      ? []
      : ports.map(({ port, endPort }) => (endPort === undefined ? port! : `${port}:${endPort}`)),
  ]);
}

/** A label selector in Calico's language. */
function text({ matchLabels = {}, matchExpressions = [] }: Selector): string {
  const list = (values: string[] = []) => `{ ${values.map(quoted).join(', ')} }`;
  return and(
    ...Object.entries(matchLabels).map(([key, value]) => `${key} == ${quoted(value)}`),
    ...matchExpressions.map(({ key, operator, values }) => {
      if (operator === 'Exists') return `has(${key})`;
      if (operator === 'DoesNotExist') return `!has(${key})`;
      return `${key} ${operator === 'In' ? 'in' : 'not in'} ${list(values)}`;
    }),
  );
}
