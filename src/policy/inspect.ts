import { contains, merge, parseCidr, uncovered } from '../checks/cidr.ts';
import type { Evaluator } from './evaluate.ts';
import { hazardId } from './hazards.ts';
import type { Hazard, HazardKind } from './hazards.ts';
import { foreignKinds, isCalico, nameOf } from './kinds.ts';
import { policyTypes } from './kubernetes-policy.ts';
import type { GatheredFlows } from './flows.ts';
import type { Direction, PolicyCluster } from './types.ts';

/** What is to be said of each policy itself, whatever flows are known. `cutBy`: policies that cut one. */
export function policyHazards(
  cluster: PolicyCluster,
  evaluator: Evaluator,
  { flows, unknown }: GatheredFlows,
  cutBy: ReadonlySet<string>,
): Hazard[] {
  const hazards: Hazard[] = [];
  const say = (
    kind: HazardKind,
    severity: Hazard['severity'],
    policy: string,
    message: string,
    remedy: string,
    about: { direction?: Direction; detail?: string; evidence?: string[] } = {},
  ): void => {
    hazards.push({
      id: hazardId(kind, policy, about.direction ?? '', about.detail ?? ''),
      kind,
      severity,
      message,
      remedy,
      policies: policy === '' ? [] : [policy],
      ...(about.direction === undefined ? {} : { direction: about.direction }),
      sources: [],
      evidence: { connections: about.evidence ?? [], cut: 0, origins: [] },
    });
  };

  for (const policy of evaluator.policies) {
    const pods = cluster.pods.filter((pod) => evaluator.selecting(pod).includes(policy));
    const types = Object.keys(policy.rules).join(' and ');
    if (pods.length === 0) {
      say(
        'selects-nothing',
        'warn',
        policy.name,
        `${policy.name} selects no pod`,
        'correct its selector, or delete it: a policy that protects nobody looks as if it did',
      );
    } else if (!cutBy.has(policy.name)) {
      say(
        'becomes-live',
        'warn',
        policy.name,
        `${policy.name} becomes live for ${pods.length === 1 ? '1 pod' : `${pods.length} pods`} (${types}), where Flannel enforces nothing; it cuts none of the ${flows.length} known flows`,
        'have its owner confirm what it allows: flows that nobody declared and no node has seen are not judged',
        { evidence: pods.slice(0, 50).map(({ namespace, name }) => `${namespace}/${name}`) },
      );
    }
  }
  for (const { name, reason } of evaluator.unreadable)
    say(
      'unreadable',
      'warn',
      name,
      `${name} cannot be read, and Calico will not enforce it: ${reason}`,
      'correct its selector',
    );

  for (const object of cluster.objects) {
    const name = nameOf(object);
    const foreign = foreignKinds[object.kind];
    if (foreign !== undefined)
      say(
        'not-enforced',
        'warn',
        name,
        `${name} stays without effect: ${foreign}`,
        'write it as a NetworkPolicy or as a policy of Calico if it is meant to protect anything',
      );
    else if (isCalico(object) && object.kind.startsWith('Staged'))
      say(
        'staged',
        'warn',
        name,
        `${name} is staged: Calico will log what it would do and enforce nothing`,
        'nothing, if that is what you want; else make it a policy of its own kind',
      );
    ipBlockHazards(cluster, object, (kind, severity, message, remedy, about) =>
      say(kind, severity, name, message, remedy, about),
    );
  }
  for (const { source, message, hint } of unknown)
    if (source === 'annotation')
      say('unknown-client', 'warn', '', message, hint ?? 'correct the annotation cutover.dev/clients of that Service', {
        detail: message,
      });
  return hazards;
}

type Say = (
  kind: HazardKind,
  severity: Hazard['severity'],
  message: string,
  remedy: string,
  about: { direction: Direction; detail: string },
) => void;

interface Block {
  direction: Direction;
  rule: number;
  cidr: string;
  except: string[];
}

