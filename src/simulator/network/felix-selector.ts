/**
 * Selectors in Felix's language, compiled by shunting-yard into one closure and remembered: a cluster has few of them and
 * every packet asks.
 */
type Labels = { [key: string]: string };
type Test = (labels: Labels) => boolean;

const compiled = new Map<string, Test>();
const MOST = 10_000;

/** What cannot be read selects nothing: Felix drops such a policy. */
export function selectorOf(text: string): Test {
  let test = compiled.get(text);
  if (test === undefined) {
    if (compiled.size > MOST) compiled.clear();
    try {
      test = compile(text);
    } catch {
      test = () => false;
    }
    compiled.set(text, test);
  }
  return test;
}

const KEY = '[A-Za-z0-9_./-]+';
const VALUE = `(?:'[^']*'|"[^"]*")`;
/** One operand, whole: no operand holds another. */
const OPERANDS: [RegExp, (...parts: string[]) => Test][] = [
  [/^all\(\s*\)/, () => () => true],
  [/^global\(\s*\)/, () => (labels) => !('projectcalico.org/namespace' in labels)],
  [new RegExp(`^has\\(\\s*(${KEY})\\s*\\)`), (key) => (labels) => labels[key!] !== undefined],
  [new RegExp(`^(${KEY})\\s*==\\s*(${VALUE})`), (key, value) => (labels) => labels[key!] === bare(value!)],
  [new RegExp(`^(${KEY})\\s*!=\\s*(${VALUE})`), (key, value) => (labels) => labels[key!] !== bare(value!)],
  [new RegExp(`^(${KEY})\\s+not\\s*in\\s*\\{([^}]*)\\}`), (key, list) => (labels) => !oneOf(labels[key!], list!)],
  [new RegExp(`^(${KEY})\\s+in\\s*\\{([^}]*)\\}`), (key, list) => (labels) => oneOf(labels[key!], list!)],
  [
    new RegExp(`^(${KEY})\\s+contains\\s*(${VALUE})`),
    (key, value) => (labels) => labels[key!]?.includes(bare(value!)) ?? false,
  ],
  [
    new RegExp(`^(${KEY})\\s+starts\\s+with\\s*(${VALUE})`),
    (key, value) => (labels) => labels[key!]?.startsWith(bare(value!)) ?? false,
  ],
  [
    new RegExp(`^(${KEY})\\s+ends\\s+with\\s*(${VALUE})`),
    (key, value) => (labels) => labels[key!]?.endsWith(bare(value!)) ?? false,
  ],
];

const bare = (quoted: string): string => quoted.slice(1, -1);
const oneOf = (value: string | undefined, list: string): boolean =>
  value !== undefined && (list.match(new RegExp(VALUE, 'g')) ?? []).some((each) => bare(each) === value);

function compile(text: string): Test {
  const output: Test[] = [];
  const operators: string[] = [];
  const strength: { [operator: string]: number } = { '||': 1, '&&': 2, '!': 3 };
  const apply = (): void => {
    const operator = operators.pop()!;
    const right = output.pop();
    if (right === undefined) throw new Error('an operand is missing');
    if (operator === '!') return void output.push((labels) => !right(labels));
    const left = output.pop();
    if (left === undefined) throw new Error('an operand is missing');
    output.push(
      operator === '&&' ? (labels) => left(labels) && right(labels) : (labels) => left(labels) || right(labels),
    );
  };
  for (let rest = text.trim(); rest !== ''; rest = rest.trimStart()) {
    const operator = /^(\|\||&&|!|\(|\))/.exec(rest)?.[0];
    if (operator === undefined) {
      const found = OPERANDS.map(([pattern, make]) => ({ match: pattern.exec(rest), make })).find(({ match }) => match);
      if (!found) throw new Error(`not a selector: ${rest}`);
      output.push(found.make(...found.match!.slice(1)));
      rest = rest.slice(found.match![0].length);
      continue;
    }
    rest = rest.slice(operator.length);
    if (operator === '(' || operator === '!') operators.push(operator);
    else if (operator === ')') {
      while (operators.length > 0 && operators.at(-1) !== '(') apply();
      if (operators.pop() === undefined) throw new Error('a parenthesis is missing');
    } else {
      while (operators.length > 0 && (strength[operators.at(-1)!] ?? 0) >= strength[operator]!) apply();
      operators.push(operator);
    }
  }
  while (operators.length > 0) {
    if (operators.at(-1) === '(') throw new Error('a parenthesis is missing');
    apply();
  }
  if (output.length > 1) throw new Error('an operator is missing');
  return output[0] ?? (() => true);
}
