import type { Bird, BirdSession } from '../cni/bgp.ts';
import type { ExecStreams } from '../types.ts';
import type { Program, ProgramContext } from './context.ts';

/** BIRD's own programs in the agent's container, as BIRD 1.6.8 prints; and the files that confd has there. */

const configFolder = '/etc/calico/confd/config';
const templateFile = '/etc/calico/confd/templates/bird_ipam.cfg.template';
const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

const birdOf = ({ bgp, node, container }: ProgramContext): Bird | undefined =>
  container === 'calico-node' ? bgp?.birdOf(node.name) : undefined;

export const birdcl: Program = (context, words, io) => {
  const at = words.indexOf('-s');
  const [first = '', second = '', ...rest] = at >= 0 ? words.toSpliced(at, 2) : words;
  const bird = birdOf(context);
  if (bird === undefined) {
    io.stderr('Unable to connect to server control socket (/var/run/calico/bird.ctl): No such file or directory\n');
    return 1;
  }
  const out = (lines: string[]) => io.stdout(['BIRD 1.6.8 ready.', ...lines].map((line) => `${line}\n`).join(''));
  if (first === 'show' && second === 'status') out(status(context, bird));
  else if (first === 'show' && second === 'protocols') out(protocols(context, bird, rest[0] === 'all'));
  else if (first === 'show' && second === 'route') out(routes(bird));
  else if (first === 'configure') out(configure(bird));
  else out(['syntax error']);
  return 0;
};

function status({ clock }: ProgramContext, bird: Bird): string[] {
  return [
    'BIRD 1.6.8',
    `Router ID is ${bird.running.routerId}`,
    `Current server time is ${stamp(clock.now())}`,
    `Last reboot on ${stamp(bird.startedAt)}`,
    `Last reconfiguration on ${stamp(bird.loadedAt)}`,
    'Daemon is up and running',
  ];
}

function protocols({ clock }: ProgramContext, bird: Bird, all: boolean): string[] {
  const since = (ms: number) => {
    const text = stamp(ms);
    return stamp(clock.now()).slice(0, 10) === text.slice(0, 10) ? text.slice(11) : text.slice(0, 10);
  };
  const row = (name: string, proto: string, state: string, at: number, info: string) =>
    `${name.padEnd(8)} ${proto.padEnd(8)} ${'master'.padEnd(8)} ${state.padEnd(6)} ${since(at).padEnd(11)} ${info}`;
  const session = (each: BirdSession): string[] => [
    row(
      `${each.kind}_${each.address.replaceAll('.', '_')}`,
      'BGP',
      each.established ? 'up' : 'start',
      each.since,
      each.established ? 'Established   ' : each.info,
    ),
    ...(all
      ? [
          '  Description:    Connection to BGP peer',
          `  BGP state:          ${each.info.split(' ')[0]}`,
          `    Neighbor address: ${each.address}`,
          `    Neighbor AS:      ${each.asNumber}`,
          '',
        ]
      : []),
  ];
  return [
    'name     proto    table    state  since       info',
    ...['static1 Static', 'kernel1 Kernel', 'device1 Device', 'direct1 Direct'].map((each) => {
      const [name = '', proto = ''] = each.split(' ');
      return row(name, proto, 'up', bird.startedAt, '');
    }),
    ...bird.sessions().flatMap(session),
  ];
}

const routes = (bird: Bird): string[] =>
  bird
    .learnt()
    .map(
      ({ dst, nextHop, from }) =>
        `${dst.padEnd(18)} via ${nextHop} on eth0 [Mesh_${from.replaceAll('.', '_')} ${stamp(bird.loadedAt).slice(11)}] * (100/0) [i]`,
    );

function configure(bird: Bird): string[] {
  const refused = bird.refusal();
  return [
    `Reading configuration from ${configFolder}/bird.cfg`,
    refused === '' ? 'Configuration OK' : `${configFolder}/${refused}`,
  ];
}

/** `bird -p -c FILE`: parses, and says what it does not know. */
export const bird: Program = (context, words, io) => {
  const file = words[words.indexOf('-c') + 1] ?? '';
  const text = fileText(context, file);
  if (text === undefined) {
    io.stderr(`bird: Unable to open configuration file ${file}: No such file or directory\n`);
    return 1;
  }
  if (text.includes('krt_tunnel') && context.bgp?.takesTunnel(context.node.name) === false) {
    io.stderr(`bird: ${file}, line 1: You may set only variables.\n`);
    return 1;
  }
  return 0;
};

export const stat: Program = (context, words, io) => {
  const running = birdOf(context);
  let exitCode = 0;
  for (const file of words.filter((word) => word.startsWith('/'))) {
    if (running === undefined || !file.startsWith(`${configFolder}/bird`)) {
      io.stderr(`stat: cannot statx '${file}': No such file or directory\n`);
      exitCode = 1;
    } else io.stdout(`${Math.floor(running.renderedAt / 1000)}\n`);
  }
  return exitCode;
};

/** Files that a shell of the container has written, by pod. They go with it. */
const written = new WeakMap<object, Map<string, string>>();
const owner = ({ pod, nodeOf, node }: ProgramContext): object => nodeOf(node.name) ?? pod;

export function writeFile(context: ProgramContext, path: string, content: string): void {
  const key = owner(context);
  if (!written.has(key)) written.set(key, new Map());
  written.get(key)!.set(`${context.pod.metadata.uid} ${path}`, content);
}

export const removeFile: Program = (context, words) => {
  for (const path of words.filter((word) => !word.startsWith('-')))
    written.get(owner(context))?.delete(`${context.pod.metadata.uid} ${path}`);
  return 0;
};

/** What is in a file that a program of the container wrote, or confd brings. */
export function fileText(context: ProgramContext, path: string): string | undefined {
  const own = written.get(owner(context))?.get(`${context.pod.metadata.uid} ${path}`);
  if (own !== undefined || context.container !== 'calico-node') return own;
  if (path === templateFile)
    return '# Generated by confd\nfilter calico_kernel_programming {\n    krt_tunnel = "{{$data.ipip}}";\n    accept;\n}\n';
  return undefined;
}

/** `echo … >file`: what a program prints goes into a file. */
export function collected(io: ExecStreams): { io: ExecStreams; text(): string } {
  let text = '';
  return { io: { ...io, stdout: (data) => void (text += data) }, text: () => text };
}
