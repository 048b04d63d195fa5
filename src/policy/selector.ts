import type { Labels } from './types.ts';

/** Whether labels satisfy a selector of Calico. */
export type Selects = (labels: Labels) => boolean;

interface Token {
  kind: 'symbol' | 'text' | 'word';
  value: string;
  at: number;
}

const tokenPattern = /\s*(?:(==|!=|&&|\|\||[!(){},])|"([^"]*)"|'([^']*)'|([A-Za-z0-9_./-]+))/y;

/** Keys of a NetworkPolicy's namespaceSelector are looked up under this prefix: Calico puts a namespace's labels on its pods. */
export interface SelectorOptions {
  prefix?: string;
  /** What `all()` and `global()` mean; the default takes `all()` as everything. */
  all?: Selects;
  global?: Selects;
}

/**
 * Reads a selector of Calico: `==`, `!=`, `in { }`, `not in { }`, `contains`, `starts with`, `ends with`, `has()`, `all()`,
 * `global()`, `!`, `&&`, `||` and parentheses; `&&` binds closer. `!=` and `not in` hold where the label is absent. An empty
 * selector selects everything.
 *
 * @throws Error with the place that cannot be read
 */
export function parseSelector(text: string, options: SelectorOptions = {}): Selects {
  const {
    prefix = '',
    all = () => true,
    global = (labels) => labels['projectcalico.org/namespace'] === undefined,
  } = options;
  const tokens = tokensOf(text);
  let next = 0;
  if (tokens.length === 0) return () => true;

  const peek = (value: string): boolean => tokens[next]?.kind !== 'text' && tokens[next]?.value === value;
  const accept = (value: string): boolean => {
    if (!peek(value)) return false;
    next++;
    return true;
  };
  const expected = (what: string): Error => {
    const token = tokens[next];
    return new Error(
      `the selector ${JSON.stringify(text)} needs ${what} ${token === undefined ? 'at its end' : `at character ${token.at + 1}`}`,
    );
  };
  const expect = (value: string): void => {
    if (!accept(value)) throw expected(`"${value}"`);
  };
  const word = (): string => {
    const token = tokens[next];
    if (token?.kind !== 'word') throw expected('a label');
    next++;
    return prefix + token.value;
  };
  const literal = (): string => {
    const token = tokens[next];
    if (token?.kind !== 'text') throw expected('a value in quotes');
    next++;
    return token.value;
  };
  const list = (): string[] => {
    expect('{');
    const values: string[] = [];
    while (!peek('}')) {
      values.push(literal());
      if (!accept(',')) break;
    }
    expect('}');
    return values;
  };

  const either = (): Selects => {
    const terms = [both()];
    while (accept('||')) terms.push(both());
    return terms.length === 1 ? terms[0]! : (labels) => terms.some((term) => term(labels));
  };
  const both = (): Selects => {
    const terms = [one()];
    while (accept('&&')) terms.push(one());
    return terms.length === 1 ? terms[0]! : (labels) => terms.every((term) => term(labels));
  };
  const one = (): Selects => {
    if (accept('!')) {
      const negated = one();
      return (labels) => !negated(labels);
    }
    if (accept('(')) {
      const inner = either();
      expect(')');
      return inner;
    }
    const isCall = tokens[next + 1]?.kind === 'symbol' && tokens[next + 1]?.value === '(';
    const name = isCall ? tokens[next]?.value : undefined;
    if (name === 'all' || name === 'global') {
      next += 2;
      expect(')');
      return name === 'all' ? all : global;
    }
    if (name === 'has') {
      next += 2;
      const key = word();
      expect(')');
      return (labels) => labels[key] !== undefined;
    }
    return comparison(word());
  };
  const comparison = (key: string): Selects => {
    if (accept('==')) return equals(key, literal());
    if (accept('!=')) return not(equals(key, literal()));
    if (accept('in')) return within(key, list());
    if (accept('notin')) return not(within(key, list()));
    if (accept('not')) {
      expect('in');
      return not(within(key, list()));
    }
    if (accept('contains')) return test(key, literal(), (value, part) => value.includes(part));
    if (accept('starts')) {
      expect('with');
      return test(key, literal(), (value, part) => value.startsWith(part));
    }
    if (accept('ends')) {
      expect('with');
      return test(key, literal(), (value, part) => value.endsWith(part));
    }
    throw expected('an operator');
  };

  const result = either();
  if (next < tokens.length) throw expected('"&&" or "||"');
  return result;
}

const not =
  (selects: Selects): Selects =>
  (labels) =>
    !selects(labels);
const equals =
  (key: string, wanted: string): Selects =>
  (labels) =>
    labels[key] === wanted;
const within = (key: string, values: string[]): Selects => {
  const set = new Set(values);
  return (labels) => labels[key] !== undefined && set.has(labels[key]);
};
const test =
  (key: string, part: string, holds: (value: string, part: string) => boolean): Selects =>
  (labels) =>
    labels[key] !== undefined && holds(labels[key], part);

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < trimmed.length) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(trimmed);
    if (match === null) throw new Error(`the selector ${JSON.stringify(text)} cannot be read at character ${at + 1}`);
    const [, symbol, double, single, word] = match;
    if (symbol !== undefined) tokens.push({ kind: 'symbol', value: symbol, at });
    else if (word !== undefined) tokens.push({ kind: 'word', value: word, at });
    else tokens.push({ kind: 'text', value: double ?? single ?? '', at });
  }
  return tokens;
}
