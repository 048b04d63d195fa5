import { isAbsolute, join, resolve } from 'node:path';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { calicoHostMtu } from '../routes/calico-host-mtu.ts';
import { calicoVxlanToBgp } from '../routes/calico-vxlan-to-bgp.ts';
import { findRoute } from '../routes/index.ts';
import { capturePair } from './capture-pair.ts';
import { changesNodes } from './changes-nodes.ts';
import { estimate } from './estimate.ts';
import type { ClusterFacts, NodeFacts } from './facts.ts';
import { bareHash, displayHash } from './hash.ts';
import { nearest } from './nearest.ts';
import { bgpSettings } from './bgp.ts';
import { seconds } from './schema.ts';
import type { MigrationPlan, PlanGate, PlanStage } from './schema.ts';
import type {
  CompiledPlan,
  CompiledStage,
  CompiledWave,
  GateSpec,
  PlannedNode,
  RouteSettings,
  StepGate,
} from './types.ts';
import { assignWaves, hasLabels } from './waves.ts';
import type { AssignedWave, Candidate } from './waves.ts';
import { planWarnings } from './warnings.ts';

export interface Compiled {
  plan: CompiledPlan;
  /** One sentence each: what a person should know before launching. None of them stops the plan. */
  warnings: string[];
}

/**
 * Resolves a plan against a cluster into stages, waves and steps. Pure and deterministic: the same plan, facts and
 * folder give the same bytes, in whatever order the facts list the nodes.
 *
 * @param baseDir folder of the plan file; its paths are relative to it
 * @param home what `~/` in a path means
 * @throws CutoverError PlanInvalid | RouteUnknown | WaveEmpty | NodeUnreachable; `details.path` is the place in the
 * plan where there is one (see `withPosition`)
 */
export function compilePlan(plan: MigrationPlan, facts: ClusterFacts, baseDir: string, home = homeOf()): Compiled {
  const { spec } = plan;
  const pathOf = (written: string): string => resolvePath(written, baseDir, home);
  const { included, excluded } = selectNodes(plan, facts);
  const candidates = included.map((node): Candidate => ({
    facts: node,
    zone: zoneOf(node, spec.strategy.spreadBy),
    pods: facts.workloads.podsByNode[node.name] ?? 0,
  }));
  const waves = assignWaves(candidates, spec.strategy);
  const bundles = checkBundles(plan, facts, pathOf);
  const strategy = resolveStrategy(spec.strategy, candidates);
  const drain: CompiledPlan['drain'] = {
    timeoutSeconds: seconds(spec.drain.timeout),
    retrySeconds: seconds(spec.drain.retry),
    deleteEmptyDirData: spec.drain.deleteEmptyDirData,
    force: spec.drain.force,
  };
  const written = spec.stages.flatMap((stage, index) =>
    withHostMtu(stage).map((part) => ({ part, bgp: bgpSettings(part.bgp, included, index), at: index })),
  );
  const stages = written.map(({ part, bgp, at }, index) =>
    compileStage(plan, part, { at, index, several: written.length > 1 }, waves, { drain, strategy, bgp }),
  );
  const compiled: CompiledPlan = {
    apiVersion: 'cutover.dev/v1alpha1',
    kind: 'CompiledPlan',
    name: plan.metadata.name,
    cluster: {
      uid: facts.uid,
      kubeconfig: pathOf(spec.cluster.kubeconfig),
      context: spec.cluster.context,
      server: facts.server,
      kubernetesVersion: facts.kubernetesVersion,
    },
    access: {
      ssh: {
        configFile: pathOf(spec.access.ssh.configFile),
        user: spec.access.ssh.user,
        sudo: spec.access.ssh.sudo,
        connectTimeoutSeconds: seconds(spec.access.ssh.connectTimeout),
      },
    },
    probe: { ...spec.probe },
    capture: resolveCapture(plan, facts, candidates),
    ...(spec.traffic ? { traffic: { ...spec.traffic } as NonNullable<CompiledPlan['traffic']> } : {}),
    drain,
    strategy,
    continuity: {
      unreachableSeconds: seconds(spec.gates.continuity.unreachable),
      brokenConnections: spec.gates.continuity.brokenConnections,
    },
    bundles,
    ...(spec.acknowledge.length > 0 ? { acknowledge: structuredClone(spec.acknowledge) } : {}),
    ...policiesOf(plan, facts),
    ...(facts.aborted.length > 0 ? { adopts: facts.aborted } : {}),
    estimate: estimate(stages, strategy, facts.workloads.podsByNode),
    stages,
  };
  return { plan: compiled, warnings: planWarnings(plan, compiled, facts, { waves, excluded }) };
}

