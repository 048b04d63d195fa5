import type { SimLink, SimNode, SimRule } from '../../types.ts';

/** A node's state in the words of the tools that a person would look at it with. Each text ends with a newline or is empty. */

const flags = (link: SimLink) => {
  const kind = link.name === 'lo' ? 'LOOPBACK' : 'BROADCAST,MULTICAST';
  return `<${kind}${link.up ? ',UP,LOWER_UP' : ''}>`;
};
const macText = (link: SimLink) =>
  link.name === 'lo'
    ? `link/loopback ${link.mac} brd 00:00:00:00:00:00`
    : `link/ether ${link.mac} brd ff:ff:ff:ff:ff:ff`;
const state = (link: SimLink) => (link.name === 'lo' || link.kind === 'vxlan' ? 'UNKNOWN' : link.up ? 'UP' : 'DOWN');
const shownName = ({ name, kind }: SimLink) => (kind === 'veth' ? `${name}@if2` : name);

function kindText(link: SimLink): string {
  if (link.kind === 'vxlan') {
    return `    vxlan id ${link.vni ?? 0} local ${link.local ?? '0.0.0.0'} dev eth0 srcport 0 0 dstport ${link.dstPort ?? 0} nolearning ttl auto ageing 300\n`;
  }
  if (link.kind === 'bridge')
    return '    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time 30000 stp_state 0\n';
  if (link.kind === 'veth') return '    veth\n';
  return '';
}

/** `ip link`, with `-d` the kind of each link as well. */
export function linksText(node: SimNode, details = false): string {
  return [...node.links.values()]
    .map((link, index) => {
      const master = link.master === undefined ? '' : ` master ${link.master}`;
      const head = `${index + 1}: ${shownName(link)}: ${flags(link)} mtu ${link.mtu} qdisc noqueue${master} state ${state(link)} mode DEFAULT group default\n`;
      return `${head}    ${macText(link)}\n${details ? kindText(link) : ''}`;
    })
    .join('');
}

/** `ip -br link`. */
export const briefLinks = (node: SimNode) =>
  [...node.links.values()]
    .map((link) => `${shownName(link).padEnd(16)} ${state(link).padEnd(14)} ${link.mac} ${flags(link)} \n`)
    .join('');

/** `ip addr`. */
export const addressesText = (node: SimNode) =>
  [...node.links.values()]
    .map((link, index) => {
      const head = `${index + 1}: ${shownName(link)}: ${flags(link)} mtu ${link.mtu} qdisc noqueue state ${state(link)} group default\n`;
      const inet = link.addresses.map(
        (address) => `    inet ${address} scope global ${link.name}\n       valid_lft forever preferred_lft forever\n`,
      );
      return `${head}    ${macText(link)}\n${inet.join('')}`;
    })
    .join('');

export const briefAddresses = (node: SimNode) =>
  [...node.links.values()]
    .map((link) => `${shownName(link).padEnd(16)} ${state(link).padEnd(14)} ${link.addresses.join(' ')} \n`)
    .join('');

/** `ip route`. */
export const routesText = (node: SimNode) =>
  node.routes
    .map(({ dst, via, dev, proto, type, onlink }) =>
      [
        type === 'unicast' ? dst : `${type} ${dst}`,
        via === undefined ? '' : `via ${via}`,
        dev === undefined ? '' : `dev ${dev}`,
        proto === '' ? '' : `proto ${proto}`,
        onlink ? 'onlink' : '',
      ]
        .filter(Boolean)
        .join(' '),
    )
    .map((line) => `${line} \n`)
    .join('');

/** `bridge fdb show`. */
export const fdbText = (node: SimNode) =>
  [...node.links.values()]
    .flatMap((link) => [...(link.fdb ?? [])].map(([mac, ip]) => `${mac} dev ${link.name} dst ${ip} self permanent\n`))
    .join('');

/** `ip neigh`. */
export const neighboursText = (node: SimNode) =>
  [...node.links.values()]
    .flatMap((link) =>
      [...(link.neighbours ?? [])].map(([ip, mac]) => `${ip} dev ${link.name} lladdr ${mac} PERMANENT \n`),
    )
    .join('');

const tables = ['raw', 'mangle', 'nat', 'filter'] as const;
const builtIn: { [table in SimRule['table']]: string[] } = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

interface Filter {
  backend: SimRule['backend'];
  family: SimRule['family'];
}

const rulesOf = (node: SimNode, { backend, family }: Filter, table: SimRule['table']) =>
  node.rules.filter((rule) => rule.backend === backend && rule.family === family && rule.table === table);

/** Chains of a table: the built-in ones, those that hold rules, and those that rules jump to. */
function chainsOf(rules: SimRule[], table: SimRule['table']): string[] {
  const targets = rules.flatMap(({ text }) => /-[jg] ((?:KUBE|FLANNEL|CNI|cali)-\S+)/.exec(text)?.[1] ?? []);
  return [...new Set([...builtIn[table], ...rules.map(({ chain }) => chain), ...targets])];
}

