import { calicoLabels, calicoPolicy, networkSet } from './calico-policy.ts';
import type { CalicoContext } from './calico-policy.ts';
import { isCalico, nameOf } from './kinds.ts';
import { kubernetesPolicy } from './kubernetes-policy.ts';
import type { End, Packet, Policy } from './rules.ts';
import type { Connection, Direction, Party, PolicyCluster, PolicyPod, SideVerdict, Verdict } from './types.ts';

export interface Evaluator {
  judge(connection: Connection): Verdict;
  /** Policies in force, in the order in which they are asked. */
  policies: readonly Policy[];
  /** Policies that cannot be read, with the reason: Calico ignores what it cannot parse, or refuses it. */
  unreadable: readonly { name: string; reason: string }[];
  selecting(pod: PolicyPod): readonly Policy[];
}

/** Calico's own tier comes last, whatever others there are, unless somebody gave them no order. */
const defaultTierOrder = 1_000_000;

/** Judges connections as Calico would if it had every pod of this cluster. Pure; it remembers what it worked out. */
export function createEvaluator(cluster: PolicyCluster): Evaluator {
  const namespaces = new Map(cluster.namespaces.map(({ name, labels }) => [name, labels]));
  const services = new Map(cluster.services.map((service) => [`${service.namespace}/${service.name}`, service]));
  const nodesByAddress = new Map(
    cluster.nodes.flatMap((node) => [node.ip, node.tunnelIp].map((ip) => [ip, node] as const)),
  );
  const nodesByName = new Map(cluster.nodes.map((node) => [node.name, node]));
  const labels = new Map(
    cluster.pods.map((pod) => [
      pod,
      calicoLabels(
        pod,
        namespaces.get(pod.namespace),
        cluster.serviceAccounts[`${pod.namespace}/${pod.serviceAccount}`],
      ),
    ]),
  );
  const context: CalicoContext = {
    labels: (pod) => labels.get(pod) ?? {},
    service: (namespace, name) => services.get(`${namespace}/${name}`),
  };
  const unreadable: { name: string; reason: string }[] = [];
  const tiers = tierTable(cluster);
  const policies = cluster.objects
    .flatMap((object) => {
      try {
        const policy =
          object.apiVersion === 'networking.k8s.io/v1' && object.kind === 'NetworkPolicy'
            ? kubernetesPolicy(object, (name) => namespaces.get(name))
            : isCalico(object) && (object.kind === 'NetworkPolicy' || object.kind === 'GlobalNetworkPolicy')
              ? calicoPolicy(object, context)
              : undefined;
        return policy === undefined ? [] : [policy];
      } catch (error) {
        unreadable.push({ name: nameOf(object), reason: (error as Error).message });
        return [];
      }
    })
    .sort(
      (a, b) =>
        compare(tiers.order(a.tier), tiers.order(b.tier)) ||
        compareText(a.tier, b.tier) ||
        compare(a.order, b.order) ||
        compareText(a.tieBreak, b.tieBreak),
    );
  const sets = cluster.objects
    .filter((object) => isCalico(object) && (object.kind === 'NetworkSet' || object.kind === 'GlobalNetworkSet'))
    .map(networkSet);
  const podsByIp = new Map(
    cluster.pods.filter(({ ip, hostNetwork }) => ip !== '' && !hostNetwork).map((pod) => [pod.ip, pod]),
  );

  const selected = new Map<PolicyPod, readonly Policy[]>();
  const selecting = (pod: PolicyPod): readonly Policy[] => {
    let found = selected.get(pod);
    if (found === undefined) {
      found = pod.hostNetwork ? [] : policies.filter((policy) => policy.selects(pod));
      selected.set(pod, found);
    }
    return found;
  };

  const ends = new Map<string | PolicyPod, End>();
  const endOf = (ip: string, pod = podsByIp.get(ip)): End => {
    const key = ip === '' && pod !== undefined ? pod : ip;
    let end = ends.get(key);
    if (end === undefined) {
      const ofSets = sets.filter((set) => set.holds(ip)).map(({ labels }) => labels);
      end = { ip, pod, labelSets: pod === undefined ? ofSets : [context.labels(pod), ...ofSets] };
      ends.set(key, end);
    }
    return end;
  };

  /** The address that the far end is judged by. A node's packets to other nodes' pods carry its tunnel's address. */
  const end = (party: Party): End => {
    if (party.kind === 'address') return endOf(party.ip);
    if (party.kind === 'host') return endOf(party.node.tunnelIp || party.node.ip);
    return party.pod.hostNetwork ? endOf(party.pod.ip) : endOf(party.pod.ip, party.pod);
  };

  function judge({ from, to, protocol, port, viaService = false }: Connection): Verdict {
    const sender = ownPod(from);
    const receiver = ownPod(to);
    if (sender !== undefined && sender === receiver && !viaService) return { allowed: true, sides: [] };
    const source = from.kind === 'host' || (from.kind === 'pod' && from.pod.hostNetwork) ? hostEnd(from) : end(from);
    const destination = to.kind === 'host' ? endOf(to.node.ip) : end(to);
    const packet: Packet = { source, destination, protocol, port };

    const sides: SideVerdict[] = [];
    if (sender !== undefined) {
      const side = judgeSide('egress', sender, packet);
      const own = side.allowed && nodeOf(to) === sender.node && receiver === undefined;
      sides.push(
        own && cluster.endpointToHost === 'Drop' ? { ...side, allowed: false, policy: '', why: toOwnHost } : side,
      );
    }
    if (receiver !== undefined) {
      // The node's own processes reach its pods without passing a policy: kubelet's probes among them.
      sides.push(
        sender === undefined && nodeOf(from) === receiver.node
          ? { direction: 'ingress', allowed: true, selectedBy: [], policy: '', rule: '', why: fromOwnHost }
          : judgeSide('ingress', receiver, packet),
      );
    }
    return { allowed: sides.every(({ allowed }) => allowed), sides };
  }

  function hostEnd(from: Party): End {
    const node = nodesByName.get(nodeOf(from) ?? '');
    return endOf(node?.tunnelIp || node?.ip || (from.kind === 'pod' ? from.pod.ip : ''));
  }

  const nodeOf = (party: Party): string | undefined => {
    if (party.kind === 'host') return party.node.name;
    if (party.kind === 'pod') return party.pod.hostNetwork ? party.pod.node : undefined;
    return party.ip === '' ? undefined : nodesByAddress.get(party.ip)?.name;
  };
  const ownPod = (party: Party): PolicyPod | undefined => {
    if (party.kind === 'pod') return party.pod.hostNetwork ? undefined : party.pod;
    return party.kind === 'address' ? podsByIp.get(party.ip) : undefined;
  };

  /** Tier by tier: the first rule that allows or denies decides; a tier in which a policy governs and none decides ends it. */
  function judgeSide(direction: Direction, pod: PolicyPod, packet: Packet): SideVerdict {
    const governing = selecting(pod).filter((policy) => policy.rules[direction] !== undefined);
    const selectedBy = governing.map(({ name }) => name);
    const side = (allowed: boolean, policy: string, rule: string, why: string): SideVerdict => ({
      direction,
      allowed,
      selectedBy,
      policy,
      rule,
      why,
    });
    if (governing.length === 0)
      return side(true, '', '', `no policy governs ${direction} of ${pod.namespace}/${pod.name}`);

    let passedBy = '';
    for (const [tier, ofTier] of Map.groupBy(governing, (policy) => policy.tier)) {
      const decision = firstDecision(ofTier, direction, packet);
      if (decision === undefined) {
        if (tiers.passes(tier)) continue;
        const names = ofTier.map(({ name }) => name);
        return side(false, '', '', `no rule of ${listed(names)} allows it (default deny)`);
      }
      const { policy, rule, action } = decision;
      if (action === 'Pass') {
        passedBy = `${rule} of ${policy} passes it on`;
        continue;
      }
      return side(
        action === 'Allow',
        policy,
        rule,
        `${rule} of ${policy} ${action === 'Allow' ? 'allows' : 'denies'} it`,
      );
    }
    // After the last tier the profile of the namespace allows everything.
    return side(true, '', '', passedBy || 'the tiers of its policies pass what they do not decide');
  }

  return { judge, policies, unreadable, selecting };
}

