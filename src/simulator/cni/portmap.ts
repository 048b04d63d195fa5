import { chainHash } from '../node/identity.ts';
import type { SimRule } from '../types.ts';
import type { CniPlugin } from './plugin.ts';

const rule = (chain: string, text: string): SimRule => ({ backend: 'nft', family: 'ip', table: 'nat', chain, text });

const common: SimRule[] = [
  rule('PREROUTING', '-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT'),
  rule('OUTPUT', '-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT'),
  rule('POSTROUTING', '-m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ'),
  rule('CNI-HOSTPORT-MASQ', '-m mark --mark 0x2000/0x2000 -j MASQUERADE'),
  rule('CNI-HOSTPORT-SETMARK', '-m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000'),
];

/** Named after network and sandbox: a DEL through another network does not find it (§0a.24 of the migration facts). */
const chainOf = (network: string, id: string) => `CNI-DN-${chainHash(`${network}${id}`, 21)}`;

/** hostPorts, as chains of the nat table. New jumps are appended: the oldest chain that matches wins. */
export const portmap: CniPlugin = {
  add({ node, network, sandbox }, previous) {
    if (previous === undefined) throw new Error('plugin type="portmap" failed (add): must be called as chained plugin');
    if (sandbox.hostPorts.length === 0) return previous;
    const chain = chainOf(network, sandbox.id);
    const protocols = [...new Set(sandbox.hostPorts.map(({ protocol }) => protocol.toLowerCase()))];
    const jumps = protocols.map((protocol) => {
      const ports = sandbox.hostPorts
        .filter((each) => each.protocol.toLowerCase() === protocol)
        .map(({ hostPort }) => hostPort);
      const name = `-m comment --comment "dnat name: \\"${network}\\" id: \\"${sandbox.id}\\""`;
      return rule('CNI-HOSTPORT-DNAT', `-p ${protocol} ${name} -m multiport --dports ${ports.join(',')} -j ${chain}`);
    });
    const targets = sandbox.hostPorts.flatMap(({ hostPort, containerPort, protocol }) => {
      const match = `-p ${protocol.toLowerCase()} -m ${protocol.toLowerCase()} --dport ${hostPort}`;
      return [
        rule(chain, `-s ${previous.ip}/${previous.prefixLength} ${match} -j CNI-HOSTPORT-SETMARK`),
        rule(chain, `-s 127.0.0.1/32 ${match} -j CNI-HOSTPORT-SETMARK`),
        rule(chain, `${match} -j DNAT --to-destination ${previous.ip}:${containerPort}`),
      ];
    });
    const missing = common.filter(
      (each) => !node.rules.some(({ chain: of, text }) => of === each.chain && text === each.text),
    );
    node.rules = [...node.rules, ...missing, ...jumps, ...targets];
    return previous;
  },
  del({ node, network, sandbox }) {
    const chain = chainOf(network, sandbox.id);
    if (!node.rules.some((each) => each.chain === chain)) return;
    node.rules = node.rules.filter((each) => each.chain !== chain && !each.text.endsWith(`-j ${chain}`));
  },
};
