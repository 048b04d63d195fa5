import type { z } from 'zod';
import type { ErrorType } from '../errors.ts';
import { nearest } from './nearest.ts';
import { planJsonSchema } from './schema.ts';

export type PlanPath = (string | number)[];

/** One thing that is wrong with a plan, before it has a line and a column. */
export interface PlanProblem {
  path: PlanPath;
  /** A sentence that begins with the field: `spec.strategy.maxUnavailable must be at least 1, got 0`. */
  message: string;
  hint?: string;
  /** The key itself is wrong, not its value. */
  atKey?: boolean;
  /** Default PlanInvalid. */
  type?: ErrorType;
}

type Issue = z.core.$ZodIssue;

/** Problems that are told of one file. Each costs a look at the schema and one for its line: a file of 45,000 took 41 s. */
export const mostProblems = 50;

/** The first issues that zod found, as sentences for the person who wrote the plan. */
export function describeIssues(issues: readonly Issue[], value: unknown): PlanProblem[] {
  return issues
    .slice(0, mostProblems)
    .flatMap((issue) => describe(issue, value, issue.path as PlanPath))
    .slice(0, mostProblems);
}

function describe(issue: Issue, value: unknown, path: PlanPath): PlanProblem[] {
  const field = dotted(path) || 'the file';
  const found = at(value, path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, mostProblems).map((key) => unknownKey([...path, key]));
  if (issue.code === 'invalid_union') {
    // One branch fits and something inside it is wrong: say that, not that nothing fits.
    const inside = issue.errors.find(
      (errors) =>
        errors.length > 0 && errors.every((error) => error.path.length > 0 || error.code === 'unrecognized_keys'),
    );
    if (inside) {
      const unknown = inside.filter(({ code }) => code === 'unrecognized_keys');
      return (unknown.length > 0 ? unknown : inside).flatMap((error) =>
        describe(error, value, [...path, ...(error.path as PlanPath)]),
      );
    }
  }
  if (found === undefined) return [{ path, message: `${field} is missing${meaningOf(path)}` }];
  if (issue.code === 'invalid_value') {
    const allowed = issue.values.map(String);
    const near = typeof found === 'string' && allowed.length > 1 ? nearest(found, allowed) : undefined;
    return [
      {
        path,
        message: `${field} must be ${allowed.join(' or ')}, got ${show(found)}`,
        ...hintOf(near && `did you mean ${near}?`),
      },
    ];
  }
  return [{ path, message: `${field} ${demand(issue)}, got ${show(found)}` }];
}

function demand(issue: Issue): string {
  if (issue.message.startsWith('must ')) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return issue.origin === 'array'
        ? `must have at least ${issue.minimum} entry`
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'array'
        ? `must have at most ${issue.maximum} entries`
        : `must be at most ${issue.maximum}`;
    default:
      return `is not right (${issue.message})`;
  }
}

const typeNames: { [expected: string]: string } = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of fields',
  record: 'a map of names',
};

function unknownKey(path: PlanPath): PlanProblem {
  const key = String(path.at(-1));
  const siblings = fieldsAt(path.slice(0, -1));
  const near = nearest(key, siblings);
  const elsewhere = placesOf(key);
  const hint = near
    ? `did you mean ${near}?`
    : elsewhere.length > 0
      ? `it belongs in ${elsewhere.slice(0, 2).join(' or ')}`
      : `fields here are ${siblings.join(', ')}`;
  return { path, message: `${dotted(path)} is not a field`, hint, atKey: true };
}

const hintOf = (hint: string | undefined): { hint?: string } => (hint ? { hint } : {});

export const dotted = (path: PlanPath): string =>
  path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part),
    '',
  );

/** What the file says, short enough for a sentence. */
function show(value: unknown): string {
  if (value === null) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function at(value: unknown, path: PlanPath): unknown {
  let found = value;
  for (const part of path) {
    if (found === null || typeof found !== 'object' || !Object.hasOwn(found, part)) return undefined;
    found = (found as { [key: string]: unknown })[part];
  }
  return found;
}

interface SchemaNode {
  description?: string;
  properties?: { [key: string]: SchemaNode };
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
}

let cached: SchemaNode | undefined;
const schemaRoot = (): SchemaNode => (cached ??= planJsonSchema() as SchemaNode);

function schemaAt(path: PlanPath): SchemaNode[] {
  let nodes = [schemaRoot()];
  for (const part of path)
    nodes = nodes
      .flatMap((node) => [node, ...(node.anyOf ?? [])])
      .flatMap((node) => {
        if (typeof part === 'number') return node.items ?? [];
        return (
          node.properties?.[part] ?? (typeof node.additionalProperties === 'object' ? node.additionalProperties : [])
        );
      });
  return nodes.flatMap((node) => [node, ...(node.anyOf ?? [])]);
}

const fieldsAt = (path: PlanPath): string[] => schemaAt(path).flatMap((node) => Object.keys(node.properties ?? {}));

/** ` (the changes, in order)`: the first sentence of what the schema says about a field. */
function meaningOf(path: PlanPath): string {
  const text = schemaAt(path).find(({ description }) => description)?.description;
  const first = text?.split(/(?<=\.)\s/)[0]?.replace(/\.$/, '');
  return first ? ` (${first.charAt(0).toLowerCase()}${first.slice(1)})` : '';
}

/** Where else in the plan a field of this name lives: people forget how deep a setting is. */
function placesOf(key: string): string[] {
  const places: string[] = [];
  const walk = (node: SchemaNode, path: string): void => {
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      if (name === key) places.push(path || 'the top of the file');
      walk(child, path ? `${path}.${name}` : name);
    }
    if (node.items) walk(node.items, `${path}[]`);
    for (const branch of node.anyOf ?? []) walk(branch, path);
  };
  walk(schemaRoot(), '');
  return places;
}
