import type { Command } from 'commander';
import type { Cli } from './cli.ts';

/** What a file of `commands/` exports: adds arguments, options and the action to its command. */
export type Register = (command: Command, cli: Cli) => void;

export interface CommandEntry {
  name: string;
  description: string;
  /** Heading in `cutover --help`. */
  group: string;
  hidden?: boolean;
  /** Loaded only when the command line names it: `cutover --help` stays fast. */
  load(): Promise<Register>;
}
