import {
  damageObjects,
  firstPartner,
  leftoverConf,
  otherMac,
  plannedNode,
  restartFlannel,
  rulesOf,
  staleChain,
  type Damage,
  type Mend,
  type Rule,
  type Site,
} from '../../checks/damages.ts';
import { until } from '../../support/until.ts';
import { inNode } from '../cluster/node.ts';
import { nodeNamed } from '../settings.ts';
import type { Lab } from './harness.ts';

/** Breaks a node of the lab as people and programs do. What was half done when it failed is mended at once. */
export async function damageNode(lab: Lab, name: Damage, site: Site): Promise<Mend> {
  const rules = await rulesOf(name, site);
  if (rules !== undefined) return byScripts(lab, site.node, scriptsOf(rules));
  return (await damageObjects(name, site)) ?? damageMachine(lab, name, site);
}

/** The end of a script: half a minute for something that comes by itself. */
const waitUntil = (condition: string): string =>
  `for try in $(seq 150); do ${condition} && exit 0; sleep 0.2; done; echo 'not within 30 s' >&2; exit 1`;

interface Scripts {
  damage: string;
  mend: string;
}

/** The mending script says by its exit code whether everything that it undoes was there. */
async function byScripts(lab: Lab, node: string, { damage, mend }: Scripts): Promise<Mend> {
  try {
    await lab.onNode(node, `set -eu\n${damage}`);
  } catch (error) {
    await lab.onNode(node, mend).catch(() => '');
    throw error;
  }
  return async () => void (await lab.onNode(node, `set -eu\n${mend}`));
}

/** Each rule goes in front of all others of its chain; they are taken out in the other order. */
function scriptsOf(rules: readonly Rule[]): Scripts {
  const stale = rules.some(({ chain }) => chain === staleChain);
  const each = (verb: string) =>
    rules.map(({ table, chain, text }) => `iptables -w -t ${table} ${verb} ${chain} ${text}`);
  return {
    damage: [...(stale ? [`iptables -w -t nat -N ${staleChain}`] : []), ...each('-I')].join('\n'),
    mend: [...each('-D').toReversed(), ...(stale ? [`iptables -w -t nat -X ${staleChain}`] : [])].join('\n'),
  };
}

async function damageMachine(lab: Lab, name: Damage, site: Site): Promise<Mend> {
  const { node } = site;
  const { podCIDR } = plannedNode(site).fingerprint;
  switch (name) {
    case 'felix-blackholes': {
      const routes = [0, 64, 128, 192].map((last) => `blackhole ${podCIDR.replace('.0/24', `.${last}/26`)} proto 80`);
      const each = (verb: string) => routes.map((route) => `ip route ${verb} ${route}`).join('\n');
      return byScripts(lab, node, { damage: each('add'), mend: each('del') });
    }
    case 'route-missing': {
      const { podCIDR: lost } = firstPartner(site).fingerprint;
      const route = await lab.onNode(node, `ip route show exact ${lost}`);
      if (!/^\S+ via \S+ dev flannel\.1 onlink$/.test(route)) throw new Error(`the route to ${lost} is "${route}"`);
      return byScripts(lab, node, { damage: `ip route del ${route}`, mend: `ip route add ${route}` });
    }
    case 'flannel-link-deleted': {
      await lab.onNode(
        node,
        `set -eu\nip link delete flannel.1\n${waitUntil('ip -o link show flannel.1 up 2>/dev/null | grep -q .')}`,
      );
      return () => restartFlannel(site);
    }
    case 'vtep-mac-changed':
      return changeMac(lab, site);
    case 'leftover-conf':
      return leaveConf(lab, site);
    case 'kubelet-stopped':
      return byScripts(lab, node, {
        damage: 'systemctl stop kubelet',
        // Until it answers, nothing can be asked in its pods.
        mend: `systemctl start kubelet\n${waitUntil('curl -sk -m 1 -o /dev/null https://127.0.0.1:10250/healthz')}`,
      });
    case 'ssh-refused':
      return withoutSsh(lab, node, {
        damage: 'systemctl stop sshd',
        mend: 'systemctl start sshd',
      });
    case 'host-key-changed':
      return withoutSsh(lab, node, {
        damage: `cp -p /etc/ssh/lab_host_key /root/kept-host-key
          rm /etc/ssh/lab_host_key
          ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/lab_host_key
          systemctl restart sshd
          until ss -ltn | grep -q ':22 '; do sleep 0.05; done`,
        mend: `mv -f /root/kept-host-key /etc/ssh/lab_host_key
          rm -f /etc/ssh/lab_host_key.pub
          systemctl restart sshd`,
      });
    default:
      throw new Error(`nobody knows how to do ${name} to a node of the lab`);
  }
}

/** The kernel forgets every neighbour of a link whose MAC changes, and flanneld writes them only when it starts. */
async function changeMac(lab: Lab, { node, inspect }: Site): Promise<Mend> {
  const mac = (await inspect(node)).links.find(({ name }) => name === 'flannel.1')?.mac;
  const neighbours = await lab.onNode(node, 'ip neigh show dev flannel.1 nud permanent');
  const entries = neighbours.split('\n').flatMap((line) => {
    const [, address, lladdr] = /^(\S+) lladdr (\S+)/.exec(line) ?? [];
    return address && lladdr ? [`ip neigh replace ${address} lladdr ${lladdr} dev flannel.1 nud permanent`] : [];
  });
  if (mac === undefined || entries.length === 0) throw new Error(`flannel.1 of ${node} is not as Flannel makes it`);
  return byScripts(lab, node, {
    damage: `ip link set dev flannel.1 address ${otherMac}`,
    mend: [`ip link set dev flannel.1 address ${mac}`, ...entries].join('\n'),
  });
}

/** Written under another name first: the runtime never sees half a file. */
async function leaveConf(lab: Lab, { node, inspect }: Site): Promise<Mend> {
  const { path, content, network } = leftoverConf;
  const loads = (wanted: string) =>
    until(async () => (await inspect(node)).loadedNetworks.join() === wanted, `the runtime has loaded ${wanted}`);
  const remove = await byScripts(lab, node, {
    damage: `printf '%s\\n' '${content}' >/etc/cni/net.d/.leftover\nmv /etc/cni/net.d/.leftover ${path}`,
    mend: `rm ${path}`,
  });
  const mend = async () => {
    await remove();
    await loads('cbr0');
  };
  await loads(network).catch(async (error: unknown) => {
    await mend();
    throw error;
  });
  return mend;
}

/** Goes into the node without SSH, and comes back when SSH lets us in as before. */
async function withoutSsh(lab: Lab, name: string, { damage, mend }: Scripts): Promise<Mend> {
  const node = nodeNamed(name);
  const undo = async () => {
    await inNode(node, ['sh', '-ec', mend]);
    await until(() => lab.onNode(name, 'echo in').catch(() => ''), `SSH lets us into ${name} again`);
  };
  await inNode(node, ['sh', '-ec', damage]).catch(async (error: unknown) => {
    await undo().catch(() => undefined);
    throw error;
  });
  return undo;
}
