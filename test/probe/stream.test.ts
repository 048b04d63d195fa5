import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket as TcpSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseStreamReport, type StreamReport } from '../../src/probe/stream-report.ts';
import { until } from '../support/until.ts';

/** The real program on loopback, against servers that answer as agnhost's netexec does and can be told to fall silent. */
const program = new URL('../../src/probe/stream.sh', import.meta.url).pathname;
let folder: string;
let peer: Awaited<ReturnType<typeof startPeer>>;
let running: ChildProcess | undefined;

async function startPeer() {
  const silent = new Set<'udp' | 'http'>();
  const connections = new Set<TcpSocket>();
  let address = '127.0.0.1';
  const http: Server = createServer((request, response) => {
    if (silent.has('http')) return;
    const isShell = request.url?.startsWith('/shell') === true;
    response.end(isShell ? JSON.stringify({ output: `peer-1 ${address}\n` }) : 'peer');
  });
  http.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  http.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => http.listen(0, '0.0.0.0', resolve));
  const udp: Socket = createSocket('udp4', (message, from) => {
    const [word, rest = ''] = message.toString().split(' ');
    if (word === 'echo' && !silent.has('udp')) udp.send(rest, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(0, '0.0.0.0', resolve));
  return {
    port: (http.address() as AddressInfo).port,
    udpPort: udp.address().port,
    silent,
    connections,
    moveTo: (next: string) => void (address = next),
    stop: () => {
      connections.forEach((socket) => socket.destroy());
      http.close();
      udp.close();
    },
  };
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stream-'));
  peer = await startPeer();
  writeFileSync(join(folder, 'peers'), 'me peer-1 127.0.0.1\nother peer-2 127.0.0.9\n');
  writeFileSync(join(folder, 'cluster-ip'), '127.0.0.1');
  mkdirSync(join(folder, 'bin'));
  // No resolver is needed for what is under test.
  writeFileSync(join(folder, 'bin', 'dig'), '#!/bin/sh\necho 10.96.0.1\n');
  chmodSync(join(folder, 'bin', 'dig'), 0o755);
});
afterEach(() => {
  running?.kill('SIGKILL');
  peer.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(role: 'pod' | 'host'): void {
  running = spawn('bash', [program], {
    env: {
      PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
      STREAM_CONF: folder,
      STREAM_DIR: join(folder, 'run'),
      ROLE: role,
      NODE_NAME: 'me',
      HTTP_PORT: String(peer.port),
      UDP_PORT: String(peer.udpPort),
      HOST_PORT: String(peer.port),
      HOST_HTTP_PORT: String(peer.port),
      NODE_PORT: String(peer.port),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** The report, when it is whole and says so. */
const reported = (wanted: (report: StreamReport) => boolean, what: string): Promise<StreamReport> =>
  until(
    () => {
      let text = '';
      try {
        text = readFileSync(join(folder, 'run', 'report'), 'utf8');
      } catch {
        return undefined;
      }
      const report = parseStreamReport(text);
      return report && wanted(report) ? report : undefined;
    },
    what,
    30_000,
  );
const stream = (report: StreamReport, kind: string) => report.streams.find((each) => each.kind === kind);
const answeredAll = (report: StreamReport) =>
  report.streams.length === 5 && report.streams.every(({ sent, lost }) => sent >= 2 && lost === 0);

describe('the continuous probe', () => {
  it('sends to its own peers and services alone, and loses nothing while all answer', async () => {
    start('pod');

    const report = await reported(answeredAll, 'every stream is answered');

    expect(report).toMatchObject({ role: 'pod', node: 'me', outages: [], dropped: 0 });
    expect(report.streams.map(({ kind, peer: to }) => `${kind} ${to}`)).toEqual([
      'udp peer-1',
      'tcp peer-1',
      'node-port peer-1',
      'cluster-ip ',
      'dns ',
    ]);
  });

  it('counts what a silent server costs, and a TCP connection outlives it', async () => {
    start('pod');
    await reported(answeredAll, 'every stream is answered');

    peer.silent.add('udp');
    await reported((report) => (stream(report, 'udp')?.lost ?? 0) >= 2, 'datagrams are lost');
    peer.silent.clear();
    const report = await reported(
      ({ outages }) => outages.some(({ kind, to }) => kind === 'udp' && to !== null),
      'the outage ends',
    );

    const outage = report.outages.find(({ kind }) => kind === 'udp')!;
    expect(outage).toMatchObject({ peer: 'peer-1', why: 'lost', lost: stream(report, 'udp')!.lost });
    expect(outage.to! - outage.from).toBeGreaterThanOrEqual(2);
    expect(stream(report, 'tcp')).toMatchObject({ lost: 0, broken: 0 });
    expect(stream(report, 'dns')).toMatchObject({ lost: 0 });
  });

  it('counts a connection that was cut, and opens another', async () => {
    start('pod');
    await reported(answeredAll, 'every stream is answered');

    peer.connections.forEach((socket) => socket.destroy());
    const cut = await reported((report) => stream(report, 'tcp')?.broken === 1, 'the cut is seen');
    const before = stream(cut, 'tcp')!;
    await reported((report) => {
      const now = stream(report, 'tcp')!;
      return now.sent - now.lost > before.sent - before.lost + 1;
    }, 'the new connection is answered');

    expect(cut.outages).toContainEqual(expect.objectContaining({ kind: 'tcp', peer: 'peer-1', why: 'broken' }));
  });

  it('follows a peer whose pod has another address now, and does not blame the network', async () => {
    start('pod');
    const before = await reported(answeredAll, 'every stream is answered');
    expect(before.streams[0]).toMatchObject({ address: '127.0.0.1' });

    peer.silent.add('udp');
    peer.moveTo('127.0.0.3');
    const report = await reported(
      ({ outages }) => outages.some(({ why }) => why === 'moved'),
      'the new address is found',
    );

    expect(report.outages.filter(({ why }) => why === 'lost' || why === 'broken').every(({ to }) => to === null)).toBe(
      true,
    );
    expect(report.streams[0]).toMatchObject({ kind: 'udp', address: '127.0.0.3' });
  });

  it('asks as canary for node addresses and for nothing else', async () => {
    start('host');

    const report = await reported(({ streams }) => (streams[0]?.sent ?? 0) > 1, 'the canary is answered');

    expect(report.streams).toEqual([expect.objectContaining({ kind: 'canary', peer: 'peer-1', lost: 0 })]);
  });
});
