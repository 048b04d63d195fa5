import { agentKind } from '../cni/agents.ts';
import { askUdp } from './agnhost.ts';
import { ownAddress, podKey, podMtu, type Program, type ProgramContext } from './context.ts';
import { listens } from './listening.ts';
import { lookUp } from './resolver.ts';

const HANDSHAKE_BYTES = 60;
const ICMP_BYTES = 28;

/** How a TCP connection ends: taken, refused, or nothing came back in the time given (which then has passed). */
async function connect(
  context: ProgramContext,
  to: string,
  port: number,
  timeoutMs: number,
): Promise<'open' | 'refused' | 'timeout'> {
  const { dataPath, pod, store, clock } = context;
  const delivery = dataPath.send({ from: podKey(pod), to, port, protocol: 'tcp', bytes: HANDSHAKE_BYTES });
  if (!delivery.delivered) {
    if (delivery.reason.includes('connection refused')) return 'refused';
    await clock.sleep(timeoutMs);
    return 'timeout';
  }
  const [namespace, name = ''] = delivery.answeredBy.split('/');
  const server = store.get('pods', namespace, name);
  return server !== undefined && !listens(server, delivery.port) ? 'refused' : 'open';
}

/** nc: `-z -v -u -w seconds host port`. Exit 0 when somebody takes it. */
export const nc: Program = async (context, words, io) => {
  let timeoutMs = 130_000;
  let udp = false;
  let verbose = false;
  const places: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    if (/^-\w*w$/.test(word)) timeoutMs = Number(words[(at += 1)]) * 1000;
    else if (/^-w\d/.test(word)) timeoutMs = Number(word.slice(2)) * 1000;
    else if (!word.startsWith('-')) places.push(word);
    if (word.startsWith('-')) {
      udp ||= word.includes('u');
      verbose ||= word.includes('v');
    }
  }
  const [host = '', port = ''] = places;
  const { addresses } = await lookUp(context, host, timeoutMs);
  const [to] = addresses;
  if (to === undefined) {
    io.stderr(`nc: getaddrinfo for host "${host}" port ${port}: Name or service not known\n`);
    return 1;
  }
  if (udp) {
    const answer = await askUdp(context, to, Number(port), 'hostname', timeoutMs);
    const ok = answer.error === '';
    if (verbose && ok) io.stderr(`Connection to ${host} ${port} port [udp/*] succeeded!\n`);
    return ok ? 0 : 1;
  }
  const outcome = await connect(context, to, Number(port), timeoutMs);
  if (outcome === 'open' && verbose) io.stderr(`Connection to ${host} (${to}) ${port} port [tcp/*] succeeded!\n`);
  if (outcome !== 'open' && verbose) {
    io.stderr(
      `nc: connect to ${host} (${to}) port ${port} (tcp) ${outcome === 'refused' ? 'failed: Connection refused' : 'timed out: Operation now in progress'}\n`,
    );
  }
  return outcome === 'open' ? 0 : 1;
};

/** `agnhost connect host:port [--timeout=5s]`: prints why not, exit 1. */
export const agnhostConnect: Program = async (context, words, io) => {
  const place = words.find((word) => !word.startsWith('-')) ?? '';
  const timeout = /^--timeout=(\d+)(ms|s)?$/.exec(words.find((word) => word.startsWith('--timeout=')) ?? '');
  const timeoutMs = timeout === null ? 5000 : Number(timeout[1]) * (timeout[2] === 'ms' ? 1 : 1000);
  const [host = '', port = ''] = place.split(':');
  const { addresses } = await lookUp(context, host, timeoutMs);
  const outcome = addresses[0] === undefined ? 'dns' : await connect(context, addresses[0], Number(port), timeoutMs);
  if (outcome === 'open') return 0;
  io.stderr(`${{ refused: 'REFUSED', timeout: 'TIMEOUT', dns: 'DNS' }[outcome]}\n`);
  return 1;
};

