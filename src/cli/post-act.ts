import type { Accepted } from '../server/acts.ts';
import type { Cli } from './cli.ts';
import { printMutation } from './output.ts';

/** Asks something of a migration or of one of its nodes and prints what kubectl would: `migration/x paused`. */
export async function postAct(cli: Cli, url: string, body: object, verbed: string, node?: string): Promise<void> {
  const answer = await cli.api().post<Accepted>(url, body);
  await printMutation(cli, answer, node === undefined ? `migration/${answer.migration}` : `node/${node}`, verbed);
}
