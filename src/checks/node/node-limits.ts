import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = { nodes: number; conntrack: string[]; disk: string[]; inotify: string[]; unknown: string[] };

/** Thresholds of §3.39 and §3.41 of the migration facts. */
const fullConntrack = 0.7;
const leastFreePercent = 15;
const leastInotify = 512;

/** Connection tracking, disk and inotify have room: each node makes all its pods and connections anew. */
export const nodeLimits = defineCheck<Facts>({
  id: 'node-limits',
  layer: 'node',
  title: 'No node is at one of its limits',
  scope: 'cluster',
  ask: async ({ surveyAll }) => {
    const surveyed = await surveyAll();
    return {
      nodes: surveyed.length,
      conntrack: saying(
        surveyed,
        ({ conntrack: { count: used, max } }) =>
          max > 0 && used / max > fullConntrack && `${used} of ${max} connections`,
      ),
      disk: saying(
        surveyed,
        ({ diskFreePercent: free }) => free >= 0 && free < leastFreePercent && `${free} % of /var is free`,
      ),
      inotify: saying(surveyed, ({ sysctls }) => {
        const instances = Number(sysctls['fs/inotify/max_user_instances'] ?? leastInotify);
        return instances < leastInotify && `${instances} inotify instances`;
      }),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, conntrack, disk, inotify, unknown }) => {
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (conntrack.length > 0) {
      return warn(
        `connection tracking is more than ${fullConntrack * 100} % full on ${count(conntrack.length, 'node')} of ${nodes}: ${some(conntrack)}`,
        {
          remedy: 'raise net.netfilter.nf_conntrack_max: pods that move open all their connections again at once',
        },
      );
    }
    if (disk.length > 0) {
      return warn(
        `less than ${leastFreePercent} % of the disk is free on ${count(disk.length, 'node')} of ${nodes}: ${some(disk)}`,
        {
          remedy: 'make room: images and snapshots go there, and kubelet evicts pods when it is full',
        },
      );
    }
    if (inotify.length > 0) {
      return warn(
        `fewer than ${leastInotify} inotify instances on ${count(inotify.length, 'node')} of ${nodes}: ${some(inotify)}`,
        {
          remedy: 'raise fs.inotify.max_user_instances to 512 or more: agents that cannot watch files do not start',
        },
      );
    }
    return pass(`connection tracking, disk and inotify have room on all ${nodes} nodes`);
  },
});