/** `iptables-save`, `ip6tables-legacy-save` and so on. */
export function iptablesSave(node: SimNode, backend: SimRule['backend'], family: SimRule['family']): string {
  return tables
    .map((table) => {
      const rules = rulesOf(node, { backend, family }, table);
      if (rules.length === 0) return '';
      const chains = chainsOf(rules, table);
      const declared = chains.map((chain) => `:${chain} ${builtIn[table].includes(chain) ? 'ACCEPT' : '-'} [0:0]\n`);
      const listed = chains.flatMap((chain) => rules.filter((rule) => rule.chain === chain));
      return `*${table}\n${declared.join('')}${listed.map(({ chain, text }) => `-A ${chain} ${text}\n`).join('')}COMMIT\n`;
    })
    .join('');
}

/** `iptables -t TABLE -S`. */
export function iptablesList(node: SimNode, filter: Filter, table: SimRule['table']): string {
  const rules = rulesOf(node, filter, table);
  const chains = chainsOf(rules, table);
  const declared = chains.map((chain) => (builtIn[table].includes(chain) ? `-P ${chain} ACCEPT\n` : `-N ${chain}\n`));
  const listed = chains.flatMap((chain) => rules.filter((rule) => rule.chain === chain));
  return `${declared.join('')}${listed.map(({ chain, text }) => `-A ${chain} ${text}\n`).join('')}`;
}

/** `nft list ruleset`: the rules of the nft backend, in the spelling of iptables. */
export function nftRuleset(node: SimNode): string {
  return (['ip', 'ip6'] as const)
    .flatMap((family) =>
      tables.map((table) => {
        const rules = rulesOf(node, { backend: 'nft', family }, table);
        if (rules.length === 0) return '';
        const chains = chainsOf(rules, table).filter(
          (chain) => !builtIn[table].includes(chain) || rules.some((rule) => rule.chain === chain),
        );
        const blocks = chains.map((chain) => {
          const lines = rules.filter((rule) => rule.chain === chain).map(({ text }) => `\t\txt ${text}\n`);
          return `\tchain ${chain} {\n${lines.join('')}\t}\n`;
        });
        return `table ${family} ${table} {\n${blocks.join('\n')}}\n`;
      }),
    )
    .join('');
}

/** `crictl pods -o json`. */
export const podsJson = (node: SimNode) =>
  `${JSON.stringify(
    {
      items: [...node.sandboxes.values()].map(({ id, pod, running }) => ({
        id,
        metadata: { name: pod.name, uid: pod.uid, namespace: pod.namespace, attempt: 0 },
        state: running ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
      })),
    },
    null,
    2,
  )}\n`;

/** `crictl pods`. */
export const podsTable = (node: SimNode) =>
  table(
    ['POD ID', 'STATE', 'NAMESPACE', 'NAME', 'NETWORK', 'IP'],
    [...node.sandboxes.values()].map(({ id, pod, network, ip, running }) => [
      id.slice(0, 13),
      running ? 'Ready' : 'NotReady',
      pod.namespace,
      pod.name,
      network,
      ip,
    ]),
  );

/** `crictl ps`: one container a running sandbox is all that the model has. */
export const containersTable = (node: SimNode) =>
  table(
    ['CONTAINER', 'STATE', 'POD ID', 'POD', 'NAMESPACE'],
    [...node.sandboxes.values()]
      .filter(({ running }) => running)
      .map(({ id, pod }) => [`c${id.slice(-12)}`, 'Running', id.slice(0, 13), pod.name, pod.namespace]),
  );

/** `crictl info`, the part about networks. */
export const runtimeInfo = (node: SimNode) =>
  `${JSON.stringify(
    {
      status: {
        conditions: [
          { type: 'RuntimeReady', status: true },
          { type: 'NetworkReady', status: node.loadedNetworks.length > 0 },
        ],
      },
      cniconfig: {
        PluginDirs: ['/opt/cni/bin'],
        PluginConfDir: '/etc/cni/net.d',
        PluginMaxConfNum: 1,
        Prefix: 'eth',
        Networks: ['cni-loopback', ...node.loadedNetworks].map((name, index) => ({
          Config: { Name: name },
          IFName: index === 0 ? 'lo' : `eth${index - 1}`,
        })),
      },
      lastCNILoadStatus: 'OK',
      'lastCNILoadStatus.default': 'OK',
    },
    null,
    2,
  )}\n`;

/** `conntrack -L`. */
export const conntrackText = (node: SimNode) =>
  node.conntrack
    .map(
      ({ protocol, state: status, dst, dport }) =>
        `${protocol.padEnd(8)} ${protocol === 'tcp' ? `6 ${status}` : '17'} dst=${dst} dport=${dport}\n`,
    )
    .concat(
      [...node.connections.values()].map(
        ({ protocol, src, dst, dport, realDst, realPort }) =>
          `${protocol.padEnd(8)} ${protocol === 'tcp' ? '6 ESTABLISHED' : '17'} src=${src} dst=${dst} dport=${dport} src=${realDst} dst=${src} sport=${realPort} [ASSURED]\n`,
      ),
    )
    .join('');

/** Columns as wide as their longest cell. */
function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)) + 3);
  return [head, ...rows]
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}
