import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, unasked } from '../surveyed.ts';

type Facts = { nodes: number; off: { name: string; seconds: number }[]; unknown: string[] };

const wrongAbove = 2;
/** Kubernetes' own certificates and tokens begin to fail about here. */
const badAbove = 120;

/** The clocks agree with ours: leases, tokens, and the dead-man switch all count on time. */
export const clocks = defineCheck<Facts>({
  id: 'clocks',
  layer: 'node',
  title: 'The clocks of the nodes agree',
  scope: 'cluster',
  ask: async ({ surveyAll }) => {
    const surveyed = await surveyAll();
    return {
      nodes: surveyed.length,
      off: surveyed
        .map(({ node, clockAhead = 0 }) => ({ name: node.name, seconds: Math.round(clockAhead) }))
        .filter(({ seconds }) => Math.abs(seconds) >= wrongAbove),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, off, unknown }) => {
    if (off.length > 0) {
      const sorted = off.toSorted((a, b) => Math.abs(b.seconds) - Math.abs(a.seconds));
      const said = `${count(off.length, 'clock')} of ${nodes} ${off.length === 1 ? 'is' : 'are'} wrong by ${wrongAbove} s or more: ${some(sorted.map(({ name, seconds }) => `${name} ${seconds > 0 ? '+' : ''}${seconds} s`))}`;
      const remedy =
        'set the time on these nodes and see that chrony or systemd-timesyncd runs; if all are off alike, set it here';
      return Math.abs(sorted[0]!.seconds) >= badAbove ? block(said, { remedy }) : warn(said, { remedy });
    }
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    return pass(`all ${nodes} clocks agree with ours`);
  },
});
