import { imagesOf } from '../../plan/images.ts';
import { block, defineCheck, pass, some, warn } from '../define.ts';
import { troubleWith, versionNumbers } from '../known-versions.ts';
import type { Component } from '../known-versions.ts';
import { calico, flannel } from '../names.ts';

type Facts = {
  /** What was found; `` for a version that nobody names. */
  found: { component: Component; version: string }[];
};

const names: { [component in Component]: string } = {
  kubernetes: 'Kubernetes',
  flannel: 'Flannel',
  calico: 'Calico',
  kernel: 'kernel',
};

/** No version takes part that is known to be trouble (src/checks/known-versions.ts). */
export const versions = defineCheck<Facts>({
  id: 'versions',
  layer: 'cluster',
  title: 'The versions are known to work',
  scope: 'cluster',
  ask: async ({ kubernetes, images, stage }) => {
    const agentOf = (namespace: string, name: string) =>
      kubernetes.get({ apiVersion: 'apps/v1', kind: 'DaemonSet', name, namespace });
    const [{ version }, flannelAgent, calicoAgent, bundled = []] = await Promise.all([
      kubernetes.cluster(),
      agentOf(flannel.namespace, flannel.daemonSet),
      agentOf(calico.namespace, calico.daemonSet),
      images?.(),
    ]);
    const ofCalico = bundled.length > 0 || calicoAgent === undefined ? bundled : imagesOf(calicoAgent);
    return {
      found: [
        { component: 'kubernetes', version },
        ...(stage.from === 'flannel' && flannelAgent !== undefined
          ? [{ component: 'flannel' as const, version: tagOf(imagesOf(flannelAgent), /(^|\/)flannel[:@]/) }]
          : []),
        ...(ofCalico.length > 0
          ? [{ component: 'calico' as const, version: tagOf(ofCalico, /(^|\/)(calico\/)?node[:@]/) }]
          : []),
      ],
    };
  },
  judge: ({ found }) => {
    const rows = found.flatMap(({ component, version }) =>
      troubleWith(component, version).map((row) => ({
        ...row,
        sentence: `${names[component]} ${version} ${row.says}`,
      })),
    );
    const [worst] = rows.toSorted((a, b) => a.verdict.localeCompare(b.verdict));
    if (worst !== undefined) {
      const say = worst.verdict === 'block' ? block : warn;
      return say(some(rows.map(({ sentence }) => sentence)), { remedy: worst.remedy });
    }
    const unknown = found.filter(({ version }) => versionNumbers(version) === undefined);
    if (unknown.length > 0) {
      return warn(
        `the version of ${unknown.map(({ component }) => names[component]).join(' and ')} cannot be read from its image`,
        {
          remedy:
            'find it out by hand (an image that is named by digest carries no version) and compare it with docs/checks.md',
        },
      );
    }
    return pass(found.map(({ component, version }) => `${names[component]} ${version}`).join(', '));
  },
});

/** `ghcr.io/flannel-io/flannel:v0.28.9@sha256:…` -> `v0.28.9`. */
const tagOf = (images: readonly string[], wanted: RegExp): string =>
  /:([^/:@]+)(@|$)/.exec(images.find((image) => wanted.test(image)) ?? '')?.[1] ?? '';
