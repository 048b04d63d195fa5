import type { SimNode, SimRule } from '../../types.ts';
import {
  addressesText,
  briefAddresses,
  briefLinks,
  conntrackText,
  containersTable,
  fdbText,
  iptablesList,
  iptablesSave,
  linksText,
  neighboursText,
  nftRuleset,
  podsJson,
  podsTable,
  routesText,
  runtimeInfo,
} from './views.ts';

export interface Output {
  stdout: string;
  stderr: string;
  exitCode: number;
}

type Command = (node: SimNode, args: string[], stdin: string) => string;

/** Ends a command with its complaint. */
class Complaint extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

const words = (args: string[]) => args.filter((arg) => !arg.startsWith('-'));
const has = (args: string[], flag: string) => args.includes(flag);

function ip(node: SimNode, args: string[]): string {
  const brief = has(args, '-br') || has(args, '-brief');
  const details = has(args, '-d') || has(args, '-details');
  const [object = '', ...rest] = words(args);
  const device = rest.find((word) => node.links.has(word));
  const only = (text: string) => (device === undefined ? text : onlyLink(text, device));
  if ('link'.startsWith(object) && object !== '') return only(brief ? briefLinks(node) : linksText(node, details));
  if ('address'.startsWith(object) && object !== '') return only(brief ? briefAddresses(node) : addressesText(node));
  if ('route'.startsWith(object) && object !== '') return routesText(node);
  if ('neighbour'.startsWith(object) && object !== '') return neighboursText(node);
  throw new Complaint(`Object "${object}" is unknown, try "ip link", "ip addr", "ip route" or "ip neigh".`);
}

/** The lines of one link: its head and what is indented below it. */
function onlyLink(text: string, name: string): string {
  let inside = false;
  return text
    .split(/(?<=\n)/)
    .filter(
      (line) =>
        (inside = /^\s/.test(line) ? inside : new RegExp(`^(\\d+: )?${name.replaceAll('.', '\\.')}(@| |:)`).test(line)),
    )
    .join('');
}

const iptables =
  (backend: SimRule['backend'], family: SimRule['family']): Command =>
  (node, args) => {
    if (!has(args, '-S') && !has(args, '--list-rules'))
      throw new Complaint('only -S is known here: iptables [-t TABLE] -S', 2);
    const table = args[args.indexOf('-t') + 1];
    const known = ['raw', 'mangle', 'nat', 'filter'] as const;
    return iptablesList(
      node,
      { backend, family },
      (has(args, '-t') && known.find((name) => name === table)) || 'filter',
    );
  };

function ls(node: SimNode, args: string[]): string {
  return (words(args).length > 0 ? words(args) : ['/'])
    .map((given) => {
      const path = given.replace(/\/+$/, '');
      if (node.files.has(path)) return `${given}\n`;
      const inside = [...node.files.keys()]
        .filter((file) => file.startsWith(`${path}/`))
        .map((file) => file.slice(path.length + 1));
      if (inside.length === 0) throw new Complaint(`ls: cannot access '${given}': No such file or directory`, 2);
      const names = [...new Set(inside.map((file) => file.split('/')[0]!))].sort();
      return names.map((name) => `${name}\n`).join('');
    })
    .join('');
}

function cat(node: SimNode, args: string[], stdin: string): string {
  if (args.length === 0) return stdin;
  return args
    .map((path) => {
      const content = node.files.get(path);
      if (content === undefined) throw new Complaint(`cat: ${path}: No such file or directory`);
      return content;
    })
    .join('');
}

function grep(_node: SimNode, args: string[], stdin: string): string {
  const flags = args.filter((arg) => arg.startsWith('-')).join('');
  const [pattern = ''] = words(args);
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, flags.includes('i') ? 'i' : '');
  } catch {
    throw new Complaint(`grep: ${pattern}: not a regular expression`, 2);
  }
  const lines = stdin.split('\n').filter((line, index, all) => index < all.length - 1 || line !== '');
  const found = lines.filter((line) => expression.test(line) !== flags.includes('v'));
  if (flags.includes('c')) return `${found.length}\n`;
  if (found.length === 0) throw new Complaint('');
  return found.map((line) => `${line}\n`).join('');
}

const lineCount = (args: string[]) => Math.abs(Number(args.find((arg) => /^-?\d+$/.test(arg)) ?? 10));

function systemctl(node: SimNode, args: string[]): string {
  const [action = '', unit = ''] = words(args);
  if (unit.startsWith('kubelet')) {
    const active = node.kubelet.active;
    if (action === 'is-active') {
      if (!active) throw new Complaint('inactive', 3);
      return 'active\n';
    }
    if (action === 'status') {
      return `${active ? '●' : '○'} kubelet.service - kubelet: The Kubernetes Node Agent\n     Active: ${active ? 'active (running)' : 'inactive (dead)'}\n`;
    }
  }
  if (action === 'list-timers') {
    return [...node.timers]
      .map(([name, { firesAt, fired }]) => `${fired ? 'fired' : new Date(firesAt).toISOString()}  ${name}.timer\n`)
      .join('');
  }
  throw new Complaint('known here: systemctl status kubelet, systemctl is-active kubelet, systemctl list-timers');
}

