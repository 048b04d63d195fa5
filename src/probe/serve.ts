import { kinds } from '../kubernetes/kinds.ts';
import type { KubernetesClient } from '../kubernetes/types.ts';
import { probeName, servingLabel } from './manifests.ts';

/** Puts a probe pod into the probes' Service, or takes it out. */
export async function serve(
  kubernetes: Pick<KubernetesClient, 'mergePatch'>,
  { namespace, name }: { namespace: string; name: string },
  serves: boolean,
): Promise<void> {
  const labels = { [servingLabel]: serves ? 'yes' : null };
  await kubernetes.mergePatch({ ...kinds.pod, namespace, name }, { metadata: { labels } });
}

/** Puts every probe pod into the Service that is not there. */
export async function serveFromAll(
  kubernetes: Pick<KubernetesClient, 'mergePatch' | 'names'>,
  namespace: string,
): Promise<void> {
  const labelSelector = `app=${probeName},!${servingLabel}`;
  for (const name of await kubernetes.names(kinds.pod, { namespace, labelSelector }))
    await serve(kubernetes, { namespace, name }, true);
}