const toOwnHost = 'Felix drops what pods send to their own node (defaultEndpointToHostAction)';
const fromOwnHost = "the pod's own node always reaches it";

function firstDecision(policies: readonly Policy[], direction: Direction, packet: Packet) {
  for (const { name, rules } of policies)
    for (const [index, { action, matches }] of (rules[direction] ?? []).entries())
      if (action !== 'Log' && matches(packet)) return { policy: name, rule: `${direction} rule ${index + 1}`, action };
  return undefined;
}

/** Tiers by name; where the cluster has no Tier objects there is one, `default`. */
function tierTable({ objects }: PolicyCluster) {
  const tiers = new Map(
    objects
      .filter((object) => isCalico(object) && object.kind === 'Tier')
      .map(({ metadata, spec }) => [
        metadata.name,
        { order: Number(spec?.order ?? Infinity), passes: spec?.defaultAction === 'Pass' },
      ]),
  );
  return {
    order: (name: string) => tiers.get(name)?.order ?? (name === 'default' ? defaultTierOrder : Infinity),
    passes: (name: string) => tiers.get(name)?.passes ?? false,
  };
}

/** Infinity minus Infinity is no number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

export function listed(names: readonly string[]): string {
  if (names.length <= 1) return names.join('');
  const shown = names.length > 3 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}
