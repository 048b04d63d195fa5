import type { Outage } from '../store/views.ts';
import type { ServerDependencies } from './context.ts';
import { toCutoverError } from './errors.ts';

/** What was found is believed for so long, ms: a watched page asks several times a second. */
const believedMs = 2_000;

/** Asks what this server depends on, and remembers since when it does not answer. */
export interface OutageWatch {
  now(): Promise<Outage[]>;
}

/** One for each server. */
export function watchOutages({ store, control }: Pick<ServerDependencies, 'store' | 'control'>): OutageWatch {
  const since = new Map<Outage['what'], string>();
  let asked: { at: number; answer: Promise<Outage[]> } | undefined;

  const ask = async (what: Outage['what'], question: () => Promise<void> | void): Promise<Outage[]> => {
    try {
      await question();
      since.delete(what);
      return [];
    } catch (error) {
      const { message, remedy } = toCutoverError(error);
      const from = since.get(what) ?? new Date().toISOString();
      since.set(what, from);
      return [{ what, since: from, message, remedy }];
    }
  };

  return {
    now: () => {
      if (!asked || Date.now() - asked.at > believedMs)
        asked = {
          at: Date.now(),
          answer: Promise.all([ask('record', () => store.probe()), ask('temporal', () => control.ping())]).then((all) =>
            all.flat(),
          ),
        };
      return asked.answer;
    },
  };
}