/** What has to be observed before a plan can be compiled: the input of the activity `observeCluster`. */
export function observeInputOf(
  { spec }: MigrationPlan,
  baseDir: string,
  home = homeOf(),
): {
  kubeconfig: string;
  context: string;
  ssh: CompiledPlan['access']['ssh'];
  bundles: { [name: string]: { path: string } };
  flows?: { path: string; file: string };
} {
  const pathOf = (written: string): string => resolvePath(written, baseDir, home);
  return {
    kubeconfig: pathOf(spec.cluster.kubeconfig),
    context: spec.cluster.context,
    ssh: {
      configFile: pathOf(spec.access.ssh.configFile),
      user: spec.access.ssh.user,
      sudo: spec.access.ssh.sudo,
      connectTimeoutSeconds: seconds(spec.access.ssh.connectTimeout),
    },
    bundles: Object.fromEntries(
      spec.stages.flatMap((stage) =>
        Object.entries(stage.with).map(([name, { path }]) => [name, { path: pathOf(path) }]),
      ),
    ),
    ...(spec.policies?.flows === undefined
      ? {}
      : { flows: { path: pathOf(spec.policies.flows), file: spec.policies.flows } }),
  };
}

/** The flows travel in the plan: what is approved is what is judged, whatever becomes of the file. */
function policiesOf({ spec }: MigrationPlan, facts: ClusterFacts): Pick<CompiledPlan, 'policies'> {
  if (spec.policies === undefined) return {};
  const { flows: file, conntrack } = spec.policies;
  if (file === undefined) return { policies: { file: '', conntrack } };
  if (facts.flows === undefined || facts.flows.error !== undefined)
    throw new CutoverError('PlanInvalid', facts.flows?.error ?? `nobody read the flows of ${file}`, {
      remedy: facts.flows?.remedy ?? 'check the path; it is relative to the plan file',
      details: { path: ['spec', 'policies', 'flows'] },
    });
  return { policies: { flows: facts.flows.flows, file, conntrack } };
}

function compileStage(
  { spec }: MigrationPlan,
  stage: MigrationPlan['spec']['stages'][number],
  { at, index, several }: { at: number; index: number; several: boolean },
  waves: readonly AssignedWave[],
  settings: Omit<Required<RouteSettings>, 'gate'>,
): CompiledStage {
  const route = findRoute(stage.route);
  if (!route)
    throw new CutoverError('RouteUnknown', `no route is called ${stage.route}`, {
      details: { path: ['spec', 'stages', at, 'route'] },
    });
  // Gate ids are unique in the plan: with several stages each carries the number of its own.
  const gateOf = (id: string, gate: PlanGate): GateSpec => {
    const written = gateSpec(id, gate, spec.gates);
    return { ...written, checks: [...new Set([...written.checks, ...(route.gateChecks ?? [])])] };
  };
  const gateId = (name: string): string => (several ? `${name}-${index + 1}` : name);
  const gate = (name: string, { checks, note, noSoak }: StepGate): GateSpec => {
    const written = stage.bgp?.gates ?? {};
    const soak = noSoak ? '0s' : (written.soak ?? `${settings.bgp.soakSeconds}s`);
    const made = gateSpec(gateId(name), { ...written, soak }, spec.gates);
    return { ...made, checks: [...new Set([...made.checks, ...checks])], ...(note === undefined ? {} : { note }) };
  };
  const runbook = route.runbook({ ...settings, gate });
  // Adopted nodes are on Calico. Where that is what a stage begins on, each of them is still to be changed.
  const isDone = route.from !== route.to && !(route.bgp && settings.bgp.newPool);
  const planned = ({ adopted, ...node }: PlannedNode): PlannedNode => (adopted && isDone ? { ...node, adopted } : node);
  return {
    id: `${index + 1}-${route.id}`,
    route: route.id,
    from: route.from,
    to: route.to,
    with: Object.fromEntries(
      Object.entries(stage.with).map(([name, { path, sha256 }]) => [name, { path, sha256: bareHash(sha256) }]),
    ) as JsonObject,
    ...runbook,
    ...(route.bgp ? { bgp: settings.bgp } : {}),
    waves: waves.map(({ id, nodes, written }): CompiledWave => ({
      id,
      nodes: nodes.map((node) => planned(plannedNode(node))),
      // Node steps that only look need nobody's leave.
      ...(written?.gate && changesNodes(runbook) ? { gate: gateOf(gateId(`after-${id}`), written.gate) } : {}),
    })),
    ...(stage.finalizeGate ? { finalizeGate: gateOf(gateId('before-finalize'), stage.finalizeGate) } : {}),
  };
}

