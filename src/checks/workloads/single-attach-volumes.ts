import { count, defineCheck, pass, some, warn } from '../define.ts';
import { moves, specOf, userPods, workloadsOf } from './pods.ts';

type Facts = { workloads: string[]; claims: number };

/** Volumes that one node attaches at a time: a pod that moves waits until the old node has let go, a minute or several. */
export const singleAttachVolumes = defineCheck<Facts>({
  id: 'single-attach-volumes',
  layer: 'cluster',
  title: 'Volumes follow their pods at once',
  scope: 'cluster',
  ask: async (asker) => {
    const [pods, claims] = await Promise.all([
      userPods(asker),
      asker.all({ apiVersion: 'v1', kind: 'PersistentVolumeClaim' }),
    ]);
    const single = new Set(
      claims
        .filter((claim) => {
          const modes: string[] = claim['spec']?.accessModes ?? [];
          return modes.length > 0 && modes.every((mode) => ['ReadWriteOnce', 'ReadWriteOncePod'].includes(mode));
        })
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    );
    const using = pods.filter(
      (pod) =>
        moves(pod) &&
        (specOf(pod).volumes ?? []).some(
          ({ persistentVolumeClaim: claim }) =>
            claim !== undefined && single.has(`${pod.metadata.namespace}/${claim.claimName}`),
        ),
    );
    return { workloads: workloadsOf(using), claims: single.size };
  },
  judge: ({ workloads, claims }) =>
    workloads.length > 0
      ? warn(
          `${count(workloads.length, 'workload')} with volumes that one node attaches at a time will wait for ${workloads.length === 1 ? 'its volume' : 'their volumes'}: ${some(workloads)}`,
          {
            remedy:
              'allow for minutes instead of seconds (drain.timeout), and see that no detach of such a volume hangs today',
          },
        )
      : pass(`no pod that moves waits for a volume (${count(claims, 'claim')} of the kind that one node attaches)`),
});
