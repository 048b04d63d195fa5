import { readFileSync } from 'node:fs';
import type { NodeVerbs, VerbName } from './types.ts';

const folder = new URL('./verbs/', import.meta.url);
const programs = new Map<VerbName, string>();

/** Every verb, and whether it changes the node: those carry a token and are fenced. */
const mutates: { readonly [V in keyof NodeVerbs]: boolean } = {
  inspect: false,
  survey: false,
  counters: false,
  flows: false,
  snapshot: true,
  'arm-revert': true,
  'disarm-revert': true,
  purge: true,
  fence: true,
  unfence: true,
  'start-kubelet': true,
  'clean-flannel': true,
  'clean-calico': true,
  'flush-syn-sent': true,
  'ask-peers': false,
  'remove-flannel-files': true,
  forget: true,
};

export const verbNames = Object.keys(mutates) as VerbName[];
export const isVerbName = (name: string): name is VerbName => Object.hasOwn(mutates, name);
export const isMutating = (verb: VerbName): boolean => mutates[verb];

/** The whole program of a verb, as it goes to the node's `sh -s` on standard input: lib.sh, then the verb. */
export function verbProgram(verb: VerbName): string {
  const known = programs.get(verb);
  if (known !== undefined) return known;
  const program = [read('lib.sh'), ...(verb === 'arm-revert' ? [revertProgram()] : []), read(`${verb}.sh`)].join('\n');
  programs.set(verb, program);
  return program;
}

/** What the dead-man switch will run, as a shell function that prints it: the verb writes it to a file on the node. */
function revertProgram(): string {
  return `revert_program() { cat <<'END_OF_REVERT'\n${read('lib.sh')}${read('revert.sh')}END_OF_REVERT\n}\n`;
}

function read(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8');
}

/** The command line that runs a verb's program: `CUTOVER_VERB=fence sh -s -- '{"confName":…}'`. */
export function verbCommand(verb: VerbName, input: object, options: { sudo: boolean }): string {
  const run = `CUTOVER_VERB=${verb} sh -s -- ${quote(JSON.stringify(input))}`;
  return options.sudo ? `sudo -n env ${run}` : run;
}

/** What `verbCommand` wrote, read back; undefined when it is another command. @throws SyntaxError when the input is no JSON */
export function parseVerbCommand(command: string): { verb: string; input: unknown } | undefined {
  const match = /^(?:sudo -n env )?CUTOVER_VERB=([a-z-]+) sh -s -- '(.*)'$/s.exec(command);
  if (!match) return undefined;
  return { verb: match[1]!, input: JSON.parse(match[2]!.replaceAll(`'\\''`, `'`)) as unknown };
}

/** For a POSIX shell: everything between single quotes is literal. */
const quote = (text: string) => `'${text.replaceAll(`'`, `'\\''`)}'`;