/** ping: `-c count -s bytes -W seconds -M do -q`. */
export const ping: Program = async (context, words, io) => {
  const { dataPath, clock, pod, random } = context;
  let count = 4;
  let size = 56;
  let waitMs = 1000;
  let strict = false;
  let host = '';
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    const value = () => words[(at += 1)] ?? '';
    if (word === '-c') count = Number(value());
    else if (word === '-s') size = Number(value());
    else if (word === '-W') waitMs = Number(value()) * 1000;
    else if (word === '-M') strict = value() === 'do';
    else if (['-i', '-w', '-I'].includes(word)) value();
    else if (!word.startsWith('-')) host = word;
  }
  const { addresses } = await lookUp(context, host, 5000);
  const [to] = addresses;
  if (to === undefined) {
    io.stderr(`ping: ${host}: Name or service not known\n`);
    return 2;
  }
  const mtu = podMtu(context.node, pod);
  const bytes = strict ? size + ICMP_BYTES : Math.min(size + ICMP_BYTES, mtu);
  io.stdout(`PING ${host} (${to}) ${size}(${size + ICMP_BYTES}) bytes of data.\n`);
  let received = 0;
  for (let sequence = 1; sequence <= count; sequence += 1) {
    if (bytes > mtu) {
      io.stdout(`ping: local error: message too long, mtu=${mtu}\n`);
      await clock.sleep(waitMs);
      continue;
    }
    // ICMP has no port; the data path treats it like a datagram.
    const delivery = dataPath.send({ from: podKey(pod), to, port: 0, protocol: 'udp', bytes });
    if (delivery.delivered) {
      received += 1;
      io.stdout(
        `${size + 8} bytes from ${to}: icmp_seq=${sequence} ttl=62 time=${(0.2 + random.next() * 0.3).toFixed(3)} ms\n`,
      );
      continue;
    }
    const tooLong = /MTU (\d+)/.exec(delivery.reason.includes('message too long') ? delivery.reason : '')?.[1];
    if (tooLong !== undefined)
      io.stdout(`From ${context.node.ip} icmp_seq=${sequence} Frag needed and DF set (mtu = ${tooLong})\n`);
    await clock.sleep(waitMs);
  }
  const loss = Math.round(((count - received) / count) * 100);
  io.stdout(
    `\n--- ${host} ping statistics ---\n${count} packets transmitted, ${received} received, ${loss}% packet loss, time ${count - 1}ms\n`,
  );
  return received > 0 ? 0 : 1;
};

/** `ip addr` and `ip route` as the pod sees itself. */
export const ip: Program = (context, words, io) => {
  const { node, pod } = context;
  const isHost = pod['spec'].hostNetwork === true;
  const what = words.find((word) => !word.startsWith('-')) ?? '';
  if (what.startsWith('r')) {
    if (isHost) {
      io.stdout(
        node.routes
          .map(({ dst, via, dev, proto, type, onlink }) =>
            [
              type === 'blackhole' ? 'blackhole' : '',
              dst,
              via ? `via ${via}` : '',
              dev ? `dev ${dev}` : '',
              proto ? `proto ${proto}` : '',
              onlink ? 'onlink' : '',
            ]
              .filter((each) => each !== '')
              .join(' '),
          )
          .map((line) => `${line}\n`)
          .join(''),
      );
      return 0;
    }
    const isCalico = [...node.sandboxes.values()].some(
      (each) => each.pod.uid === pod.metadata.uid && each.cni === 'k8s-pod-network',
    );
    const gateway = isCalico ? '169.254.1.1' : `${ownAddress(context).replace(/\.\d+$/, '')}.1`;
    io.stdout(`default via ${gateway} dev eth0\n${isCalico ? `${gateway} dev eth0 scope link\n` : ''}`);
    return 0;
  }
  if (!/^[al]/.test(what)) {
    io.stderr(`Object "${what}" is unknown, try "ip help".\n`);
    return 1;
  }
  const links = isHost
    ? [...node.links.values()]
    : [
        { name: 'lo', mtu: 65536, addresses: ['127.0.0.1/8'] },
        { name: 'eth0', mtu: podMtu(node, pod), addresses: [`${ownAddress(context)}/${sandboxPrefix(context)}`] },
      ];
  io.stdout(
    links
      .map(({ name, mtu, addresses }, at) => {
        const head = `${at + 1}: ${name}: <UP,LOWER_UP> mtu ${mtu} qdisc noqueue state ${name === 'lo' ? 'UNKNOWN' : 'UP'}\n`;
        return (
          head +
          (what.startsWith('a') ? addresses.map((each) => `    inet ${each} scope global ${name}\n`).join('') : '')
        );
      })
      .join(''),
  );
  return 0;
};

const sandboxPrefix = ({ node, pod }: ProgramContext) =>
  [...node.sandboxes.values()].find((each) => each.pod.uid === pod.metadata.uid)?.cni === 'k8s-pod-network' ? 32 : 24;

/** Files of the pod that people look at. Agents see the node's own through their mounts. */
export function readPodFile(context: ProgramContext, path: string): string | undefined {
  const { node, pod } = context;
  if (path === '/etc/hostname') return `${pod['spec'].hostNetwork === true ? node.name : pod.metadata.name}\n`;
  if (path === '/sys/class/net/eth0/mtu') return `${podMtu(node, pod)}\n`;
  if (path === '/etc/hosts') return `127.0.0.1\tlocalhost\n${ownAddress(context)}\t${pod.metadata.name}\n`;
  const written = context.written(path);
  if (written !== undefined) return written;
  return agentKind(pod) === undefined ? undefined : node.files.get(path.replace(/^\/host/, ''));
}
