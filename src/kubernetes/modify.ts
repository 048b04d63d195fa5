import type { JsonObject } from '../json.ts';
import { codeOf } from './transport.ts';
import { CutoverError } from '../errors.ts';
import type { KubernetesClient, KubernetesObject, ObjectRef } from './types.ts';

const maxTries = 8;

/**
 * Reads an object, lets `change` make a merge patch of what was read, and writes it on the condition that nobody wrote
 * in between; after a conflict it reads again. `change` answers undefined when nothing is missing.
 *
 * @throws CutoverError NotFound when the object does not exist
 */
export async function modify(
  client: KubernetesClient,
  ref: ObjectRef,
  change: (current: KubernetesObject) => JsonObject | undefined,
): Promise<{ object: KubernetesObject; changed: boolean }> {
  for (let tried = 1; ; tried++) {
    const current = await client.get(ref);
    if (!current)
      throw new CutoverError(
        'NotFound',
        `${ref.kind} ${ref.namespace ? `${ref.namespace}/` : ''}${ref.name} does not exist`,
      );
    const patch = change(current);
    if (patch === undefined) return { object: current, changed: false };
    const metadata = {
      ...(patch['metadata'] as JsonObject | undefined),
      resourceVersion: current.metadata.resourceVersion,
    };
    try {
      return { object: await client.mergePatch(ref, { ...patch, metadata }), changed: true };
    } catch (error) {
      if (codeOf(error) !== 409 || tried >= maxTries) throw error;
    }
  }
}
