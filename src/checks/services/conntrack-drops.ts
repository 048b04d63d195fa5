import { defineCheck, pass, warn } from '../define.ts';

type Facts = {
  node: string;
  /** Since boot; -1 when nobody knows. */
  before: number;
  now: number;
};

/**
 * Connection tracking of the node refused nothing since its migration began: a full table, or packets that wanted the same
 * entry, cost single connections that no probe has to meet. Both happen without a migration, too, so it only warns.
 */
export const conntrackDrops = defineCheck<Facts>({
  id: 'conntrack-drops',
  layer: 'services',
  title: 'Connection tracking refuses nothing',
  scope: 'node',
  ask: async ({ inspect, conntrackDropsBefore }, { name }) => ({
    node: name,
    before: conntrackDropsBefore?.(name) ?? -1,
    now: (await inspect(name)).conntrackDrops ?? -1,
  }),
  judge: ({ node, before, now }) => {
    if (now < 0) return pass(`${node} does not say what its connection tracking refused`);
    if (before < 0)
      return pass(`connection tracking of ${node} has refused ${now} packets since boot; nobody counted before`);
    // A node that was restarted counts from 0.
    const refused = now < before ? now : now - before;
    if (refused === 0) return pass(`connection tracking of ${node} refused nothing since its snapshot`);
    return warn(`connection tracking of ${node} refused ${refused} packets since its snapshot`, {
      remedy:
        'look at `conntrack -S` there: drop grows when the table is full (`sysctl net.netfilter.nf_conntrack_max`), insert_failed when packets race for one entry, as DNS over UDP does',
    });
  },
});
