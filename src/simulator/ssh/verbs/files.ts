import type { SimNode } from '../../types.ts';
import type { VerbModel } from './model.ts';
import {
  confFolder,
  failure,
  flannelNetwork,
  inFolder,
  latency,
  ownFolder,
  removeFolder,
  revertUnit,
  sha256,
} from './model.ts';
import { plainName } from './input.ts';
import { iptablesSave, linksText, nftRuleset, podsJson, routesText } from '../shell/views.ts';

/** Model of snapshot.sh. */
export const snapshot: VerbModel<'snapshot'> = async ({ node, clock, guard }, input) => {
  const path = `${ownFolder}/${plainName(input, 'migration')}/snapshot`;
  const sums = `${path}/SHA256SUMS`;
  const existed = node.files.has(sums);
  if (!existed) {
    const aside = `${path}.new`;
    guard();
    removeFolder(node, aside);
    await clock.sleep(latency.snapshot);
    const kept = Object.entries(evidence(node)).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, content] of kept) node.write(`${aside}/${name}`, content);
    node.write(`${aside}/SHA256SUMS`, kept.map(([name, content]) => `${sha256(content)}  ./${name}\n`).join(''));
    guard();
    for (const file of inFolder(node, aside)) node.rename(file, `${path}${file.slice(aside.length)}`);
  }
  const listed = node.files.get(sums)!;
  const lines = listed
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ sum: line.slice(0, 64), name: line.slice(68) }));
  if (lines.some(({ sum, name }) => sha256(node.files.get(`${path}/${name}`) ?? '') !== sum)) {
    throw failure('SnapshotBroken', `the snapshot in ${path} is not what was written`);
  }
  return { path, sha256: sha256(listed), kept: lines.map(({ name }) => name), existed };
};

/** What is kept, by the file names of snapshot.sh. */
function evidence(node: SimNode): { [name: string]: string } {
  const copies = (folder: string, as: string) =>
    inFolder(node, folder).map((path) => [`${as}/${path.slice(folder.length + 1)}`, node.files.get(path)!] as const);
  const subnetEnv = node.files.get('/run/flannel/subnet.env');
  return {
    ...Object.fromEntries(copies(confFolder, 'net.d')),
    ...Object.fromEntries(copies('/var/lib/cni/networks', 'networks')),
    ...(subnetEnv === undefined ? {} : { 'subnet.env': subnetEnv }),
    'cni-bin.txt': inFolder(node, '/opt/cni/bin')
      .map((path) => `${path.split('/').pop()}\n`)
      .join(''),
    'links.txt': linksText(node, true),
    'routes.txt': routesText(node),
    'iptables-nft.txt': iptablesSave(node, 'nft', 'ip'),
    'ip6tables-nft.txt': iptablesSave(node, 'nft', 'ip6'),
    ...(node.rules.some(({ backend }) => backend === 'legacy')
      ? { 'iptables-legacy.txt': iptablesSave(node, 'legacy', 'ip') }
      : {}),
    'nft.txt': nftRuleset(node),
    'ipset.txt': [...node.ipsets]
      .sort()
      .map((name) => `create ${name} hash:net\n`)
      .join(''),
    'pods.json': podsJson(node),
  };
}

/** Model of remove-flannel-files.sh. */
export const removeFlannelFiles: VerbModel<'remove-flannel-files'> = async ({ node, guard }) => {
  if (node.loadedNetworks.includes(flannelNetwork)) {
    throw failure('StillLoaded', `the runtime still uses ${flannelNetwork}: its files stay`);
  }
  const removed: string[] = [];
  for (const path of [
    `${confFolder}/10-flannel.conflist`,
    '/run/flannel',
    '/var/lib/cni/flannel',
    '/opt/cni/bin/flannel',
  ]) {
    if (!node.files.has(path) && inFolder(node, path).length === 0) continue;
    guard();
    node.unlink(path);
    removeFolder(node, path);
    removed.push(path);
  }
  return { removed };
};

/** Model of forget.sh. */
export const forget: VerbModel<'forget'> = async ({ node, guard }, input) => {
  const migration = plainName(input, 'migration');
  const timer = node.timers.get(revertUnit);
  if (timer !== undefined && !timer.fired) throw failure('StillArmed', 'the dead-man switch is armed: disarm it first');
  const folder = `${ownFolder}/${migration}`;
  const removed = inFolder(node, folder).length > 0;
  if (removed) {
    guard();
    removeFolder(node, folder);
  }
  guard();
  node.unlink(`${ownFolder}/token`);
  timer?.cancel();
  return { removed };
};
