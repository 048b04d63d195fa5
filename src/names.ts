/**
 * The one place that says when two names are the same person, and which characters no name, reason or id may have.
 * Pure and deterministic: workflows use it, too.
 */

/**
 * Characters that a reader does not see or that change how a line is shown: C0, DEL, C1, zero-width, bidi overrides,
 * line separators, and what Unicode calls ignorable (UTS #36, "Trojan Source" CVE-2021-42574).
 */
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;
const allHidden = new RegExp(hidden, 'gu');

/** The first hidden character of a text as `U+202E`, or undefined. Line ends and tabs are fine where `multiline` says so. */
export function hiddenCharacter(text: string, { multiline = false } = {}): string | undefined {
  const found = hidden.exec(multiline ? text.replace(/[\t\r\n]/g, '') : text)?.[0];
  return found && `U+${found.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
}

/**
 * What names are compared by: `Ana`, `ANA` and `ana` with a zero-width space are one person. Upper case first, since it
 * folds what lower case keeps apart (`ß` and `ss`). Letters of different alphabets that look alike stay different.
 */
export const subjectOf = (name: string): string =>
  name
    .normalize('NFKC')
    .replace(allHidden, '')
    .toUpperCase()
    .toLowerCase()
    .normalize('NFKC')
    .replace(/\s+/g, ' ')
    .trim();

export const sameSubject = (a: string, b: string): boolean => subjectOf(a) === subjectOf(b);
