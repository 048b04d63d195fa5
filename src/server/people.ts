import { createHash, timingSafeEqual } from 'node:crypto';
import { CutoverError } from '../errors.ts';

/** Names that records use for what no person did. */
const reserved = /^(worker|workflow|cutover)(:|$)/;
const longestName = 128;

/** Compares without telling by its time how much was right. */
export function tokenMatches(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return token !== '' && timingSafeEqual(digest(given), digest(token));
}

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
  // oxlint-disable-next-line no-control-regex -- control characters are what must not come in
  if (name.length > longestName || /[\u0000-\u001f\u007f]/.test(name))
    throw new CutoverError(
      'Usage',
      `the name of the acting person has control characters or more than ${longestName} letters`,
    );
  if (reserved.test(name))
    throw new CutoverError('Usage', `${name} is a name that Cutover uses for itself`, {
      remedy: 'act under the name of a person: --as NAME',
    });
  return name;
}
