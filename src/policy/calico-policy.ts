import type { KubernetesObject } from '../kubernetes/types.ts';
import { inRanges, portMatches } from './rules.ts';
import type { Action, End, Packet, Policy, Rule } from './rules.ts';
import { parseSelector } from './selector.ts';
import type { Selects } from './selector.ts';
import type { Direction, Labels, PolicyPod, PolicyService } from './types.ts';

/** Labels that Calico itself puts on every pod, and the prefixes of those that it takes from elsewhere. */
const namespaceLabel = 'projectcalico.org/namespace';
const serviceAccountLabel = 'projectcalico.org/serviceaccount';
const ofNamespace = 'pcns.';
const ofServiceAccount = 'pcsa.';

interface EntityRule {
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
interface WrittenRule {
  action?: string;
  protocol?: string | number;
  notProtocol?: string | number;
  ipVersion?: number;
  icmp?: { type?: number; code?: number };
  notICMP?: { type?: number; code?: number };
  source?: EntityRule;
  destination?: EntityRule;
}

export interface CalicoContext {
  /** The labels under which a pod is known to selectors. */
  labels(pod: PolicyPod): Labels;
  service(namespace: string, name: string): PolicyService | undefined;
}

/** A pod's own labels, those of its namespace and ServiceAccount under their prefixes, and those that Calico adds. */
export function calicoLabels(pod: PolicyPod, namespace: Labels | undefined, account: Labels | undefined): Labels {
  return {
    ...prefixed(namespace, ofNamespace),
    ...prefixed(account, ofServiceAccount),
    ...pod.labels,
    [namespaceLabel]: pod.namespace,
    'projectcalico.org/orchestrator': 'k8s',
    ...(pod.serviceAccount === '' ? {} : { [serviceAccountLabel]: pod.serviceAccount }),
  };
}

const prefixed = (labels: Labels = {}, prefix: string): Labels =>
  Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));

/** Label set and members of a NetworkSet or GlobalNetworkSet: a peer of selectors wherever the address is one of its own. */
export function networkSet(object: KubernetesObject): { labels: Labels; holds(ip: string): boolean } {
  const { labels = {}, namespace } = object.metadata;
  return {
    labels: namespace === undefined ? labels : { ...labels, [namespaceLabel]: namespace },
    holds: inRanges(object['spec']?.nets ?? []),
  };
}

/**
 * A NetworkPolicy or GlobalNetworkPolicy of Calico. Global ones for untracked or pre-DNAT traffic concern hosts alone.
 *
 * @returns undefined for a policy that no pod is ever judged by
 * @throws Error when a selector cannot be read
 */
export function calicoPolicy(object: KubernetesObject, context: CalicoContext): Policy | undefined {
  const { name } = object.metadata;
  const spec = object['spec'] ?? {};
  const isGlobal = object.kind === 'GlobalNetworkPolicy';
  if (isGlobal && (spec.doNotTrack === true || spec.preDNAT === true)) return undefined;
  const namespace = isGlobal ? '' : (object.metadata.namespace ?? 'default');
  const types: string[] = spec.types ?? [];
  // Felix takes a policy without types as one of both; Calico's own API fills them in when it writes one.
  const governs = (type: string): boolean => types.length === 0 || types.includes(type);
  const rulesOf = (direction: Direction): Rule[] =>
    ((spec[direction] ?? []) as WrittenRule[]).map((rule) => ruleOf(rule, namespace, context));

  const bySelector = parseSelector(spec.selector ?? '');
  const byNamespace = isGlobal ? namespacesBy(spec.namespaceSelector) : undefined;
  const byAccount =
    spec.serviceAccountSelector === undefined || spec.serviceAccountSelector === ''
      ? undefined
      : parseSelector(spec.serviceAccountSelector, {
          prefix: ofServiceAccount,
          all: (labels) => serviceAccountLabel in labels,
        });
  return {
    name: `${isGlobal ? 'GlobalNetworkPolicy ' : `Calico NetworkPolicy ${namespace}/`}${name}`,
    kind: isGlobal ? 'GlobalNetworkPolicy' : 'Calico NetworkPolicy',
    namespace,
    tier: spec.tier ?? 'default',
    order: spec.order ?? Infinity,
    tieBreak: isGlobal ? name : `${namespace}/${name}`,
    selects: (pod) => {
      if (!isGlobal && pod.namespace !== namespace) return false;
      const labels = context.labels(pod);
      return bySelector(labels) && (byNamespace?.(labels) ?? true) && (byAccount?.(labels) ?? true);
    },
    rules: {
      ...(governs('Ingress') ? { ingress: rulesOf('ingress') } : {}),
      ...(governs('Egress') ? { egress: rulesOf('egress') } : {}),
    },
  };
}

