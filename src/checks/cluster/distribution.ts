import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = { nodes: number; found: { name: string; nodes: string[] }[] };

interface Distribution {
  name: string;
  /** Where it shows: kubelet's version, the operating system, or the key of a label. */
  kubelet?: RegExp;
  os?: RegExp;
  label?: RegExp;
  verdict: 'warn' | 'block';
  why: string;
}

/** Who builds nodes, and puts a network on them, by himself (§3.4 and §6 of the migration facts). */
const distributions: readonly Distribution[] = [
  {
    name: 'GKE',
    kubelet: /-gke\./,
    label: /^cloud\.google\.com\/gke-/,
    verdict: 'block',
    why: 'manages the network of its nodes itself and puts it back',
  },
  {
    name: 'AKS',
    label: /^kubernetes\.azure\.com\//,
    verdict: 'block',
    why: 'manages the network of its nodes itself and puts it back',
  },
  {
    name: 'OpenShift',
    kubelet: /-openshift/,
    label: /^node\.openshift\.io\//,
    verdict: 'block',
    why: 'has an operator that owns the network',
  },
  {
    name: 'RKE2',
    kubelet: /\+rke2/,
    verdict: 'block',
    why: 'installs its network from charts that it reconciles',
  },
  {
    name: 'k3s',
    kubelet: /\+k3s/,
    verdict: 'warn',
    why: 'has a Flannel of its own, which must be off (--flannel-backend=none), and keeps its confs elsewhere',
  },
  { name: 'k0s', kubelet: /\+k0s/, verdict: 'warn', why: 'can reconcile its network provider (spec.network.provider)' },
  {
    name: 'EKS',
    kubelet: /-eks-/,
    label: /^eks\.amazonaws\.com\//,
    verdict: 'warn',
    why: 'starts aws-node on new nodes unless that add-on was removed',
  },
  {
    name: 'Talos',
    os: /^Talos/,
    verdict: 'block',
    why: 'has no SSH and no shell, by which nodes are changed here',
  },
];

/** Nobody who builds the nodes brings another network with him. */
export const distribution = defineCheck<Facts>({
  id: 'distribution',
  layer: 'cluster',
  title: 'The distribution leaves the network alone',
  scope: 'cluster',
  ask: async ({ nodeObjects }) => {
    const nodes = await nodeObjects();
    return {
      nodes: nodes.length,
      found: distributions
        .map((each) => ({
          name: each.name,
          nodes: nodes.filter((node) => isOf(each, node)).map(({ metadata }) => metadata.name),
        }))
        .filter((each) => each.nodes.length > 0),
    };
  },
  judge: ({ nodes, found }) => {
    const known = found.flatMap(({ name, nodes: own }) =>
      distributions.filter((each) => each.name === name).map((each) => ({ ...each, own })),
    );
    const [worst] = known.toSorted((a, b) => a.verdict.localeCompare(b.verdict));
    if (worst === undefined) return pass(`none of ${count(nodes, 'node')} shows a distribution that brings a network`);
    const sentence = `${worst.name} ${worst.why} (${worst.own.length} of ${count(nodes, 'node')}: ${some(worst.own)})`;
    return worst.verdict === 'block'
      ? block(sentence, {
          remedy: 'this route cannot be run there yet; ask the provider for its own way to change the network',
        })
      : warn(sentence, {
          remedy: 'see that it is switched off, also for nodes that join later, before you acknowledge this',
        });
  },
});

function isOf({ kubelet, os, label }: Distribution, node: KubernetesObject): boolean {
  const { kubeletVersion = '', osImage = '' } = (node['status']?.nodeInfo ?? {}) as { [key: string]: string };
  return (
    kubelet?.test(kubeletVersion) === true ||
    os?.test(osImage) === true ||
    Object.keys(node.metadata.labels ?? {}).some((key) => label?.test(key) === true)
  );
}
