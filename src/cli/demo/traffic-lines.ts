import type { TrafficReport } from '../../simulator/types.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';

/** Packets sent and lost, by stream; bystanders are streams between pods that did not move. */
export function trafficLines({ streams, bystanders, moved }: TrafficReport, style: Style, most = 20): string[] {
  const shown = streams.toSorted((a, b) => b.lost - a.lost).slice(0, most);
  const lost = (count: number): string => (count > 0 ? style.red(String(count)) : '0');
  return [
    ...table(shown, [
      { header: 'NAME', value: ({ name }) => name },
      { header: 'KIND', value: ({ kind }) => kind },
      { header: 'PODS', value: ({ bystander }) => (bystander ? 'stayed' : 'moved') },
      { header: 'SENT', value: ({ sent }) => String(sent) },
      { header: 'LOST', value: (stream) => lost(stream.lost) },
      { header: 'LAST-REASON', value: ({ lastReason }) => lastReason },
    ]),
    ...(streams.length > shown.length ? [style.dim(`and ${streams.length - shown.length} more streams`)] : []),
    style.dim(
      'moved: to or from pods that were evicted, or through the port of a node while it was changed; load balancers leave such a node first',
    ),
    `pods that stayed: ${bystanders.sent} packets, ${lost(bystanders.lost)} lost; pods that moved: ${moved.sent} packets, ${moved.lost} lost`,
  ];
}
