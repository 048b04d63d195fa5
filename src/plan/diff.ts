import { isDeepStrictEqual } from 'node:util';
import type { Json, JsonObject } from '../json.ts';
import type { CompiledPlan, NodeFingerprint } from './types.ts';

/** One field that is not what it was: `cniConfs["10-flannel.conflist"]`. `undefined` where it does not exist. */
export interface FieldDiff {
  field: string;
  before: Json | undefined;
  after: Json | undefined;
}

/**
 * Field by field, what differs between two plain JSON values; empty when nothing does. Lists are compared whole.
 * For DriftFound: `diffFields(node.fingerprint, found)`.
 */
export function diffFields(before: Json | undefined, after: Json | undefined, field = ''): FieldDiff[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [{ field, before, after }];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return keys.flatMap((key) => diffFields(before[key], after[key], join(field, key)));
}

/** What differs between the node as it was planned and as it is. */
export const diffFingerprints = (planned: NodeFingerprint, found: NodeFingerprint): FieldDiff[] =>
  diffFields({ ...planned }, { ...found });

/** `kernel was 6.1.0-18, is 6.1.0-21` */
export const describeField = ({ field, before, after }: FieldDiff): string =>
  before === undefined
    ? `${field} is new: ${show(after)}`
    : after === undefined
      ? `${field} is gone, it was ${show(before)}`
      : `${field} was ${show(before)}, is ${show(after)}`;

export interface PlanDiff {
  nodes: {
    /** In the second plan only. */
    added: { node: string; stage: string; wave: string }[];
    removed: { node: string; stage: string; wave: string }[];
    /** In another wave than before. */
    moved: { node: string; stage: string; from: string; to: string }[];
    /** In the same plan, but the machine is not what it was. */
    changed: { node: string; stage: string; fields: FieldDiff[] }[];
  };
  /** Everything else: strategy, gates, steps, bundles, cluster. */
  settings: FieldDiff[];
}

/** What a second compiled plan would do differently. */
export function diffPlans(before: CompiledPlan, after: CompiledPlan): PlanDiff {
  const old = placesOf(before);
  const now = placesOf(after);
  const diff: PlanDiff = {
    nodes: { added: [], removed: [], moved: [], changed: [] },
    settings: diffFields(settingsOf(before), settingsOf(after)),
  };
  for (const [key, place] of now) {
    const was = old.get(key);
    const { node, stage, wave } = place;
    if (!was) diff.nodes.added.push({ node, stage, wave });
    else {
      if (was.wave !== wave) diff.nodes.moved.push({ node, stage, from: was.wave, to: wave });
      const fields = diffFields(was.facts, place.facts);
      if (fields.length > 0) diff.nodes.changed.push({ node, stage, fields });
    }
  }
  for (const [key, { node, stage, wave }] of old) if (!now.has(key)) diff.nodes.removed.push({ node, stage, wave });
  return diff;
}

export const isSamePlan = ({ nodes, settings }: PlanDiff): boolean =>
  settings.length === 0 && Object.values(nodes).every((list) => list.length === 0);

/** The difference as lines for a terminal: `+ worker-7 in wave rest`, `~ strategy.maxUnavailable was 1, is 2`. */
export function describePlanDiff({ nodes, settings }: PlanDiff): string[] {
  return [
    ...nodes.added.map(({ node, wave }) => `+ ${node} in wave ${wave}`),
    ...nodes.removed.map(({ node, wave }) => `- ${node} from wave ${wave}`),
    ...nodes.moved.map(({ node, from, to }) => `~ ${node} moves from wave ${from} to ${to}`),
    ...nodes.changed.flatMap(({ node, fields }) => fields.map((field) => `~ ${node}: ${describeField(field)}`)),
    ...settings.map((field) => `~ ${describeField(field)}`),
  ];
}

function placesOf(plan: CompiledPlan): Map<string, { node: string; stage: string; wave: string; facts: JsonObject }> {
  return new Map(
    plan.stages.flatMap((stage) =>
      stage.waves.flatMap((wave) =>
        wave.nodes.map(({ name, zone, controlPlane, fingerprint }) => [
          `${stage.id}/${name}`,
          { node: name, stage: stage.id, wave: wave.id, facts: { zone, controlPlane, ...fingerprint } },
        ]),
      ),
    ),
  );
}

/** The plan without its nodes; lists that have ids as maps, so that a new gate does not move every wave after it. */
function settingsOf(plan: CompiledPlan): JsonObject {
  const byId = <T extends { id: string }>(list: readonly T[], value: (entry: T) => unknown): JsonObject =>
    Object.fromEntries(list.map((entry) => [entry.id, value(entry) as Json]));
  return {
    ...(plan as unknown as JsonObject),
    stages: byId(plan.stages, (stage) => ({
      ...stage,
      prepare: byId(stage.prepare, (step) => step),
      node: byId(stage.node, (step) => step),
      finalize: byId(stage.finalize, (step) => step),
      waves: byId(stage.waves, ({ gate }) => ({ gate })),
    })),
  };
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const join = (field: string, key: string): string =>
  /^[\w-]+$/.test(key) ? (field ? `${field}.${key}` : key) : `${field}["${key}"]`;
const show = (value: Json | undefined): string => (typeof value === 'string' ? value || '""' : JSON.stringify(value));
