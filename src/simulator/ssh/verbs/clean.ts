import type { SimNode, SimRule } from '../../types.ts';
import type { VerbModel, VerbRun } from './model.ts';
import {
  agentRuns,
  awaitRoute,
  failure,
  inFolder,
  latency,
  leaseFolder,
  leases,
  removeFolder,
  sandboxesOf,
} from './model.ts';

const builtIn = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

/** `clean_rules` of lib.sh: own chains whole, and the rules of built-in chains that match, table by table. */
async function cleanRules({ node, clock, guard }: VerbRun, ownChain: RegExp, ownRule: RegExp): Promise<number> {
  const isOwn = ({ chain, text }: SimRule) => ownChain.test(chain) || (builtIn.has(chain) && ownRule.test(text));
  const placeOf = ({ backend, family, table }: SimRule) => `${backend} ${family} ${table}`;
  await clock.sleep(latency.filters);
  let removed = 0;
  for (const place of new Set(node.rules.filter(isOwn).map(placeOf))) {
    guard();
    const kept = node.rules.filter((rule) => placeOf(rule) !== place || !isOwn(rule));
    removed += node.rules.length - kept.length;
    node.rules = kept;
    await clock.sleep(latency.command);
  }
  return removed;
}

async function deleteLinks({ node, clock, guard }: VerbRun, names: string[]): Promise<string[]> {
  const links: string[] = [];
  for (const name of names) {
    if (!node.links.has(name)) continue;
    guard();
    node.deleteLink(name);
    links.push(name);
    await clock.sleep(latency.command);
  }
  return links;
}

/** Model of clean-flannel.sh. */
export const cleanFlannel: VerbModel<'clean-flannel'> = async (run, { keepLeases, keepLinks, waitSeconds }) => {
  const { node } = run;
  if (agentRuns(node, 'kube-flannel')) {
    throw failure('AgentRuns', 'kube-flannel still runs on this node: its links must not be deleted under it');
  }
  const ports = [...node.links.values()].filter(({ master }) => master === 'cni0').length;
  if (ports > 0) throw failure('BridgeInUse', `${ports} pods are still connected to cni0: purge comes first`);
  if (!keepLinks) await awaitRoute(run, waitSeconds ?? 0, ({ proto }) => proto === '80');
  const links = keepLinks ? [] : await deleteLinks(run, ['flannel.1', 'flannel-v6.1', 'cni0']);
  const rules = await cleanRules(run, /^FLANNEL-/, /-j FLANNEL-/);
  let removed = 0;
  if (!keepLeases && inFolder(node, leaseFolder).length > 0 && sandboxesOf(node, 'POD').length === 0) {
    removed = leases(node).length;
    run.guard();
    removeFolder(node, leaseFolder);
  }
  return { links, rules, leases: removed };
};

/** `clean_calico` of lib.sh, which the dead-man switch runs as well. */
export async function clearCalico(
  run: VerbRun,
): Promise<{ links: string[]; routes: number; rules: number; ipsets: number }> {
  const { node, guard } = run;
  let routes = 0;
  for (const protocols of [['80'], ['12', 'bird']]) {
    const kept = node.routes.filter(({ proto }) => !protocols.includes(proto));
    if (kept.length === node.routes.length) continue;
    guard();
    routes += node.routes.length - kept.length;
    node.routes = kept;
  }
  const links = await deleteLinks(run, calicoLinks(node));
  const rules = await cleanRules(run, /^cali-/, /-[jg] cali-|--comment "?cali:/);
  let ipsets = 0;
  for (const name of [...node.ipsets].filter((set) => /^cali[46]0/.test(set))) {
    guard();
    node.ipsets.delete(name);
    ipsets += 1;
  }
  removePlugins(run);
  return { links, routes, rules, ipsets };
}

const calicoLinks = (node: SimNode) =>
  [...node.links.keys()].filter((name) => /^(vxlan(-v6)?\.calico|cali[0-9a-f]+)$/.test(name));

/** `clean_calico_files` of lib.sh: plugins that a snapshot says were not there before. Tables without rules are not modelled. */
function removePlugins({ node, guard }: VerbRun): void {
  const lists = [...node.files].filter(([path]) => /^\/var\/lib\/cutover\/[^/]+\/snapshot\/cni-bin\.txt$/.test(path));
  for (const plugin of ['calico', 'calico-ipam']) {
    const path = `/opt/cni/bin/${plugin}`;
    if (!node.files.has(path) || !lists.some(([, list]) => !new RegExp(`(^| )${plugin}$`, 'm').test(list))) continue;
    guard();
    node.unlink(path);
  }
}

/** Model of clean-calico.sh. */
export const cleanCalico: VerbModel<'clean-calico'> = async (run) => {
  if (agentRuns(run.node, 'calico-node')) {
    throw failure('AgentRuns', 'calico-node still runs on this node: Felix would bring its routes and rules back');
  }
  return clearCalico(run);
};
