/** Splits a command line into words as sh does: quotes and backslashes, no expansion. Operators are words of their own. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word = '';
  let open = false;
  let quote = '';
  const end = () => {
    if (open) words.push(word);
    word = '';
    open = false;
  };
  for (let at = 0; at < line.length; at += 1) {
    const letter = line[at]!;
    if (quote !== '') {
      if (letter === quote) quote = '';
      else if (letter === '\\' && quote === '"' && '"\\$`'.includes(line[at + 1] ?? ' ')) word += line[(at += 1)];
      else word += letter;
      continue;
    }
    if (letter === "'" || letter === '"') {
      quote = letter;
      open = true;
    } else if (letter === '\\') {
      word += line[(at += 1)] ?? '';
      open = true;
    } else if (/\s/.test(letter)) {
      end();
      if (letter === '\n') words.push(';');
    } else if (letter === ';' || letter === '|' || (letter === '&' && line[at + 1] === letter)) {
      end();
      const double = letter !== ';' && line[at + 1] === letter;
      words.push(double ? letter + letter : letter);
      if (double) at += 1;
    } else {
      word += letter;
      open = true;
    }
  }
  end();
  return words;
}
