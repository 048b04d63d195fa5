import { randomUUID } from 'node:crypto';
import { CutoverError } from '../errors.ts';
import { hiddenCharacter, subjectOf } from '../names.ts';

/** Names that records use for what no person did. */
const reserved = /^(worker|workflow|cutover)(:|$)/;
const longestName = 128;

/**
 * Who acts, from the header `x-cutover-actor` (percent-encoded UTF-8). For now whoever holds the token is believed;
 * the name is what the two-person rule and the audit log go by, so it must be one.
 *
 * @returns the name, `` when the header is absent
 * @throws CutoverError Usage when it cannot be a person's name
 */
export function actorOf(header: string | undefined): string {
  if (header === undefined || header === '') return '';
  let name: string;
  try {
    name = decodeURIComponent(header).trim();
  } catch {
    throw new CutoverError('Usage', 'the header x-cutover-actor is not percent-encoded UTF-8');
  }
  if (name.length > longestName)
    throw new CutoverError('Usage', `the name of the acting person has more than ${longestName} characters`);
  const hidden = hiddenCharacter(name);
  if (hidden || (name !== '' && subjectOf(name) === ''))
    throw new CutoverError('Usage', `the name of the acting person has a character that cannot be seen (${hidden})`, {
      remedy: 'act under a name of letters that everybody can see: --as NAME',
    });
  if (reserved.test(subjectOf(name)))
    throw new CutoverError('Usage', `${name} is a name that Cutover uses for itself`, {
      remedy: 'act under the name of a person: --as NAME',
    });
  return name;
}

/** Of the request, made here when it names none. @throws CutoverError Usage when it cannot be one */
export function requestIdOf(header: string | undefined): string {
  if (header === undefined || header === '') return randomUUID();
  if (/^[\w.:@/+=-]{1,128}$/.test(header)) return header;
  throw new CutoverError('Usage', 'the header x-request-id is not 1 to 128 letters, digits or any of . _ : @ / + = -');
}
