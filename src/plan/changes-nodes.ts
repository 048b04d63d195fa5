import type { Runbook } from './types.ts';

/** Whether the nodes of a stage are changed one by one; otherwise its node steps only look, and the cluster changes as a whole. */
export const changesNodes = ({ node }: Pick<Runbook, 'node'>): boolean =>
  node.some(({ undo, pointOfNoReturn }) => undo !== undefined || pointOfNoReturn);
