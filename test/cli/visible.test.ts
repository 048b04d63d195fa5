import { expect, it } from 'vitest';
import { visible, visibleJson } from '../../src/cli/visible.ts';

it.each([
  ['an escape that clears the screen', 'a\x1b[2Jb', 'a\\x1b[2Jb'],
  ['a title', '\x1b]0;x\x07', '\\x1b]0;x\\x07'],
  ['text that is hidden', '\x1b[8mx', '\\x1b[8mx'],
  ['a carriage return', 'refused\rapproved', 'refused\\x0dapproved'],
  ['a C1 escape', '\x9b2J', '\\x9b2J'],
  ['DEL', 'a\x7f', 'a\\x7f'],
  ['a change of direction', 'a\u202eb', 'a\\u202eb'],
])('shows %s', (_name, text, shown) => {
  expect(visible(text)).toBe(shown);
});

it('keeps what Cutover prints', () => {
  const text = '\x1b[1mNAME\x1b[22m\t\x1b[32m✓\x1b[39m Zoë\n';

  expect(visible(text)).toBe(text);
});

it('loses nothing of a JSON document', () => {
  const document = { reason: 'a\x9b2J\u202e\x7f\x1b' };
  const json = visibleJson(JSON.stringify(document));

  expect(json).toMatch(/^[\x20-\x7e]*$/);
  expect(JSON.parse(json)).toEqual(document);
});
