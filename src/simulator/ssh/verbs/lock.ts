import type { SimNode } from '../../types.ts';

const tails = new WeakMap<SimNode, Promise<unknown>>();

/** The lock of lib.sh's `claim`: verbs that change a node, and its dead-man switch, run one after the other there. */
export function withLock<T>(node: SimNode, run: () => Promise<T>): Promise<T> {
  const result = (tails.get(node) ?? Promise.resolve()).then(run);
  tails.set(
    node,
    result.catch(() => {}),
  );
  return result;
}
