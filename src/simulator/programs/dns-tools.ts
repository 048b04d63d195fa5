import { isAddress, type Program } from './context.ts';
import { lookUp, query, resolvConf, type Answer } from './resolver.ts';

/** dig: `[@server] [+short] [+search] [+tcp] [+time=N] [+tries=N] name [type]`. Exit 9 when no server answers. */
export const dig: Program = async (context, words, io) => {
  const names = words.filter((word) => !/^[@+-]/.test(word) && !/^(A|AAAA|ANY|SRV|PTR|IN|TXT|SOA)$/i.test(word));
  const flag = (name: string) => words.some((word) => word === `+${name}`);
  const number = (name: string, otherwise: number) =>
    Number(words.find((word) => word.startsWith(`+${name}=`))?.split('=')[1] ?? otherwise);
  const given = words.find((word) => word.startsWith('@'))?.slice(1);
  const timeoutMs = number('time', 5) * 1000;
  const tries = number('tries', 3);
  let server = given;
  if (server !== undefined && !isAddress(server)) {
    const { addresses } = await lookUp(context, server, timeoutMs);
    if (addresses[0] === undefined) {
      io.stderr(`dig: couldn't get address for '${server}': not found\n`);
      return 10;
    }
    [server] = addresses;
  }
  let exitCode = 0;
  for (const name of names.length > 0 ? names : ['.']) {
    const candidates = flag('search')
      ? [name, ...resolvConf(context).search.map((each) => `${name.replace(/\.$/, '')}.${each}`)]
      : [name];
    // With +search a name of fewer than ndots dots is tried with the search list first.
    if (candidates.length > 1) candidates.push(candidates.shift()!);
    let answer: Answer | undefined;
    for (const candidate of candidates) {
      answer = await query(context, {
        name: candidate,
        timeoutMs,
        tries,
        tcp: flag('tcp'),
        ...(server === undefined ? {} : { server }),
      });
      if (answer.status !== 'NXDOMAIN') break;
    }
    if (answer!.status === 'TIMEOUT' || answer!.status === 'REFUSED') {
      const what = answer!.status === 'TIMEOUT' ? 'timed out' : 'refused';
      io.stdout(`;; communications error to ${answer!.server}#53: ${what}\n`.repeat(tries));
      io.stdout(`\n; <<>> DiG 9.18 <<>> ${words.join(' ')}\n;; global options: +cmd\n;; no servers could be reached\n`);
      exitCode = 9;
      continue;
    }
    if (flag('short')) io.stdout(answer!.addresses.map((each) => `${each}\n`).join(''));
    else io.stdout(longAnswer(name, answer!));
  }
  return exitCode;
};

function longAnswer(name: string, { status, addresses, server }: Answer): string {
  const full = `${name.replace(/\.$/, '')}.`;
  const records = addresses.map((each) => `${full}\t\t5\tIN\tA\t${each}\n`).join('');
  return (
    `;; ->>HEADER<<- opcode: QUERY, status: ${status}, id: 4711\n;; QUESTION SECTION:\n;${full}\t\tIN\tA\n` +
    (records === '' ? '' : `\n;; ANSWER SECTION:\n${records}`) +
    `\n;; SERVER: ${server}#53(${server}) (UDP)\n`
  );
}

export const nslookup: Program = async (context, words, io) => {
  const [name = '', given] = words.filter((word) => !word.startsWith('-'));
  const server = given ?? resolvConf(context).server;
  const candidates =
    given === undefined ? undefined : [name, ...resolvConf(context).search.map((each) => `${name}.${each}`)];
  let answer: Answer | undefined;
  if (candidates === undefined) answer = await lookUp(context, name, 5000);
  for (const candidate of candidates ?? []) {
    answer = await query(context, { name: candidate, server, timeoutMs: 5000, tries: 1 });
    if (answer.status === 'TIMEOUT' || answer.addresses.length > 0) break;
  }
  if (answer!.status === 'TIMEOUT') {
    io.stdout(';; connection timed out; no servers could be reached\n\n');
    return 1;
  }
  io.stdout(`Server:\t\t${server}\nAddress:\t${server}#53\n\n`);
  if (answer!.addresses.length === 0) {
    io.stdout(`** server can't find ${name}: ${answer!.status === 'NOERROR' ? 'NXDOMAIN' : answer!.status}\n\n`);
    return 1;
  }
  io.stdout(answer!.addresses.map((each) => `Name:\t${name}\nAddress: ${each}\n`).join('') + '\n');
  return 0;
};
