import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { imagesOf } from '../../plan/images.ts';
import { pausedAnnotation } from './flannel-owner.ts';

type Facts = {
  /** `kured (kube-system/kured)`. */
  active: string[];
  paused: string[];
};

/** Who adds, drains, reboots or replaces nodes, or moves pods, by himself (§3.24 of the migration facts). */
const changers: { name: string; image: RegExp }[] = [
  { name: 'cluster autoscaler', image: /cluster-autoscaler/ },
  { name: 'Karpenter', image: /karpenter/ },
  { name: 'kured', image: /kured[:@]/ },
  { name: 'system upgrade controller', image: /system-upgrade-controller/ },
  { name: 'descheduler', image: /descheduler/ },
  { name: 'draino', image: /draino/ },
  { name: 'node maintenance operator', image: /node-maintenance-operator/ },
  { name: 'self node remediation', image: /self-node-remediation|node-healthcheck-operator/ },
  { name: 'machine API', image: /cluster-api-controller|machine-controller-manager|machine-api-operator/ },
];

/**
 * Nobody else takes nodes away meanwhile: a node that joins half way has no network that anybody planned, and two drains at
 * once use up the budgets.
 */
export const nodeChangers = defineCheck<Facts>({
  id: 'node-changers',
  layer: 'cluster',
  title: 'Nobody else adds, drains or reboots nodes meanwhile',
  scope: 'cluster',
  ask: async ({ all }) => {
    const workloads = (
      await Promise.all(['Deployment', 'DaemonSet', 'StatefulSet'].map((kind) => all({ apiVersion: 'apps/v1', kind })))
    ).flat();
    const found = workloads.flatMap((workload) => {
      const match = changers.find(({ image }) => imagesOf(workload).some((each) => image.test(each)));
      return match === undefined
        ? []
        : [{ workload, name: `${match.name} (${workload.metadata.namespace}/${workload.metadata.name})` }];
    });
    return {
      active: found.filter(({ workload }) => !isPaused(workload)).map(({ name }) => name),
      paused: found.filter(({ workload }) => isPaused(workload)).map(({ name }) => name),
    };
  },
  judge: ({ active, paused }) => {
    if (active.length > 0) {
      return block(
        `${count(active.length, 'controller')} that ${active.length === 1 ? 'changes' : 'change'} nodes ${active.length === 1 ? 'is' : 'are'} active: ${some(active)}`,
        {
          remedy: `scale it to 0 for the time of the migration; where that cannot be (a DaemonSet), stop it in its own way and say so: kubectl annotate … ${pausedAnnotation}=true`,
        },
      );
    }
    return pass(paused.length === 0 ? 'nobody else adds, drains or reboots nodes' : `paused: ${some(paused)}`);
  },
});

const isPaused = ({ metadata, spec }: KubernetesObject): boolean =>
  metadata.annotations?.[pausedAnnotation] === 'true' || spec?.replicas === 0;