/**
 * `bgp.mtu: host` is a stage of its own behind the one that asks for it. Pods with a greater MTU must not meet VXLAN again, and
 * a stage takes back no more than itself: so the way back to VXLAN is closed before the first such pod is made.
 */
function withHostMtu(stage: PlanStage): PlanStage[] {
  if (stage.route !== calicoVxlanToBgp.id || stage.bgp?.mtu !== 'host') return [stage];
  return [stage, { route: calicoHostMtu.id, with: {}, bgp: stage.bgp }];
}

function gateSpec(id: string, gate: PlanGate, defaults: MigrationPlan['spec']['gates']): GateSpec {
  const { approvals, approvers, requesterMayApprove, soak, checks, timeout, onTimeout, evidenceMaxAge } = {
    ...defaults,
    ...gate,
  } as typeof defaults;
  return {
    id,
    approvals,
    approvers,
    requesterMayApprove,
    evidenceMaxAgeSeconds: seconds(evidenceMaxAge),
    soakSeconds: seconds(soak),
    checks,
    timeoutSeconds: seconds(timeout),
    onTimeout,
  };
}

const plannedNode = ({ facts, zone }: Candidate): PlannedNode => ({
  name: facts.name,
  zone,
  controlPlane: facts.controlPlane,
  ...(facts.adopted ? { adopted: true } : {}),
  fingerprint: structuredClone(facts.fingerprint),
});

function resolveStrategy(
  written: MigrationPlan['spec']['strategy'],
  nodes: readonly Candidate[],
): CompiledPlan['strategy'] {
  const zones = new Set(nodes.map(({ zone }) => zone)).size;
  const onlyControlPlanes = nodes.every(({ facts }) => facts.controlPlane);
  // Several control planes at once would cost etcd its quorum.
  const maxUnavailable = onlyControlPlanes ? 1 : numberOf(written.maxUnavailable, nodes.length);
  return {
    maxUnavailable,
    maxUnavailablePerZone: Math.min(
      maxUnavailable,
      written.maxUnavailablePerZone ?? Math.ceil(maxUnavailable / Math.max(1, zones)),
    ),
    failureBudget: written.failureBudget,
    onFailure: written.onFailure,
    nodeAttempts: written.nodeAttempts,
    nodeSoakSeconds: seconds(written.nodeSoak),
  };
}

function resolveCapture(
  { spec }: MigrationPlan,
  facts: ClusterFacts,
  candidates: readonly Candidate[],
): NonNullable<CompiledPlan['capture']> {
  const { runs, seconds: each, nodes, skip } = spec.capture;
  const names = candidates.map(({ facts: { name } }) => name);
  const strange = nodes?.findIndex((name) => !names.includes(name)) ?? -1;
  if (nodes && strange >= 0) {
    const name = nodes[strange]!;
    const known = facts.nodes.some((node) => node.name === name);
    const near = nearest(name, names);
    throw new CutoverError(
      'PlanInvalid',
      `spec.capture.nodes names ${name}, which ${known ? 'the plan excludes' : 'the cluster does not have'}`,
      {
        remedy: near ? `did you mean ${near}?` : 'name two nodes that are migrated',
        details: { path: ['spec', 'capture', 'nodes', strange] },
      },
    );
  }
  if (nodes && nodes[0] === nodes[1])
    throw new CutoverError('PlanInvalid', `spec.capture.nodes names ${nodes[0]} twice`, {
      remedy: 'name two different nodes: the way between them is what is measured',
      details: { path: ['spec', 'capture', 'nodes', 1] },
    });
  return { runs, seconds: each, nodes: nodes ?? capturePair(candidates.map(plannedNode)), skip };
}

/** A number as it is, a percentage rounded down, because it is a limit, but at least 1. */
const numberOf = (written: number | string, total: number): number =>
  typeof written === 'number' ? written : Math.max(1, Math.floor((total * Number.parseInt(written, 10)) / 100));

