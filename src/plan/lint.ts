import { findRoute, routes } from '../routes/index.ts';
import { hiddenCharacter, subjectOf } from '../names.ts';
import { nearest } from './nearest.ts';
import { dotted } from './issues.ts';
import type { PlanPath, PlanProblem } from './issues.ts';
import { seconds } from './schema.ts';
import type { MigrationPlan, PlanGate, PlanStage } from './schema.ts';

/** Names that the compiler gives to waves itself. */
export const controlPlaneWave = 'control-plane';

/** What a plan can get wrong although every field by itself is right. */
export function lintPlan(plan: MigrationPlan, checks?: readonly string[]): PlanProblem[] {
  return [
    ...hiddenProblems(plan),
    ...stageProblems(plan),
    ...waveProblems(plan),
    ...gateProblems(plan, checks),
    ...acknowledgementProblems(plan, checks),
    ...durationProblems(plan),
  ];
}

/** Texts of a plan are shown to people who decide by them. A reason may have several lines. */
function hiddenProblems(value: unknown, path: PlanPath = []): PlanProblem[] {
  if (typeof value === 'string') {
    const hidden = hiddenCharacter(value, { multiline: path.at(-1) === 'reason' });
    const message = `${dotted(path)} has a character that cannot be seen (${hidden})`;
    return hidden ? [{ path, message, hint: 'type it again' }] : [];
  }
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) return value.flatMap((each, index) => hiddenProblems(each, [...path, index]));
  return Object.entries(value).flatMap(([key, each]) => {
    const hidden = hiddenCharacter(key);
    const message = `${dotted(path)} has a key with a character that cannot be seen (${hidden})`;
    return hidden ? [{ path, message, hint: 'type it again' }] : hiddenProblems(each, [...path, key]);
  });
}

function stageProblems({ spec }: MigrationPlan): PlanProblem[] {
  const problems: PlanProblem[] = [];
  let network: string | undefined;
  for (const [index, stage] of spec.stages.entries()) {
    const path: PlanPath = ['spec', 'stages', index];
    const route = findRoute(stage.route);
    if (!route) {
      const names = routes.map(({ id }) => id);
      const near = nearest(stage.route, names);
      problems.push({
        path: [...path, 'route'],
        message: `no route is called ${stage.route}`,
        hint: near ? `did you mean ${near}?` : `routes are ${names.join(', ')}`,
        type: 'RouteUnknown',
      });
      continue;
    }
    if (network !== undefined && route.from !== network)
      problems.push({
        path: [...path, 'route'],
        message: `${route.id} begins on ${route.from}, but the stage before it ends on ${network}`,
        hint: 'change the order of the stages',
      });
    network = route.to;
    if (stage.bgp !== undefined && !route.bgp)
      problems.push({
        path: [...path, 'bgp'],
        message: `${route.id} has no settings ${dotted([...path, 'bgp'])}`,
        hint: 'remove them, or move them to the stage that speaks BGP',
        atKey: true,
      });
    problems.push(...bgpProblems(stage.bgp, [...path, 'bgp']));
    for (const bundle of route.bundles)
      if (!Object.hasOwn(stage.with, bundle))
        problems.push({
          path: [...path, 'with'],
          message: `${dotted([...path, 'with'])} lacks the bundle ${bundle} that ${route.id} needs`,
          hint: `add ${bundle}: {path: …, sha256: …}`,
        });
    for (const bundle of Object.keys(stage.with).filter((name) => !route.bundles.includes(name))) {
      const near = nearest(bundle, route.bundles);
      problems.push({
        path: [...path, 'with', bundle],
        message: `${route.id} knows no bundle ${bundle}`,
        hint: near ? `did you mean ${near}?` : `its bundles are ${route.bundles.join(', ')}`,
        atKey: true,
      });
    }
  }
  return problems;
}

function bgpProblems(bgp: PlanStage['bgp'], path: PlanPath): PlanProblem[] {
  if (bgp === undefined) return [];
  const problems: PlanProblem[] = [];
  if (bgp.backend === 'vxlan' && bgp.encapsulation === 'Never')
    problems.push({
      path: [...path, 'encapsulation'],
      message: `${dotted([...path, 'encapsulation'])} Never needs BGP: without it no node learns the routes of the others`,
      hint: 'write backend: bird, or encapsulation: CrossSubnet',
    });
  if (bgp.backend === 'vxlan' && (bgp.peers.length > 0 || bgp.routeReflectors.length > 0))
    problems.push({
      path: [...path, 'backend'],
      message: `${dotted([...path, 'backend'])} vxlan runs no BGP, but peers or route reflectors are named`,
      hint: 'remove them, or write backend: bird',
    });
  if (bgp.backend === 'bird' && !bgp.mesh && bgp.routeReflectors.length === 0)
    problems.push({
      path: [...path, 'mesh'],
      message: `${dotted([...path, 'mesh'])} false leaves nodes without any session: nobody reflects routes`,
      hint: 'name routeReflectors, or keep the mesh',
    });
  if (bgp.newPool && (bgp.encapsulation === 'Never' || bgp.mtu === 'host'))
    problems.push({
      path: [...path, 'newPool'],
      message: `${dotted([...path, 'newPool'])} ends in CrossSubnet with the MTU as it is`,
      hint: 'take encapsulation: Never and mtu: host in a plan of their own afterwards',
    });
  if (bgp.routeReflectors.length === 1)
    problems.push({
      path: [...path, 'routeReflectors'],
      message: `${dotted([...path, 'routeReflectors'])} names a single node: with it every route would go`,
      hint: 'name at least two',
    });
  return problems;
}

