import { block, defineCheck, pass, some } from '../define.ts';

type Facts = { unready: string[] };

/** The API server says that it and what it needs (etcd, its controllers) are ready. Backups of etcd cannot be asked here. */
export const controlPlane = defineCheck<Facts>({
  id: 'control-plane',
  layer: 'cluster',
  title: 'The control plane is ready',
  scope: 'cluster',
  ask: async ({ kubernetes }) => ({ unready: await kubernetes.unready() }),
  judge: ({ unready }) =>
    unready.length > 0
      ? block(`the API server says that it is not ready: ${some(unready)}`, {
          remedy: 'repair the control plane first: `kubectl get --raw "/readyz?verbose"`',
        })
      : pass('the API server says that it is ready; that a fresh backup of etcd exists, only you can tell'),
});