function selectNodes({ spec }: MigrationPlan, facts: ClusterFacts): { included: NodeFacts[]; excluded: NodeFacts[] } {
  const nodes = facts.nodes.toSorted((a, b) => compareNames(a.name, b.name));
  const { names, matchLabels } = spec.exclude;
  for (const [index, name] of names.entries()) {
    if (nodes.some((node) => node.name === name)) continue;
    const near = nearest(
      name,
      nodes.map((node) => node.name),
    );
    throw new CutoverError('PlanInvalid', `spec.exclude names ${name}, which the cluster does not have`, {
      remedy: near ? `did you mean ${near}?` : 'look at `kubectl get nodes`',
      details: { path: ['spec', 'exclude', 'names', index] },
    });
  }
  const isExcluded = (node: NodeFacts): boolean =>
    names.includes(node.name) || (Object.keys(matchLabels).length > 0 && hasLabels(node.labels, matchLabels));
  const included = nodes.filter((node) => !isExcluded(node));
  const inUse = nodes.find((node) => isExcluded(node) && node.adopted);
  if (inUse)
    throw new CutoverError(
      'PlanInvalid',
      `spec.exclude leaves out ${inUse.name}, which an earlier migration brought to the new network already`,
      { remedy: 'do not exclude it: it is not migrated again', details: { path: ['spec', 'exclude'] } },
    );
  if (nodes.length < 2)
    throw new CutoverError(
      'PlanInvalid',
      `the cluster has ${nodes.length === 1 ? 'a single node' : 'no node'}: its pods have nowhere to go while the network is changed`,
      {
        remedy: 'add a second node, at least for the time of the migration',
      },
    );
  if (included.length === 0)
    throw new CutoverError('PlanInvalid', 'spec.exclude leaves no node to migrate', {
      remedy: 'exclude fewer nodes',
      details: { path: ['spec', 'exclude'] },
    });
  const unreachable = included.filter((node) => node.unreachable !== '');
  if (unreachable.length > 0)
    throw new CutoverError(
      'NodeUnreachable',
      unreachable.map((node) => `${node.name}: ${node.unreachable}`).join('; '),
      {
        remedy: 'correct the access to the node (spec.access.ssh, known_hosts), or exclude it (spec.exclude)',
        details: { nodes: unreachable.map(({ name }) => name) },
      },
    );
  return { included, excluded: nodes.filter(isExcluded) };
}

function checkBundles(
  { spec }: MigrationPlan,
  facts: ClusterFacts,
  pathOf: (written: string) => string,
): CompiledPlan['bundles'] {
  const bundles: CompiledPlan['bundles'] = {};
  for (const [index, stage] of spec.stages.entries())
    for (const [name, written] of Object.entries(stage.with)) {
      const path = ['spec', 'stages', index, 'with', name, 'sha256'];
      const found = facts.bundles[name];
      if (!found || found.error || found.files === 0)
        throw new CutoverError(
          'PlanInvalid',
          `the bundle ${name} cannot be read at ${pathOf(written.path)}: ${found?.error ?? (found ? 'it has no manifest' : 'nobody looked')}`,
          {
            remedy: 'check the path; it is relative to the plan file',
            details: { path: [...path.slice(0, -1), 'path'] },
          },
        );
      const wanted = bareHash(written.sha256);
      if (found.sha256 !== wanted)
        throw new CutoverError(
          'PlanInvalid',
          `the bundle ${name} at ${found.path} is ${displayHash(found.sha256)}, but the plan pins ${displayHash(wanted)}`,
          {
            remedy: 'find out why the manifests changed; when they are right, write the new digest into the plan',
            details: { path, expected: wanted, found: found.sha256 },
          },
        );
      const known = bundles[name];
      if (known && known.sha256 !== wanted)
        throw new CutoverError('PlanInvalid', `two stages name different bundles ${name}`, {
          remedy: 'use one folder for both, or migrate in two plans',
          details: { path },
        });
      bundles[name] = { path: found.path, sha256: wanted };
    }
  return bundles;
}

const zoneOf = (node: NodeFacts, label: string): string =>
  node.labels[label] ?? (label === 'topology.kubernetes.io/zone' ? node.zone : '');

/** The only thing asked of the machine; callers that must not depend on it say what `~` is. */
const homeOf = (): string => process.env['HOME'] ?? '';

/** `` stays: it means the default of the worker. */
function resolvePath(written: string, baseDir: string, home: string): string {
  if (written === '') return '';
  if (written === '~' || written.startsWith('~/')) return join(home, written.slice(1));
  return isAbsolute(written) ? written : resolve(baseDir, written);
}

/** worker-2 before worker-10; code units otherwise, so that no locale changes a plan. */
export function compareNames(a: string, b: string): number {
  const parts = (name: string): string[] => name.split(/(\d+)/);
  const [left, right] = [parts(a), parts(b)];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const [x, y] = [left[index]!, right[index]!];
    if (x === y) continue;
    const byNumber = index % 2 === 1 ? Number(x) - Number(y) : 0;
    return byNumber || (x < y ? -1 : 1);
  }
  return left.length - right.length;
}
