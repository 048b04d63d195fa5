import { CutoverError } from '../src/errors.ts';
import type { Json } from '../src/json.ts';
import { flannel } from '../src/checks/names.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { excludeLabel } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { NodeState } from '../src/node/types.ts';
import { describeField, diffFingerprints, type FieldDiff } from '../src/plan/diff.ts';
import type { NodeFingerprint } from '../src/plan/types.ts';
import { count, number, some, text } from './args.ts';
import { fingerprintOf } from './fingerprint.ts';
import { cordonPatch, keptState, restorePatch } from './found-state.ts';
import type { Verb, VerbContext } from './types.ts';

/** How long a node verb waits for the runtime to load a conf, seconds. */
const loadSeconds = 60;

const nodeRef = (context: VerbContext) => ({ ...kinds.node, name: context.node().name });

/**
 * `node.snapshot`: compares the node with its fingerprint in the plan, and keeps everything that rollback needs on the
 * node itself. How the node took part in scheduling is kept by `node.cordon`, whose undo forgets it.
 *
 * @throws CutoverError DriftFound with the fields that differ
 */
export const snapshot: Verb = async (context) => {
  const planned = context.node();
  const { state, diff: all } = await comparedWithPlan(context);
  const diff = all.filter(({ field }) => context.nodeAttempt === 1 || holdsLater(field, planned.fingerprint));
  if (diff.length > 0) throw drifted(planned.name, diff);

  const kept = await context.onNode('snapshot', { migration: context.place.migration });
  return {
    changed: !kept.existed,
    summary: kept.existed
      ? `the snapshot of an earlier attempt stands: ${kept.path}`
      : `${count(kept.kept.length, 'thing')} kept in ${kept.path}`,
    evidence: {
      ...kept,
      confs: state.confs,
      loadedNetworks: state.loadedNetworks,
      conntrackDrops: state.conntrackDrops ?? -1,
    },
  };
};

/**
 * `node.sameMachine`: the machine is the one that was planned. What a stage before this one changed (confs, overlay link) is
 * not compared.
 *
 * @throws CutoverError DriftFound with the fields that differ
 */
export const sameMachine: Verb = async (context) => {
  const { diff } = await comparedWithPlan(context);
  const changed = diff.filter(({ field }) => !field.startsWith('cniConfs') && field !== 'overlayMtu');
  const { name } = context.node();
  if (changed.length > 0) throw drifted(name, changed);
  return { changed: false, summary: `${name} is the machine that was planned` };
};

/** The node as it is, and what differs from its fingerprint in the plan. @throws CutoverError DriftFound when it is gone */
async function comparedWithPlan(context: VerbContext): Promise<{ state: NodeState; diff: FieldDiff[] }> {
  const planned = context.node();
  const [state, hostKey, object] = await Promise.all([
    context.onNode('inspect', { routes: false }),
    context.nodes.hostKey(planned.name),
    context.kubernetes.get(nodeRef(context)),
  ]);
  if (!object) throw new CutoverError('DriftFound', `the cluster has no node ${planned.name} any more`);
  return { state, diff: diffFingerprints(planned.fingerprint, fingerprintOf(object, state, hostKey)) };
}

/**
 * On a later attempt the node has been there and back. What the machine is and its old confs must still hold; a conf
 * that the plan did not know may be a left-over that this attempt writes over.
 */
function holdsLater(field: string, planned: NodeFingerprint): boolean {
  const conf = /^cniConfs(?:\.([\w-]+)|\["(.+)"\])$/.exec(field);
  return conf === null || (conf[1] ?? conf[2] ?? '') in planned.cniConfs;
}

const drifted = (node: string, diff: FieldDiff[]): CutoverError =>
  new CutoverError('DriftFound', `${node} is not as planned: ${some(diff.map(describeField), 4)}`, {
    details: {
      node,
      diff: diff.map(({ field, before, after }) => ({ field, before: before ?? null, after: after ?? null })),
    },
  });

