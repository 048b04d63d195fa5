import jsonPatch from 'fast-json-patch';
import { clone, isObject, type Any } from '../json-values.ts';
import { badRequest, statusError } from '../status-error.ts';

/** RFC 7386: members of the patch replace or (null) remove members of the target. */
export function mergePatch(target: unknown, patch: unknown): Any {
  if (!isObject(patch)) return clone(patch);
  const result: Record<string, Any> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** RFC 6902. @throws StatusError 400 when it is no patch, 422 when a test fails or a path is missing */
export function applyJsonPatch(target: unknown, patch: unknown): Any {
  if (!Array.isArray(patch))
    throw badRequest('error decoding patch: json: cannot unmarshal object into a list of operations');
  try {
    return jsonPatch.applyPatch(clone(target), clone(patch), true).newDocument;
  } catch (error) {
    // What failed is in no part of the answer: apiserver's patch.go keeps it to itself.
    throw Object.assign(statusError(422, 'Invalid', 'the server rejected our request due to an error in our request'), {
      cause: error,
    });
  }
}
