/** Colours and weights as style.ts writes them; nothing that hides text (8) or moves the cursor. */
// eslint-disable-next-line no-control-regex
const ownStyle = /(\x1b\[(?:0|1|2|3|4|22|23|24|3[0-79]|9[0-7])m)/;

/** C0 but tab and newline, DEL, C1, and what turns the direction of text or has no width. */
// eslint-disable-next-line no-control-regex
const unseen = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const escape = (character: string): string => {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
};

/**
 * Text for a terminal, with control characters shown (`\x1b`) instead of obeyed: names, paths and reasons were written by
 * others. The styles that Cutover itself prints stay.
 */
export const visible = (text: string): string =>
  text
    .split(ownStyle)
    .map((part, index) => (index % 2 === 1 ? part : part.replace(unseen, escape)))
    .join('');

/** A JSON document whose control characters are escapes of JSON: it parses to the same. */
export const visibleJson = (json: string): string =>
  json.replace(unseen, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
