import { describe, expect, it } from 'vitest';
import { parseSelector } from '../../src/policy/selector.ts';

const labels = { app: 'web', tier: 'front-end', 'projectcalico.org/namespace': 'shop' };

describe('a selector of Calico', () => {
  it.each<[string, boolean]>([
    ['', true],
    ['all()', true],
    ['global()', false],
    ["app == 'web'", true],
    ['app=="web"', true],
    ["app != 'web'", false],
    ["missing != 'web'", true],
    ["app in {'api', 'web'}", true],
    ['app in { }', false],
    ["app not in {'api'}", true],
    ["missing not in {'api'}", true],
    ["missing notin {'api'}", true],
    ['has(app)', true],
    ['!has(app)', false],
    ['! has( missing )', true],
    ['!!has(app)', true],
    ["tier contains 'nt-e'", true],
    ["missing contains ''", false],
    ["tier starts with 'front'", true],
    ["tier ends with 'end'", true],
    ["tier ends with 'front'", false],
    ["app == 'api' || app == 'web' && has(missing)", false],
    ["(app == 'api' || app == 'web') && has(tier)", true],
    ["!(app == 'api') && projectcalico.org/namespace == 'shop'", true],
    ["in == 'x' || has(app)", true],
  ])('%s', (selector, expected) => {
    expect(parseSelector(selector)(labels)).toBe(expected);
  });

  it.each([
    ["app = 'web'", /character 4/],
    ['app == web', /a value in quotes at character 7/],
    ["app == 'web", /character 7/],
    ["app == 'web' tier == 'x'", /"&&" or "\|\|" at character 13/],
    ["(app == 'web'", /"\)" at its end/],
    ["app in 'web'", /"\{" at character 7/],
    ['has()', /a label at character 5/],
    ['&& has(app)', /a label at character 1/],
  ])('that cannot be read says where: %s', (selector, message) => {
    expect(() => parseSelector(selector)).toThrow(message);
  });

  it('looks keys up under a prefix, except those of all() and global()', () => {
    expect(parseSelector("team == 'a' && has(x)", { prefix: 'pcns.' })({ 'pcns.team': 'a', 'pcns.x': '' })).toBe(true);
    expect(parseSelector('all()', { prefix: 'pcns.', all: (each) => 'app' in each })({})).toBe(false);
  });
});
