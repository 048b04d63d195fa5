import { existsSync } from 'node:fs';
import { commandOutput } from '../run.ts';
import { net } from '../settings.ts';
import { inGroup } from './cgroups.ts';

const ip = (...args: string[]): Promise<string> => commandOutput('ip', args);

export const netnsPath = (name: string): string => `/run/netns/${name}`;

/** Program and arguments that go on as the command, in a control group of the lab and in a network namespace. */
export const inGroupAndNetns = (group: string, name: string, command: readonly string[]): [string, string[]] =>
  inGroup(group, ['nsenter', `--net=${netnsPath(name)}`, ...command]);

/** The network between the nodes: one bridge in a namespace that has no way out. */
export async function startFabric(): Promise<void> {
  const { fabric, bridge } = net;
  await ip('netns', 'add', fabric);
  await ip('-n', fabric, 'link', 'set', 'lo', 'up');
  await ip('-n', fabric, 'link', 'add', bridge, 'type', 'bridge');
  await ip('-n', fabric, 'address', 'add', `${net.fabricAddress}/${net.prefix}`, 'dev', bridge);
  await ip('-n', fabric, 'link', 'set', bridge, 'up');
  // Frames between nodes are no business of the fabric's packet filter.
  await inNetns(fabric, [
    'sh',
    '-c',
    'for key in /proc/sys/net/bridge/bridge-nf-call-*; do [ -e "$key" ] && echo 0 >"$key"; done; :',
  ]);
  await ip('netns', 'add', net.controlPlane);
  await ip('-n', net.controlPlane, 'link', 'set', 'lo', 'up');
  await plugIn('control', net.controlPlane);
  await ip('-n', net.controlPlane, 'address', 'add', `${net.controlPlaneAddress}/${net.prefix}`, 'dev', 'eth0');
  await ip('-n', net.controlPlane, 'link', 'set', 'eth0', 'up');
  await ip('-n', net.controlPlane, 'route', 'add', 'default', 'via', net.fabricAddress);
}

/** A cable from the bridge to `eth0` of a namespace: its name, or a process in it. A cable of that name is replaced. */
export async function plugIn(port: string, namespace: string): Promise<void> {
  const { fabric, bridge } = net;
  await ip('-n', fabric, 'link', 'delete', port).catch(() => '');
  await ip('link', 'add', port, 'netns', fabric, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
  await ip('-n', fabric, 'link', 'set', port, 'master', bridge, 'up');
}

export async function removeFabric(): Promise<void> {
  for (const name of [net.controlPlane, net.fabric]) {
    if (existsSync(netnsPath(name))) await ip('netns', 'delete', name);
  }
}

export const inNetns = (name: string, command: readonly string[]): Promise<string> =>
  commandOutput('nsenter', [`--net=${netnsPath(name)}`, ...command]);
