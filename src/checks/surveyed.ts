import type { Surveyed } from './asker.ts';
import { some } from './define.ts';

/** Names of the nodes that said nothing; the check node-access has the reasons of most. */
export const unasked = (surveyed: readonly Surveyed[]): string[] =>
  surveyed.flatMap(({ node, survey, error }) =>
    survey === undefined ? [`${node.name} (${error ?? 'no answer'})`] : [],
  );

/** What a check says that cannot pass because nodes said nothing. */
export const notAsked = (unknown: readonly string[], nodes: number): [message: string, options: { remedy: string }] => [
  `${unknown.length} of ${nodes} nodes could not be surveyed: ${some(unknown)}`,
  { remedy: 'see the check node-access; if it passes, run the verb survey by hand on that node' },
];

/** `worker-1: …` for each node of which `say` says something. */
export const saying = (
  surveyed: readonly Surveyed[],
  say: (survey: NonNullable<Surveyed['survey']>, node: Surveyed['node']) => string | false | undefined,
): string[] =>
  surveyed.flatMap(({ node, survey }) => {
    const said = survey === undefined ? undefined : say(survey, node);
    return said ? [`${node.name}: ${said}`] : [];
  });