function crictl(node: SimNode, args: string[]): string {
  const [action = ''] = words(args);
  if (action === 'info') return runtimeInfo(node);
  if (action === 'ps') return containersTable(node);
  if (action === 'pods') return has(args, 'json') ? podsJson(node) : podsTable(node);
  throw new Complaint('known here: crictl pods, crictl ps, crictl info');
}

const help = `This is a simulated node: its state is real to the simulation, the shell only looks.
  hostname  uname -a  uptime  whoami  date  ls DIR  cat FILE  echo TEXT
  ip [-br|-d] link|addr|route|neigh [LINK]     bridge fdb
  iptables -t TABLE -S   iptables-save   iptables-legacy-save   ip6tables-save   nft list ruleset   ipset list -n
  crictl pods|ps|info    systemctl status kubelet    systemctl list-timers    conntrack -L
  … | grep [-v -i -c] PATTERN    … | head -N    … | tail -N    … | wc -l    … | sort
  exit
`;

const commands: { [name: string]: Command } = {
  help: () => help,
  hostname: (node) => `${node.name}\n`,
  whoami: () => 'root\n',
  date: () => `${new Date().toUTCString()}\n`,
  uptime: () =>
    ` ${new Date().toISOString().slice(11, 19)} up 41 days,  3:07,  1 user,  load average: 0.21, 0.18, 0.12\n`,
  uname: (node, args) =>
    has(args, '-r')
      ? `${node.kernel}\n`
      : has(args, '-n')
        ? `${node.name}\n`
        : `Linux ${node.name} ${node.kernel} #1 SMP x86_64 GNU/Linux\n`,
  echo: (_node, args) => `${args.join(' ')}\n`,
  true: () => '',
  ls,
  cat,
  ip,
  bridge: (node) => fdbText(node),
  iptables: iptables('nft', 'ip'),
  'iptables-nft': iptables('nft', 'ip'),
  'iptables-legacy': iptables('legacy', 'ip'),
  ip6tables: iptables('nft', 'ip6'),
  'iptables-save': (node) => iptablesSave(node, 'nft', 'ip'),
  'iptables-nft-save': (node) => iptablesSave(node, 'nft', 'ip'),
  'iptables-legacy-save': (node) => iptablesSave(node, 'legacy', 'ip'),
  'ip6tables-save': (node) => iptablesSave(node, 'nft', 'ip6'),
  nft: (node) => nftRuleset(node),
  ipset: (node) =>
    [...node.ipsets]
      .sort()
      .map((name) => `${name}\n`)
      .join(''),
  crictl,
  systemctl,
  conntrack: (node) => conntrackText(node),
  grep,
  head: (_node, args, stdin) =>
    stdin
      .split(/(?<=\n)/)
      .slice(0, lineCount(args))
      .join(''),
  tail: (_node, args, stdin) =>
    stdin
      .split(/(?<=\n)/)
      .slice(-lineCount(args))
      .join(''),
  sort: (_node, _args, stdin) =>
    stdin
      .split(/(?<=\n)/)
      .sort()
      .join(''),
  wc: (_node, _args, stdin) => `${stdin.split('\n').length - 1}\n`,
};

export const commandNames = Object.keys(commands).sort();

/** Runs one command line: pipes and `;`, quotes, no expansion. */
export function runLine(node: SimNode, line: string): Output {
  const total: Output = { stdout: '', stderr: '', exitCode: 0 };
  for (const pipeline of split(line, ';')) {
    let stdin = '';
    for (const part of split(pipeline, '|')) {
      const [name = '', ...args] = tokens(part.replaceAll(/\s2>(\/dev\/null|&1)/g, ''));
      if (name === '') continue;
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      try {
        if (command === undefined)
          throw new Complaint(`${name}: command not found (this is a simulated node; try help)`, 127);
        stdin = command(node, args, stdin);
        total.exitCode = 0;
      } catch (error) {
        if (!(error instanceof Complaint)) throw error;
        if (error.message !== '') total.stderr += `${error.message}\n`;
        total.exitCode = error.exitCode;
        stdin = '';
      }
    }
    total.stdout += stdin;
  }
  return total;
}

/** Splits at a character that stands outside of quotes. */
function split(text: string, at: string): string[] {
  const parts = [''];
  let quote = '';
  for (const char of text) {
    if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === at) {
      parts.push('');
      continue;
    }
    parts[parts.length - 1] += char;
  }
  return parts.filter((part) => part.trim() !== '');
}

const tokens = (text: string): string[] =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
