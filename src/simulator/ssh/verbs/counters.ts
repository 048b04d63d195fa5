import type { SimClock } from '../../types.ts';
import type { VerbModel } from './model.ts';
import { failure, latency } from './model.ts';

/** What counters.sh reads: the underlay, found by its address, and every tunnel. */
export const counters: VerbModel<'counters'> = async ({ node, clock }, { address }) => {
  await clock.sleep(latency.command);
  if (!/^[0-9a-fA-F.:]*$/.test(address)) throw failure('BadInput', `"address" is not an address: ${address}`);
  const links = [...node.links.values()];
  const own = links.find(({ addresses }) => addresses.some((each) => each.startsWith(`${address}/`)));
  const underlay = (address !== '' && own?.name) || node.routes.find(({ dst }) => dst === 'default')?.dev;
  return {
    uptimeMs: Math.round(elapsed(clock)),
    links: links
      .filter(({ name, kind }) => name === underlay || kind === 'vxlan')
      .map(({ name }) => ({
        name,
        role: name === underlay ? ('underlay' as const) : ('tunnel' as const),
        ...node.counters(name),
      })),
  };
};

/** Simulated ms, where the clock tells them. */
const elapsed = (clock: SimClock): number => (clock as SimClock & { elapsed?(): number }).elapsed?.() ?? clock.now();
