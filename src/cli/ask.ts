import { createInterface } from 'node:readline/promises';
import { CutoverError } from '../errors.ts';
import type { Cli } from './cli.ts';

/**
 * Asks a person at the terminal; the question goes to stderr, so that data can be piped.
 * @throws CutoverError Usage when nobody is there to answer
 */
export async function ask(cli: Cli, question: string, remedy: string): Promise<string> {
  if (!cli.interactive) throw new CutoverError('Usage', 'there is no terminal to ask at', { remedy });
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await reader.question(question)).trim();
  } finally {
    reader.close();
  }
}

/** @throws CutoverError Usage when nobody can answer; an answer that is not yes ends the command with exit code 1 */
export async function confirm(cli: Cli, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  const answer = await ask(cli, `${question} [y/N] `, 'say --yes when nobody is there to answer');
  if (/^y(es)?$/i.test(answer)) return true;
  cli.say('nothing was changed');
  cli.exitCode = 1;
  return false;
}
