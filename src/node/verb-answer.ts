import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';

const FENCED = 75;

/**
 * What a verb printed, as an object.
 * @throws CutoverError AttemptFenced for exit code 75, VerbFailed with the verb's own sentence or what else is known
 */
export function readAnswer(
  { node, verb }: { node: string; verb: string },
  { stdout, stderr, exitCode }: { stdout: string; stderr: string; exitCode: number },
): JsonObject {
  const answer = parseObject(stdout);
  if (exitCode === 0 && answer !== undefined) return answer;
  if (exitCode === FENCED) {
    throw new CutoverError(
      'AttemptFenced',
      `${verb} on ${node}: ${sentence(answer) ?? 'a newer attempt owns this node'}`,
      { details: answer?.['details'], ...(ofOther(answer) ? { remedy: otherRemedy } : {}) },
    );
  }
  const lastWords = stderr.trim().split('\n').pop()?.slice(0, 300) ?? '';
  const said = sentence(answer) ?? (lastWords || (exitCode === 0 ? 'its answer is no JSON object' : 'it said nothing'));
  const code = exitCode === 0 || answer !== undefined ? '' : ` (exit code ${exitCode})`;
  throw new CutoverError('VerbFailed', `${verb} on ${node} failed: ${said}${code}`, {
    details: { node, verb, exitCode, error: answer?.['error'], details: answer?.['details'] },
  });
}

/** Refused because another installation of Cutover owns the node. */
const ofOther = (answer: JsonObject | undefined): boolean =>
  JSON.stringify(answer?.['details'] ?? {}).includes('"reason":"other-installation"');
const otherRemedy = 'let that installation go on, or launch with --take-over when it is dead';

const sentence = (answer: JsonObject | undefined) =>
  typeof answer?.['message'] === 'string' ? answer['message'] : undefined;

/** The last line that is a JSON object: a tool may have printed something before it. */
function parseObject(text: string): JsonObject | undefined {
  const line = text.trim().split('\n').pop() ?? '';
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
