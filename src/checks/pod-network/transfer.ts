import type { Asker, Party } from '../asker.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { direction, ownPairs, podUrl } from './paths.ts';

type Transfer = {
  /** Who sent it, and who asked for it. */
  from: string;
  to: string;
  direction: string;
  /** Bytes that arrived. */
  arrived: number;
  whole: boolean;
  /** Why not; `` when it is. */
  error: string;
};

type Facts = { node: string; bytes: number; transfers: Transfer[] };

/**
 * 150 000 numbers on one line: 1 MB in which no packet is like another. On one line, because netexec writes what a command
 * printed to its own log, and a log has a header for every line.
 */
const sender = '/shell?cmd=seq+-s+,+100001+250000';
/** Of netexec's answer, `{"output":"100001,…,250000\n"}`, by POSIX `cksum`: bytes, and a CRC over them and their number. */
export const payload = { bytes: 1_050_014, crc: 1_877_664_360 };
/** A network that works needs some milliseconds. */
const timeoutSeconds = 5;

/** The CRC is made where the bytes arrive: 1 MB does not travel through the API server. */
export const transferCommand = (url: string): string[] => [
  'sh',
  '-c',
  `curl -s -S --max-time ${timeoutSeconds} '${url}' | cksum`,
];

/**
 * Small messages and single packets of full size say little about a connection under load: windows, segmentation
 * offload and retransmission show with a transfer. Each side sends to the other, so bytes pass both ways.
 */
export const transfer = defineCheck<Facts>({
  id: 'transfer',
  layer: 'pod-network',
  title: 'A large transfer arrives whole',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const pairs = ownPairs(await context.parties(node));
    const transfers = pairs.map(([from, to]) => send(context, from, to));
    return { node: node.name, bytes: payload.bytes, transfers: await Promise.all(transfers) };
  },
  judge: ({ node, bytes, transfers }) => {
    const failed = transfers.filter(({ whole }) => !whole);
    if (failed.length === 0)
      return pass(`${bytes} bytes arrive whole, by CRC, on ${count(transfers.length, 'path')} of ${node}`);

    const texts = failed.map(({ from, to, direction: way, error }) => `${from} -> ${to} (${way}): ${error}`);
    const changed = failed.some(({ arrived }) => arrived === bytes);
    return block(
      `${bytes} bytes do not arrive whole on ${failed.length} of ${count(transfers.length, 'path')}: ${some(texts)}`,
      {
        remedy: changed
          ? 'somebody rewrites bytes and their checksum on this path: look for proxies, and turn off the offloads of the VXLAN link (`ethtool -K <link> tx off`) to see whether the network card does'
          : 'if path-mtu blocks as well, packets of full size are lost: see its remedy; if pod-to-pod does, nothing passes; if neither, look for lost packets on the network cards (`ip -s link`)',
      },
    );
  },
});

async function send(context: Asker, from: Party, to: Party): Promise<Transfer> {
  const command = transferCommand(podUrl(context, from.pod, sender));
  const { stdout, stderr } = await context.exec(to.pod, command, (timeoutSeconds + 10) * 1000);
  const [, crc, bytes] = /^(\d+) (\d+)/.exec(stdout) ?? [];
  const arrived = Number(bytes ?? 0);
  const whole = Number(crc) === payload.crc && arrived === payload.bytes;
  return {
    from: from.node,
    to: to.node,
    direction: direction(from.cni, to.cni),
    arrived,
    whole,
    error: whole ? '' : whyNot(arrived, stderr.trim().split('\n')[0] ?? ''),
  };
}

function whyNot(arrived: number, complaint: string): string {
  if (arrived === payload.bytes) return 'every byte came, and some are not what was sent';
  const came = `${arrived} of ${payload.bytes} bytes came`;
  return complaint === '' ? came : `${came} (${complaint})`;
}
