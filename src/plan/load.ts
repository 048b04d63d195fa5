import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document } from 'yaml';
import { CutoverError } from '../errors.ts';
import { describeIssues, dotted, mostProblems } from './issues.ts';
import type { PlanPath, PlanProblem } from './issues.ts';
import { lintPlan } from './lint.ts';
import { planSchema } from './schema.ts';
import type { MigrationPlan } from './schema.ts';

export interface LoadOptions {
  /** How errors name the file: the path as the person typed it. */
  file: string;
  /** Ids of the checks there are; names outside it are refused. Not checked when absent. */
  checks?: readonly string[];
}

/** One thing that is wrong, as `details.problems` of the error carries it. */
export interface PlacedProblem {
  file: string;
  line: number;
  column: number;
  /** `spec.strategy.waves[1].nodes` */
  path: string;
  message: string;
  hint?: string;
}

/**
 * Reads the text of a plan file. Pure: no file is opened, not even the bundles that the plan names.
 *
 * @throws CutoverError PlanInvalid with every problem, one line each, as `file:line:column: what; what to do`;
 * RouteUnknown when an unknown route is all that is wrong
 */
export function loadPlan(text: string, options: LoadOptions): MigrationPlan {
  const source = parse(text, options.file);
  const result = planSchema.safeParse(source.value);
  if (!result.success) throw planError(describeIssues(result.error.issues, source.value), source);
  const problems = lintPlan(result.data, options.checks);
  if (problems.length > 0) throw planError(problems, source);
  return result.data;
}

/** Validates a plan that arrives as JSON, for instance over the API: the same rules and sentences, without lines. */
export function validatePlan(value: unknown, options: { checks?: readonly string[] } = {}): MigrationPlan {
  const result = planSchema.safeParse(value);
  const problems = result.success ? lintPlan(result.data, options.checks) : describeIssues(result.error.issues, value);
  if (result.success && problems.length === 0) return result.data;
  throw refuse(problems, problems.map(sentence), {
    problems: problems.map((problem) => ({ ...problem, path: dotted(problem.path) })),
  });
}

/**
 * Puts file, line and column before an error of the compiler, which knows only the path in the plan
 * (`details.path`). Any other error comes back as it is.
 */
export function withPosition(error: unknown, text: string, file: string): unknown {
  if (!(error instanceof CutoverError)) return error;
  const path = (error.details as { path?: PlanPath } | undefined)?.path;
  if (!Array.isArray(path)) return error;
  const place = locate(parse(text, file), path);
  return new CutoverError(error.type, `${file}:${place.line}:${place.column}: ${error.message}`, {
    remedy: error.remedy,
    details: { ...(error.details as object), file, ...place },
    cause: error,
  });
}

interface Source {
  file: string;
  document: Document;
  lines: LineCounter;
  value: unknown;
}

function parse(text: string, file: string): Source {
  const lines = new LineCounter();
  // Its own look for keys that come twice compares each with each: 30,000 keys took 18 s.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
    uniqueKeys: false,
  });
  const errors = document.errors.map(({ pos, message }) => ({ offset: pos[0], message }));
  const broken = (errors.length > 0 ? errors : repeatedKeys(document))
    .slice(0, mostProblems)
    .map(({ offset, message }) => {
      const { line, col } = lines.linePos(offset);
      return { file, line, column: col, path: '', message: `not valid YAML: ${lowerFirst(message)}` };
    });
  if (broken.length > 0)
    // The first one is the cause: what follows is the parser stumbling on.
    throw new CutoverError('PlanInvalid', placedLine(broken[0]!), { details: { problems: broken } });
  if (document.contents === null)
    throw new CutoverError('PlanInvalid', `${file}:1:1: the file is empty; copy plans/flannel-to-calico.yaml to begin`);
  try {
    return { file, document, lines, value: document.toJS() as unknown };
  } catch (error) {
    // An alias without an anchor, or so many that expanding them would fill the memory.
    throw new CutoverError('PlanInvalid', `${file}:1:1: not valid YAML: ${lowerFirst((error as Error).message)}`, {
      cause: error,
    });
  }
}

function repeatedKeys(document: Document): { offset: number; message: string }[] {
  const repeated: { offset: number; message: string }[] = [];
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) repeated.push({ offset: key.range?.[0] ?? 0, message: 'map keys must be unique' });
        seen.add(key.value);
      }
    },
  });
  return repeated;
}

function planError(problems: PlanProblem[], source: Source): CutoverError {
  const placed = problems
    .slice(0, mostProblems)
    .map(({ path, message, hint, atKey }): PlacedProblem => ({
      file: source.file,
      ...locate(source, path, atKey),
      path: dotted(path),
      message,
      ...(hint === undefined ? {} : { hint }),
    }))
    .sort((a, b) => a.line - b.line || a.column - b.column);
  return refuse(problems, placed.map(placedLine), { problems: placed });
}

function refuse(problems: PlanProblem[], lines: string[], details: object): CutoverError {
  const type = problems.every((problem) => problem.type === 'RouteUnknown') ? 'RouteUnknown' : 'PlanInvalid';
  const shown = lines.slice(0, mostProblems);
  if (problems.length >= mostProblems) shown.push(`there may be more: the first ${mostProblems} problems are listed`);
  return new CutoverError(type, shown.join('\n'), { details });
}

const sentence = ({ message, hint }: { message: string; hint?: string }): string =>
  hint === undefined ? message : `${message}; ${hint}`;
const placedLine = (problem: PlacedProblem): string =>
  `${problem.file}:${problem.line}:${problem.column}: ${sentence(problem)}`;
const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

/** Line and column, from 1, of the value at a path, or of the nearest thing around it that is written in the file. */
function locate(source: Source, path: PlanPath, atKey = false): { line: number; column: number } {
  let node: unknown = source.document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const [index, part] of path.entries()) {
    let next: unknown;
    let keyOffset: number | undefined;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (pair === undefined) break;
      keyOffset = isNode(pair.key) ? pair.key.range?.[0] : undefined;
      next = pair.value;
    } else if (isSeq(node)) next = node.items[Number(part)];
    else break;
    const valueOffset = isNode(next) ? next.range?.[0] : undefined;
    const empty = isScalar(next) && next.source === '';
    // An empty value stands at the end of its line or on the next one: its key is the better place.
    offset =
      ((atKey && index === path.length - 1) || empty ? keyOffset : valueOffset) ?? keyOffset ?? valueOffset ?? offset;
    node = next;
  }
  const { line, col } = source.lines.linePos(offset);
  return { line, column: col };
}