/** `node.cordon`: the node takes no new pods and leaves external load balancers. Remembers first how it was. */
export const cordon: Verb = async (context) => {
  const { object, changed } = await modify(context.kubernetes, nodeRef(context), (node) =>
    cordonPatch(node, context.place.migration),
  );
  const before = keptState(object);
  const words = before?.unschedulable ? ', as it was before' : '';
  return {
    changed,
    summary: `${object.metadata.name} is cordoned${words}`,
    evidence: { found: (before ?? null) as unknown as Json },
  };
};

/**
 * `node.canGoBack`: what the old network needs of the node is still there. Asked before a node that works is touched:
 * without Flannel's conf it would end with no network at all.
 *
 * @throws CutoverError DriftFound
 */
export const canGoBack: Verb = async (context) => {
  const { confs, flannelBinary } = await context.onNode('inspect', {});
  const missing = [
    !confs.some(({ network }) => network === flannel.network) && `${flannel.conf} in /etc/cni/net.d`,
    !flannelBinary && 'the CNI plugin flannel in /opt/cni/bin',
  ].filter((each) => each !== false);
  const name = context.node().name;
  if (missing.length === 0) return { changed: false, summary: `${name} has all that Flannel needs` };
  throw new CutoverError(
    'DriftFound',
    `${name} cannot go back to Flannel and is left as it is: it lacks ${missing.join(' and ')}`,
    {
      remedy: 'put it back (the conf is kept in /var/lib/cutover/*/snapshot/net.d on the node), then retry',
    },
  );
};

/** `node.restoreCordon`: what was found is put back. A node that a person had cordoned stays cordoned. */
export const restoreCordon: Verb = async (context) => {
  let found: ReturnType<typeof keptState>;
  const { object, changed } = await modify(context.kubernetes, nodeRef(context), (node) => {
    found = keptState(node);
    return restorePatch(node);
  });
  const name = object.metadata.name;
  if (!changed) return { changed, summary: `nothing was kept of ${name}, so it is left as it is` };
  const words = found?.unschedulable ? `${name} stays cordoned, as it was found` : `${name} takes pods again`;
  return {
    changed,
    summary: words,
    evidence: { unschedulable: found?.unschedulable ?? false, [excludeLabel]: found?.excludeFromLoadBalancers ?? null },
  };
};

/** `node.armRevert { seconds }`: from now on the node goes back to the old network by itself after that time. */
export const armRevert: Verb = async (context, input) => {
  const seconds = number(input, 'seconds');
  const { unit, persistent, note } = await context.onNode('arm-revert', {
    migration: context.place.migration,
    seconds,
    old: 'flannel',
  });
  return {
    changed: true,
    summary: `${unit} fires in ${seconds} s unless it is disarmed${persistent ? '' : `; ${note}`}`,
    evidence: { unit, seconds, persistent },
  };
};

/**
 * The dead-man switch may be gone: where /etc cannot be written it is a transient unit, and a node that lost its power
 * comes back without it, and with the fence. So a step behind the fence arms it anew.
 *
 * @param seen the node as it is, when the caller has just looked
 * @returns what a person should read of it, `` when it stood or the runbook arms none
 */
export async function keepRevertArmed(context: VerbContext, seen?: NodeState): Promise<string> {
  const arming = context.stage.node.find(({ verb }) => verb === 'node.armRevert');
  if (context.direction === 'back' || !arming) return '';
  const { revertArmed, revertFired } = seen ?? (await context.onNode('inspect', { routes: false }));
  if (revertArmed || revertFired) return '';
  await armRevert(context, arming.with ?? {});
  return '; the dead-man switch was gone, as after a restart of the node, and is armed anew';
}

/**
 * `node.disarmRevert`: the node stays as it is. Forward, a switch that has fired means that the node has left the new
 * network by itself, whatever the checks saw before.
 *
 * @throws CutoverError DriftFound
 */
