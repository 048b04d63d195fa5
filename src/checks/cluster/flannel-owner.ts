import { block, defineCheck, pass, some, warn } from '../define.ts';
import { flannel } from '../names.ts';

/** Says on the DaemonSet that whoever reconciles it is paused; the only word we have where that cannot be seen. */
export const pausedAnnotation = 'cutover.dev/reconciler-paused';

type Facts = {
  found: boolean;
  /** Puts the DaemonSet back as it was and cannot be paused from outside: `addon manager (Reconcile)`. */
  addonManager: string;
  /** Label or annotation keys that name a reconciler. */
  reconcilers: string[];
  owners: string[];
  helmRelease: string;
  paused: boolean;
};

/** Nobody puts the Flannel DaemonSet back as it was: the migration ties it to a node label, and later deletes it. */
export const flannelOwner = defineCheck<Facts>({
  id: 'flannel-owner',
  layer: 'cluster',
  title: 'Nobody else manages Flannel meanwhile',
  scope: 'cluster',
  ask: async ({ kubernetes }) => {
    const daemonSet = await kubernetes.get({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      name: flannel.daemonSet,
      namespace: flannel.namespace,
    });
    const labels = daemonSet?.metadata.labels ?? {};
    const annotations = daemonSet?.metadata.annotations ?? {};
    return {
      found: daemonSet !== undefined,
      addonManager: labels['addonmanager.kubernetes.io/mode'] ?? '',
      reconcilers: [...Object.keys(labels), ...Object.keys(annotations)].filter((key) => reconcilerKeys.test(key)),
      owners: (daemonSet?.metadata.ownerReferences ?? []).map((owner) => `${owner.kind} ${owner.name}`),
      helmRelease:
        annotations['meta.helm.sh/release-name'] ??
        (labels['app.kubernetes.io/managed-by'] === 'Helm' ? 'unnamed' : ''),
      paused:
        annotations[pausedAnnotation] === 'true' || annotations['kustomize.toolkit.fluxcd.io/reconcile'] === 'disabled',
    };
  },
  judge: ({ found, addonManager, reconcilers, owners, helmRelease, paused }) => {
    const place = `${flannel.namespace}/${flannel.daemonSet}`;
    if (!found) return block(`there is no DaemonSet ${place}`, { remedy: 'see the check flannel-vxlan' });
    if (addonManager !== '') {
      return block(`the addon manager owns ${place} (mode ${addonManager}) and would undo every change`, {
        remedy:
          "take the file out of the addon manager's folder on the control plane and remove the label addonmanager.kubernetes.io/mode",
      });
    }
    const active = [...owners, ...reconcilers];
    if (active.length > 0 && !paused) {
      return block(`${place} is reconciled from elsewhere: ${some(active)}`, {
        remedy: `pause that reconciler for Flannel, then say so: kubectl -n ${flannel.namespace} annotate ds ${flannel.daemonSet} ${pausedAnnotation}=true`,
      });
    }
    if (helmRelease !== '') {
      return warn(`${place} belongs to the Helm release ${helmRelease}`, {
        remedy: 'let nobody upgrade that release until the migration is over, and uninstall it afterwards',
      });
    }
    if (active.length > 0) return pass(`${place} is reconciled by ${some(active)}, which is marked as paused`);
    return pass(`nothing reconciles ${place}`);
  },
});

/** Argo CD, Flux, Rancher (k3s, RKE2), kapp, Carvel. */
const reconcilerKeys =
  /^(argocd\.argoproj\.io\/(instance|tracking-id)|(kustomize|helm)\.toolkit\.fluxcd\.io\/name|objectset\.rio\.cattle\.io\/|kapp\.k14s\.io\/)/;
