import { createAsker } from '../src/checks/asker.ts';
import { askSessions } from '../src/checks/bgp/ask-sessions.ts';
import { CutoverError } from '../src/errors.ts';
import { count, number, some } from './args.ts';
import { checkContext } from './check-context.ts';
import type { Verb, VerbContext } from './types.ts';

const lookEveryMs = 2_000;

/**
 * `bgp.watchSessions { seconds }`: waits until every session that should be there is Established, then watches all of them
 * for that long. One that goes down begins the time anew.
 *
 * @throws CutoverError StepTimedOut naming the sessions that do not stay
 */
export const watchSessions: Verb = async (context, input) => {
  const seconds = number(input, 'seconds');
  let since = Date.now();
  let flaps = 0;
  for (let wasUp = false; ;) {
    const { down, sessions } = await look(context);
    if (down.length === 0 && !wasUp) since = Date.now();
    if (down.length > 0 && wasUp) flaps += 1;
    wasUp = down.length === 0;
    const stayed = (Date.now() - since) / 1000;
    if (wasUp && stayed >= seconds)
      return {
        changed: false,
        summary: `all ${count(sessions, 'BGP session')} Established and up for ${Math.round(stayed)} s, ${count(flaps, 'flap')} before`,
        evidence: { sessions, seconds: Math.round(stayed), flaps },
      };
    if (Date.now() + lookEveryMs >= context.deadline)
      throw new CutoverError(
        'StepTimedOut',
        down.length > 0
          ? `${count(down.length, 'BGP session')} of ${sessions} ${down.length === 1 ? 'does' : 'do'} not come up: ${some(down)}`
          : `the BGP sessions do not stay up for ${seconds} s: ${count(flaps, 'flap')}`,
        { remedy: 'look whether TCP 179 passes both ways between these addresses, and at the log of BIRD' },
      );
    context.progress(
      wasUp ? `${sessions} sessions up for ${Math.round(stayed)} of ${seconds} s` : `not up: ${some(down)}`,
    );
    await context.sleep(Math.min(lookEveryMs, Math.max(200, seconds * 1000 - (Date.now() - since))));
  }
};

/** Waits until every session that should be there is Established. @throws CutoverError StepTimedOut naming those that are not */
export async function awaitSessions(context: VerbContext): Promise<void> {
  await context.waiting('agent', () => watchSessions(context, { seconds: 0 }));
}

async function look(context: VerbContext): Promise<{ sessions: number; down: string[] }> {
  const { expected, birds } = await askSessions(createAsker(checkContext(context, 0, undefined)));
  const down = birds.flatMap(({ node, error, sessions }) => {
    if (error !== '') return [`${node}: ${error}`];
    const up = new Set(sessions.filter(({ established }) => established).map(({ peer }) => peer));
    return [...(expected.get(node) ?? [])].filter((peer) => !up.has(peer)).map((peer) => `${node} - ${peer}`);
  });
  return { sessions: [...expected.values()].reduce((sum, { size }) => sum + size, 0), down };
}