function waveProblems({ spec }: MigrationPlan): PlanProblem[] {
  const { waves } = spec.strategy;
  const takesRest = waves.findIndex(({ nodes }) => nodes === 'rest' || nodes === '100%');
  return waves.flatMap((wave, index): PlanProblem[] => {
    const path: PlanPath = ['spec', 'strategy', 'waves', index];
    const problems: PlanProblem[] = [];
    if (waves.findIndex(({ name }) => name === wave.name) < index)
      problems.push({
        path: [...path, 'name'],
        message: `two waves are called ${wave.name}`,
        hint: 'give each wave a name of its own',
      });
    if (wave.name === controlPlaneWave || wave.name.startsWith(`${controlPlaneWave}-`))
      problems.push({
        path: [...path, 'name'],
        message: `no wave of a plan may be called ${wave.name}`,
        hint: 'control-plane nodes go last by themselves, in waves of that name; remove this one or rename it',
      });
    // A selection by name or label keeps its nodes wherever it stands; a number after "all the rest" cannot.
    const selects = Array.isArray(wave.nodes) || typeof wave.nodes === 'object';
    if (takesRest >= 0 && index > takesRest && !selects)
      problems.push({
        path: [...path, 'nodes'],
        message: `wave ${wave.name} can never have a node, because wave ${waves[takesRest]?.name} before it takes all the rest`,
        hint: 'change the order of the waves or remove one',
      });
    return problems;
  });
}

function gateProblems({ spec }: MigrationPlan, checks: readonly string[] | undefined): PlanProblem[] {
  const gates: { path: PlanPath; gate: PlanGate }[] = [
    { path: ['spec', 'gates'], gate: spec.gates },
    ...spec.strategy.waves.flatMap(({ gate }, index) =>
      gate ? [{ path: ['spec', 'strategy', 'waves', index, 'gate'], gate }] : [],
    ),
    ...spec.stages.flatMap(({ bgp }, index) =>
      bgp ? [{ path: ['spec', 'stages', index, 'bgp', 'gates'], gate: bgp.gates }] : [],
    ),
    ...spec.stages.flatMap(({ finalizeGate }, index) =>
      finalizeGate ? [{ path: ['spec', 'stages', index, 'finalizeGate'], gate: finalizeGate }] : [],
    ),
  ];
  return gates.flatMap(({ path, gate }): PlanProblem[] => {
    const approvers = gate.approvers ?? spec.gates.approvers;
    const approvals = gate.approvals ?? spec.gates.approvals;
    const own = path.length > 2 ? path : ['spec', 'gates'];
    const problems: PlanProblem[] = [];
    const people = new Set(approvers.map(subjectOf)).size;
    if (approvers.length > 0 && people < approvals)
      problems.push({
        path: own,
        message: `${dotted(own)} asks for ${approvals} approvals but names only ${people} approver${people === 1 ? '' : 's'}`,
        hint: 'name more approvers or ask for fewer approvals',
      });
    for (const [index, check] of (gate.checks ?? []).entries()) {
      if (checks === undefined || checks.includes(check)) continue;
      const near = nearest(check, checks);
      problems.push({
        path: [...path, 'checks', index],
        message: `no check is called ${check}`,
        hint: near ? `did you mean ${near}?` : `checks are ${checks.join(', ')}`,
      });
    }
    return problems;
  });
}

/** An acknowledgement of nothing would make somebody believe that a warning was read. */
function acknowledgementProblems({ spec }: MigrationPlan, checks: readonly string[] | undefined): PlanProblem[] {
  const { acknowledge } = spec;
  return acknowledge.flatMap(({ id }, index): PlanProblem[] => {
    const path: PlanPath = ['spec', 'acknowledge', index, 'id'];
    if (acknowledge.findIndex((other) => other.id === id) < index)
      return [{ path, message: `${id} is acknowledged twice`, hint: 'keep one of them' }];
    const [check = '', ...part] = id.split('/');
    const partMissing = part.length > 0 && part.join('/') === '';
    if (checks === undefined || (checks.includes(check) && !partMissing)) return [];
    const near = nearest(check, checks);
    return [
      {
        path,
        message: `no check is called ${id}, so it cannot be acknowledged`,
        hint: near
          ? `did you mean ${[near, ...(partMissing ? [] : part)].join('/')}?`
          : 'write an id that `cutover preflight` shows',
      },
    ];
  });
}

function durationProblems({ spec }: MigrationPlan): PlanProblem[] {
  const positive: [PlanPath, string][] = [
    [['spec', 'access', 'ssh', 'connectTimeout'], spec.access.ssh.connectTimeout],
    [['spec', 'drain', 'timeout'], spec.drain.timeout],
    [['spec', 'drain', 'retry'], spec.drain.retry],
  ];
  return positive
    .filter(([, written]) => seconds(written) === 0)
    .map(([path, written]) => ({
      path,
      message: `${dotted(path)} must be longer than ${written}`,
      hint: 'write at least 1s',
    }));
}
