import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { excludeLabel, foundState } from '../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';

/** How a node took part in scheduling before Cutover came. */
export interface FoundState {
  migration: string;
  unschedulable: boolean;
  /** Value of the label `excludeLabel`, null when the node did not carry it. */
  excludeFromLoadBalancers: string | null;
}

/** @returns undefined when nothing is kept on the node. @throws CutoverError DriftFound when somebody wrote over it */
export function keptState(node: KubernetesObject): FoundState | undefined {
  const kept = node.metadata.annotations?.[foundState];
  if (kept === undefined) return undefined;
  try {
    return JSON.parse(kept) as FoundState;
  } catch {
    throw new CutoverError(
      'DriftFound',
      `the annotation ${foundState} of node ${node.metadata.name} is not what Cutover wrote`,
      {
        remedy: 'remove the annotation, cordon the node as you found it, then retry',
      },
    );
  }
}

/** Keeps what is there now, unless something is kept already: an earlier attempt saw the node as it really was. */
function rememberPatch(node: KubernetesObject, migration: string): JsonObject | undefined {
  if (keptState(node)) return undefined;
  const found: FoundState = {
    migration,
    unschedulable: node['spec']?.unschedulable === true,
    excludeFromLoadBalancers: node.metadata.labels?.[excludeLabel] ?? null,
  };
  return { metadata: { annotations: { [foundState]: JSON.stringify(found) } } };
}

/** Takes no new pods and leaves external load balancers; remembers in the same write how the node was. */
export function cordonPatch(node: KubernetesObject, migration: string): JsonObject | undefined {
  const remember = rememberPatch(node, migration);
  const cordoned = node['spec']?.unschedulable === true && node.metadata.labels?.[excludeLabel] !== undefined;
  if (cordoned && !remember) return undefined;
  const kept = node.metadata.labels?.[excludeLabel];
  return {
    spec: { unschedulable: true },
    metadata: { ...(remember?.['metadata'] as JsonObject | undefined), labels: { [excludeLabel]: kept ?? 'true' } },
  };
}

/** Puts back what was found and forgets it, in one write. Nothing is kept: nothing to do. */
export function restorePatch(node: KubernetesObject): JsonObject | undefined {
  const found = keptState(node);
  if (!found) return undefined;
  return {
    spec: { unschedulable: found.unschedulable ? true : null },
    metadata: { labels: { [excludeLabel]: found.excludeFromLoadBalancers }, annotations: { [foundState]: null } },
  };
}

/** For `modify`: puts back what was found in `data` or `spec` and kept under that annotation; nothing when nothing was. */
export const putBackFound =
  (field: 'data' | 'spec', mark: string = foundState) =>
  ({ metadata }: KubernetesObject): JsonObject | undefined => {
    const found = metadata.annotations?.[mark];
    return found === undefined
      ? undefined
      : { [field]: JSON.parse(found) as JsonObject, metadata: { annotations: { [mark]: null } } };
  };