export const disarmRevert: Verb = async (context) => {
  const { fired, problems } = await context.onNode('disarm-revert', { migration: context.place.migration });
  if (fired && context.direction === 'forward') {
    throw new CutoverError(
      'DriftFound',
      `the dead-man switch of ${context.node().name} has fired: the node went back to the old network by itself`,
      {
        remedy: 'roll the node back, so that the cluster agrees with it, then retry',
        details: { fired, problems },
      },
    );
  }
  return {
    changed: true,
    summary: fired ? 'the switch had fired; it is cleared' : 'the switch is disarmed',
    evidence: { fired, problems },
  };
};

/** `node.purge`: kubelet stops, then every pod-network sandbox goes through the conf that is loaded now. */
export const purge: Verb = async (context) => {
  const { removed, kept, leases } = await context.waiting('runtime', () => context.onNode('purge', {}));
  return {
    changed: removed > 0,
    summary: `${count(removed, 'sandbox', 'sandboxes')} removed, ${kept} of the host network kept, ${count(leases, 'lease')} left`,
    evidence: { removed, kept, leases },
  };
};

/**
 * `node.fence { confName, clean: 'flannel' | 'none' }`: no pod gets a network from now on; then the old CNI's chains and
 * leases go. Its links stay until the new agent takes over: they carry what enters the node for pods of other nodes.
 */
export const fence: Verb = async (context, input) => {
  const { existed, loaded } = await context.onNode('fence', {
    confName: text(input, 'confName'),
    waitSeconds: loadSeconds,
  });
  if (input['clean'] !== 'flannel') return { changed: !existed, summary: 'the fence stands', evidence: { loaded } };
  const cleaned = await context.onNode('clean-flannel', { keepLeases: false, keepLinks: true, waitSeconds: 0 });
  return {
    changed: !existed || cleaned.rules + cleaned.leases > 0,
    summary: `the fence stands; ${cleanedWords(cleaned)}`,
    evidence: { loaded, ...cleaned },
  };
};

const cleanedWords = ({ rules, leases }: { rules: number; leases: number }): string =>
  `${count(rules, 'rule')} and ${count(leases, 'lease')} of Flannel removed`;

/** `node.unfence { confName, expect }`: @throws CutoverError RuntimeNotLoaded */
export const unfence: Verb = async (context, input) => {
  const expect = text(input, 'expect');
  const { loaded, existed } = await context.onNode('unfence', {
    confName: text(input, 'confName'),
    expect,
    waitSeconds: loadSeconds,
  });
  if (!loaded.includes(expect)) throw notLoaded(context.node().name, expect, loaded);
  return { changed: existed, summary: `the runtime has loaded ${loaded.join(', ')}`, evidence: { loaded, existed } };
};

export const notLoaded = (node: string, expect: string, loaded: NodeState['loadedNetworks']): CutoverError =>
  new CutoverError(
    'RuntimeNotLoaded',
    `the runtime of ${node} has loaded ${loaded.join(', ') || 'no network'}, not ${expect}`,
    {
      details: { node, expect, loaded },
    },
  );

export const startKubelet: Verb = async (context) => {
  const { active, changed } = await context.onNode('start-kubelet', {});
  if (!active)
    throw new CutoverError('VerbFailed', `kubelet of ${context.node().name} does not start`, {
      remedy: 'read `journalctl -u kubelet` on the node',
    });
  return { changed, summary: changed ? 'kubelet runs again' : 'kubelet was running' };
};

/** `node.cleanCalico`: before Flannel's pods start; a blackhole route of Felix left behind kills every one of them (§0a.2 of the migration facts). */
export const cleanCalico: Verb = async (context) => {
  const { links, routes, rules, ipsets } = await context.onNode('clean-calico', {});
  return {
    changed: links.length + routes + rules + ipsets > 0,
    summary: `${count(links.length, 'link')}, ${count(routes, 'route')}, ${count(rules, 'rule')} and ${count(ipsets, 'ipset')} of Calico removed`,
    evidence: { links, routes, rules, ipsets },
  };
};

/** `node.check`, `cluster.check`: no effect; the step's `verify` is the whole of it. */
export const checkOnly: Verb = async (context) => ({
  changed: false,
  summary: context.place.node === undefined ? 'asked the cluster' : `asked ${context.place.node}`,
});
