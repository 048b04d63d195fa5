import { block, count, defineCheck, pass, some } from '../define.ts';
import { direction, ownPairs, podUrl } from './paths.ts';

type Facts = {
  node: string;
  /** Of the overlay, bytes, as the plan saw it; 0 when it saw none. */
  mtu: number;
  /** The message that needs packets of full size, bytes. */
  full: number;
  paths: {
    from: string;
    to: string;
    direction: string;
    /** Largest message that came back whole, bytes; 0 when none did. */
    largest: number;
    error: string;
  }[];
};

/** Fits one packet of any usual overlay, bytes: tells an MTU hole from a path that passes nothing. */
const smallMessage = 1_200;
/** More than one packet holds, so that the first one has the full size, there and back. */
const beyondMtu = 1_550;
const usualMtu = 1_450;

/** Bytes of a message that needs packets of full size on an overlay of that MTU; 0 when it is not known. */
export const fullMessage = (overlayMtu: number): number => (overlayMtu || usualMtu) + beyondMtu;

/** A path that drops big packets in silence passes every small probe and hangs TLS: this is the check that finds it. */
export const pathMtu = defineCheck<Facts>({
  id: 'path-mtu',
  layer: 'pod-network',
  title: 'Full-size packets arrive',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const mtu = node.fingerprint.overlayMtu;
    const full = fullMessage(mtu);
    const paths = ownPairs(await context.parties(node)).map(async ([from, to]) => {
      const echoes = await Promise.all(
        [smallMessage, full].map(async (bytes) => {
          const answer = await context.curl(from.pod, podUrl(context, to.pod, `/echo?msg=${'m'.repeat(bytes)}`));
          const error =
            answer.error || (answer.body.length === bytes ? '' : `${answer.body.length} of ${bytes} bytes came back`);
          return { bytes, error };
        }),
      );
      return {
        from: from.node,
        to: to.node,
        direction: direction(from.cni, to.cni),
        largest: Math.max(0, ...echoes.filter(({ error }) => error === '').map(({ bytes }) => bytes)),
        error: echoes.find(({ error }) => error !== '')?.error ?? '',
      };
    });
    return { node: node.name, mtu, full, paths: await Promise.all(paths) };
  },
  judge: ({ node, mtu, full, paths }) => {
    const packets = mtu === 0 ? 'full-size packets' : `packets of ${mtu} bytes`;
    const failed = paths.filter((path) => path.largest < full);
    if (failed.length === 0) {
      return pass(
        `messages of ${full} bytes (${packets}) come back whole on ${count(paths.length, 'path')} of ${node}`,
      );
    }

    const texts = failed.map((path) =>
      path.largest === 0
        ? `${path.from} -> ${path.to} (${path.direction}) passes nothing: ${path.error}`
        : `${path.from} -> ${path.to} (${path.direction}) passes messages of ${path.largest} bytes and loses those of ${full}`,
    );
    const mtuHole = failed.some((path) => path.largest > 0);
    return block(`${packets} are lost on ${failed.length} of ${count(paths.length, 'path')}: ${some(texts)}`, {
      remedy: mtuHole
        ? "the overlay's MTU has to be the underlay's less 50 bytes: compare `ip link` on both nodes, and FelixConfiguration default vxlanMTU"
        : 'small packets are lost, too: see the check pod-to-pod',
    });
  },
});