/** A namespaceSelector: `all()` is every namespace, `global()` is what is in none. */
const namespacesBy = (selector: string | undefined): Selects | undefined =>
  selector === undefined || selector === ''
    ? undefined
    : parseSelector(selector, { prefix: ofNamespace, all: (labels) => namespaceLabel in labels });

function ruleOf(rule: WrittenRule, namespace: string, context: CalicoContext): Rule {
  const source = entityMatcher(rule.source ?? {}, namespace, context);
  const destination = entityMatcher(rule.destination ?? {}, namespace, context);
  return {
    action: (rule.action ?? 'Allow') as Action,
    matches: (packet) =>
      rule.ipVersion !== 6 &&
      (rule.protocol === undefined || isProtocol(rule.protocol, packet)) &&
      (rule.notProtocol === undefined || !isProtocol(rule.notProtocol, packet)) &&
      (rule.icmp === undefined || isEcho(rule.icmp, packet)) &&
      (rule.notICMP === undefined || !isEcho(rule.notICMP, packet)) &&
      sourcePortMatches(rule.source ?? {}) &&
      source(packet.source, packet, false) &&
      destination(packet.destination, packet, true) &&
      destinationPortMatches(rule.destination ?? {}, packet),
  };
}

function entityMatcher(
  entity: EntityRule,
  namespace: string,
  context: CalicoContext,
): (end: End, packet: Packet, isDestination: boolean) => boolean {
  const tests: Selects[] = [];
  const has = (text: string | undefined): text is string => text !== undefined && text !== '';
  const { selector, notSelector, namespaceSelector, serviceAccounts, services, nets = [], notNets = [] } = entity;
  if (has(selector)) tests.push(parseSelector(selector));
  if (serviceAccounts !== undefined) {
    const { names = [], selector: accounts } = serviceAccounts;
    if (names.length > 0) tests.push((labels) => names.includes(labels[serviceAccountLabel] ?? ''));
    if (has(accounts)) tests.push(parseSelector(accounts, { prefix: ofServiceAccount }));
  }
  // A namespaced policy means its own namespace, but only where it names somebody at all: bare nets are bare addresses.
  if (has(namespaceSelector)) tests.push(namespacesBy(namespaceSelector)!);
  else if (namespace !== '' && (tests.length > 0 || has(notSelector)))
    tests.push((labels) => labels[namespaceLabel] === namespace);
  const excluded = has(notSelector) ? parseSelector(notSelector) : undefined;
  const inside = nets.length > 0 ? inRanges(nets) : undefined;
  const outside = inRanges(notNets);
  const backends = services && context.service(services.namespace ?? namespace, services.name)?.backends;

  return ({ ip, labelSets }, packet, isDestination) => {
    if (tests.length > 0 && !labelSets.some((labels) => tests.every((holds) => holds(labels)))) return false;
    if (excluded !== undefined && labelSets.some(excluded)) return false;
    if (inside !== undefined && !inside(ip)) return false;
    if (notNets.length > 0 && outside(ip)) return false;
    if (services === undefined) return true;
    return (backends ?? []).some(
      (backend) =>
        backend.ip === ip && (!isDestination || (backend.port === packet.port && backend.protocol === packet.protocol)),
    );
  };
}

const numbers: { [number: number]: string } = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 132: 'SCTP' };
const isProtocol = (written: string | number, { protocol }: Packet): boolean =>
  (numbers[Number(written)] ?? String(written).toUpperCase()) === protocol;

/** An ICMP flow is an echo request. */
const isEcho = ({ type, code }: { type?: number; code?: number }, { protocol }: Packet): boolean =>
  protocol === 'ICMP' && (type === undefined || type === 8) && (code === undefined || code === 0);

/** Clients come from ports that nobody knows beforehand: a rule on source ports matches when it covers all of them. */
const ephemeral = { first: 32_768, last: 60_999 };
function sourcePortMatches({ ports = [], notPorts = [] }: EntityRule): boolean {
  const covers = (written: number | string): boolean => {
    const [first, last] = String(written).split(':').map(Number);
    return first! <= ephemeral.first && (last ?? first!) >= ephemeral.last;
  };
  return (ports.length === 0 || ports.some(covers)) && !notPorts.some(covers);
}

function destinationPortMatches({ ports = [], notPorts = [] }: EntityRule, packet: Packet): boolean {
  if (packet.protocol === 'ICMP') return ports.length === 0;
  return (
    (ports.length === 0 || ports.some((port) => portMatches(port, packet))) &&
    !notPorts.some((port) => portMatches(port, packet))
  );
}
