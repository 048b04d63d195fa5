import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';

import { CutoverError } from '../../errors.ts';
import type { Fault } from '../types.ts';
import { addressAt, parseCidr } from './address.ts';
import type { Scenario, ScenarioNode } from './scenario.ts';
import { scenarioSchema } from './schema.ts';

const shipped = fileURLToPath(new URL('../scenarios/', import.meta.url));

/**
 * Reads a scenario: a shipped one by name (`six-nodes`), or a YAML file by path.
 * @throws CutoverError NotFound when there is no such scenario, PlanInvalid with file, line and column when it is wrong
 */
export function loadScenario(nameOrPath: string): Scenario {
  const file = /[/\\]|\.ya?ml$/.test(nameOrPath) ? nameOrPath : `${shipped}${nameOrPath}.yaml`;
  if (!existsSync(file)) {
    throw new CutoverError('NotFound', `no scenario named ${JSON.stringify(nameOrPath)} exists (looked for ${file})`, {
      remedy: 'give the path of a YAML file, or the name of a shipped scenario such as six-nodes',
    });
  }
  return parseScenario(readFileSync(file, 'utf8'), file);
}

/** @throws CutoverError PlanInvalid; details hold every problem as `{ path, message, line, column }` */
export function parseScenario(text: string, file = 'scenario'): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw invalid(file, [{ path: '', message: broken.message, line, column: col }]);
  }
  return buildScenario(document.toJS(), file, (path) => placeOf(document, lines, path));
}

type Place = { line: number; column: number };

/** Checks a scenario given as plain values: what `parseScenario` does after reading YAML. @throws CutoverError PlanInvalid */
export function buildScenario(value: unknown, file = 'scenario', place?: (path: PropertyKey[]) => Place): Scenario {
  const parsed = scenarioSchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => ({
      path: issue.path.join('.'),
      message: issue.message,
      ...(place?.(issue.path) ?? { line: 0, column: 0 }),
    }));
    throw invalid(file, problems);
  }
  const { nodes, faults, ...rest } = parsed.data;
  const spelledOut = spellOut(nodes, rest);
  const known = new Set(spelledOut.map((each) => each.name));
  const strangers = [
    ...faults.flatMap((fault, at) => (fault.nodes ?? []).map((node) => ({ node, path: ['faults', at, 'nodes'] }))),
    ...(Array.isArray(nodes)
      ? []
      : Object.keys(nodes.overrides).map((node) => ({ node, path: ['nodes', 'overrides', node] }))),
  ].filter(({ node }) => !known.has(node));
  if (strangers.length > 0) {
    throw invalid(
      file,
      strangers.map(({ node, path }) => ({
        path: path.join('.'),
        message: `no node is named ${node}`,
        ...(place?.(path) ?? { line: 0, column: 0 }),
      })),
    );
  }
  return { ...rest, nodes: spelledOut, faults: faults as Fault[] };
}

type Settings = Omit<ReturnType<typeof scenarioSchema.parse>, 'nodes' | 'faults'>;

function spellOut(nodes: ReturnType<typeof scenarioSchema.parse>['nodes'], settings: Settings): ScenarioNode[] {
  const given = Array.isArray(nodes) ? nodes : countedNodes(nodes);
  const underlay = parseCidr(settings.nodeNetwork);
  const pods = parseCidr(settings.podNetwork);
  return given.map(({ controlPlane = false, zone = '', kernel = settings.versions.kernel, ...rest }, at) => ({
    ...rest,
    zone,
    controlPlane,
    kernel,
    ip: addressAt(underlay, 11 + at),
    podCIDR: `${addressAt(pods, at * 256)}/24`,
  }));
}

function countedNodes(counted: Exclude<ReturnType<typeof scenarioSchema.parse>['nodes'], unknown[]>) {
  const { workers, controlPlanes, zones, overrides } = counted;
  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => `${prefix}-${at + 1}`);
  const bare = { cordoned: false, labels: {}, taints: [], leftoverConfs: {}, hostKeyChanged: false };
  const build = (controlPlane: boolean) => (name: string, at: number) => ({
    ...bare,
    zone: zones[at % zones.length] ?? '',
    controlPlane,
    ...overrides[name],
    name,
  });
  return [...names('control-plane', controlPlanes).map(build(true)), ...names('worker', workers).map(build(false))];
}

/** Where a value stands in the file: the value itself, or what holds it when it is missing. */
function placeOf(document: Document, lines: LineCounter, path: PropertyKey[]): Place {
  for (let length = path.length; length >= 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
    if (node?.range === undefined) continue;
    const { line, col } = lines.linePos(node.range[0]);
    return { line, column: col };
  }
  return { line: 1, column: 1 };
}

function invalid(
  file: string,
  problems: { path: string; message: string; line: number; column: number }[],
): CutoverError {
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const what = `${first?.path ? `${first.path}: ` : ''}${first?.message}`;
  const where = first && first.line > 0 ? `${file}:${first.line}:${first.column}` : file;
  return new CutoverError('PlanInvalid', `${where}: ${what}${more}`, {
    remedy: 'correct the scenario file at the place that is named',
    details: problems,
  });
}