/** Addresses in rules, of either vendor's kind. Only rules that allow: people write these to let somebody in. */
function blocksOf({ apiVersion, kind, spec }: PolicyCluster['objects'][number]): Block[] {
  if (apiVersion === 'networking.k8s.io/v1') {
    const types = policyTypes(spec ?? {});
    return (['ingress', 'egress'] as const)
      .filter((direction) => types.includes(direction === 'ingress' ? 'Ingress' : 'Egress'))
      .flatMap((direction) =>
        ((spec?.[direction] ?? []) as { from?: IpPeer[]; to?: IpPeer[] }[]).flatMap((rule, index) =>
          ((direction === 'ingress' ? rule.from : rule.to) ?? []).flatMap(({ ipBlock }) =>
            ipBlock === undefined
              ? []
              : [{ direction, rule: index + 1, cidr: ipBlock.cidr, except: ipBlock.except ?? [] }],
          ),
        ),
      );
  }
  if (!isCalico({ apiVersion }) || (kind !== 'NetworkPolicy' && kind !== 'GlobalNetworkPolicy')) return [];
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    ((spec?.[direction] ?? []) as CalicoRule[]).flatMap(({ action, source, destination }, index) => {
      const entity = (direction === 'ingress' ? source : destination) ?? {};
      if (action !== 'Allow') return [];
      return (entity.nets ?? []).map((cidr) => ({ direction, rule: index + 1, cidr, except: entity.notNets ?? [] }));
    }),
  );
}
interface IpPeer {
  ipBlock?: { cidr: string; except?: string[] };
}
interface CalicoRule {
  action?: string;
  source?: { nets?: string[]; notNets?: string[] };
  destination?: { nets?: string[]; notNets?: string[] };
}

function ipBlockHazards(cluster: PolicyCluster, object: PolicyCluster['objects'][number], say: Say): void {
  const podRanges = merge(
    cluster.nodes.map(({ podCidr }) => parseCidr(podCidr)).filter((range) => range !== undefined),
  );
  for (const { direction, rule, cidr, except } of blocksOf(object)) {
    const range = parseCidr(cidr);
    if (range === undefined) continue;
    const excluded = except.map(parseCidr).filter((each) => each !== undefined);
    const holds = (ip: string): boolean => {
      const address = parseCidr(ip);
      return address !== undefined && contains(range, address) && !excluded.some((each) => contains(each, address));
    };
    const pods = cluster.pods.filter(({ ip, hostNetwork }) => !hostNetwork && holds(ip));
    const where = `${direction} rule ${rule} of ${nameOf(object)} names ${cidr}`;
    const about = { direction, detail: cidr };
    if (pods.length > 0) {
      // Every pod is made anew while its node migrates, and may land on another node.
      const isWhole = podRanges.every((each) => uncovered(each, [range]) === 0);
      if (isWhole)
        say(
          'ip-block-pods',
          'warn',
          `${where}, which holds every pod: Calico lets them all through that rule, whatever their labels`,
          'if pods are not meant, except the pod network from that ipBlock',
          about,
        );
      else
        say(
          'ip-block-pods',
          'block',
          `${where}, which holds the addresses of ${pods.length === 1 ? '1 pod' : `${pods.length} pods`} (${pods
            .slice(0, 3)
            .map(({ workload }) => workload)
            .join(', ')}): pods get new addresses as their nodes migrate, and the rule does not follow them`,
          'name pods by podSelector and namespaceSelector, not by address',
          about,
        );
      continue;
    }
    const services = direction === 'egress' ? cluster.services.filter(({ clusterIP }) => holds(clusterIP)) : [];
    if (services.length > 0)
      say(
        'ip-block-services',
        'warn',
        `${where}, which holds ClusterIPs (${services
          .slice(0, 3)
          .map(({ namespace, name }) => `${namespace}/${name}`)
          .join(', ')}) and no pod: Calico judges the pod behind the Service, so that rule lets nobody to it`,
        'name the pods behind the Service by podSelector and namespaceSelector',
        about,
      );
  }
}
