import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '../../src/json.ts';
import { verbProgram } from '../../src/node/verb-program.ts';
import type { NodeState, VerbName } from '../../src/node/types.ts';
import type { SimRule } from '../../src/simulator/types.ts';
import type { Ended, Given, GivenSandbox, Host, HostKind } from './host.ts';

/**
 * The real shell programs in a network and mount namespace of their own: real ip, iptables of both backends, nft, ipset,
 * conntrack, and real files in a private tmpfs. Only crictl, systemctl and systemd-run are small programs that keep the
 * state of a runtime and of systemd in files (test/verbs/fakes).
 */
export const realHost = (shell: 'dash' | 'busybox'): HostKind => ({
  name: `real programs (${shell})`,
  missing: whatIsMissing(shell),
  open: (given) => openReal(given, shell),
});

/** What only a real host can be asked for: trouble of the machine. */
export interface RealHost extends Host {
  /** Runs shell lines on the node, with $SYSTEMD_DIR, $CUTOVER_DIR and the like. @throws Error when they fail */
  sh(script: string): Promise<string>;
  /** Lets the dead-man switch fire. `without`: programs that fail, as those of a broken machine. */
  fire(options?: { without?: string[] }): Promise<{ exitCode: number; answer: JsonObject }>;
  /** Power off and on: nothing of /run is left, and what is enabled starts. */
  restart(): Promise<void>;
}

const fakes = fileURLToPath(new URL('./fakes/', import.meta.url));
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function whatIsMissing(shell: 'dash' | 'busybox'): string {
  if (process.platform !== 'linux') return 'network namespaces are Linux only';
  if (process.getuid?.() !== 0) return 'not root';
  const tools = ['unshare', 'nsenter', 'setsid', 'flock', 'ip', 'iptables-nft', 'iptables-legacy', 'nft', shell];
  const missing = tools.filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`], { env: { PATH: systemPath } }).status !== 0,
  );
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  const made = spawnSync(
    'unshare',
    [
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--mount-proc',
      'sh',
      '-c',
      'mount -t tmpfs t /mnt && ip link add vx0 type vxlan id 1 dstport 8472 && ip link add br0 type bridge && ip link add ve0 type veth peer name ve1 && iptables-legacy -t nat -N X && iptables-nft -t nat -N X',
    ],
    { env: { PATH: systemPath } },
  );
  return made.status === 0
    ? ''
    : `this kernel or container refuses: ${made.stderr.toString().trim().split('\n').pop()}`;
}

export const hasTool = (tool: string) =>
  spawnSync('sh', ['-c', `command -v ${tool}`], { env: { PATH: systemPath } }).status === 0;

/** Programs that the verbs call and that a busybox has as applets. */
const applets = [
  'awk',
  'basename',
  'cat',
  'chmod',
  'cp',
  'cut',
  'date',
  'dirname',
  'find',
  'grep',
  'head',
  'ls',
  'mkdir',
  'mv',
  'rm',
  'rmdir',
  'sed',
  'sh',
  'sha256sum',
  'sleep',
  'sort',
  'tr',
  'uname',
];
/** Programs whose every call can be an effect: a verb may die before any of them. */
const lethal = [
  'chmod',
  'conntrack',
  'cp',
  'crictl',
  'ip',
  'ip6tables-legacy-restore',
  'ip6tables-nft-restore',
  'ipset',
  'iptables-legacy-restore',
  'iptables-nft-restore',
  'mkdir',
  'mv',
  'nft',
  'rm',
  'rmdir',
  'systemctl',
  'systemd-run',
];

export async function openReal(given: Given, shell: 'dash' | 'busybox'): Promise<RealHost> {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-verbs-'));
  const root = join(folder, 'root');
  const fake = join(folder, 'fake');
  for (const path of [
    root,
    join(fake, 'sandboxes'),
    join(fake, 'units'),
    join(folder, 'kill'),
    join(folder, 'applets'),
  ])
    await mkdir(path, { recursive: true });
  await Promise.all(lethal.map((name) => symlink(join(fakes, 'kill-at'), join(folder, 'kill', name))));
  if (shell === 'busybox')
    await Promise.all(applets.map((name) => symlink('/usr/bin/busybox', join(folder, 'applets', name))));

  // A process namespace too: whatever was started in it ends with it.
  const namespaces = [
    '--net',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  const keeper = spawn(
    'unshare',
    [...namespaces, 'sh', '-c', 'mount -t tmpfs tmpfs "$0" && echo ready && exec cat', root],
    { env: { PATH: systemPath }, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await ready(keeper);
  const target = Number(readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8').trim());
  const realPath = `${fakes}:${join(folder, 'applets')}:${systemPath}`;
  const environment = {
    PATH: realPath,
    REAL_PATH: realPath,
    FAKE: fake,
    XTABLES_LOCKFILE: join(folder, 'xtables.lock'),
    CNI_CONF_DIR: join(root, 'etc/cni/net.d'),
    CNI_STATE_DIR: join(root, 'var/lib/cni'),
    CNI_LEASE_DIR: join(root, 'var/lib/cni/networks'),
    CNI_BIN_DIR: join(root, 'opt/cni/bin'),
    CUTOVER_DIR: join(root, 'var/lib/cutover'),
    RUN_DIR: join(root, 'run'),
    SYSTEMD_DIR: join(root, 'etc/systemd/system'),
    REVERT_WAIT_SECONDS: '3',
    PROC_SYS: join(root, 'proc/sys'),
    ETC_DIR: join(root, 'etc'),
    USR_LIB_DIR: join(root, 'usr/lib'),
    VAR_DIR: root,
  };
  const inside = (args: string[], input = '', env: { [name: string]: string } = {}) =>
    enter(target, args, input, { ...environment, ...env });
  /** The tmpfs as this process sees it. */
  const seen = (path: string) => `/proc/${target}/root${root}${path}`;

  const script = setUp(given, root, fake);
  const set = await inside(['sh', '-eu'], script);
  if (set.exitCode !== 0) throw new Error(`the given state cannot be made: ${set.stderr}`);

  async function run(verb: VerbName, input: JsonObject, { killAt }: { killAt?: number } = {}): Promise<Ended> {
    await rm(join(fake, 'calls'), { force: true });
    const env: { [name: string]: string } =
      killAt === undefined ? {} : { PATH: `${join(folder, 'kill')}:${realPath}`, KILL_AT: String(killAt) };
    // A process group of its own, whose number the killer finds in the file.
    const start = 'echo $$ >"$FAKE/verb-pid"; exec "$@"';
    const interpreter = shell === 'busybox' ? ['busybox', 'sh'] : ['dash'];
    const { stdout, stderr, exitCode, signal } = await inside(
      ['setsid', 'sh', '-c', start, 'sh', ...interpreter, '-s', '--', JSON.stringify(input)],
      verbProgram(verb),
      env,
    );
    if (signal === 'SIGKILL') return { exitCode: 137, answer: {}, killed: true };
    if (stdout.trim() === '') throw new Error(`${verb} answers nothing (exit code ${exitCode}): ${stderr}`);
    return { exitCode, answer: JSON.parse(stdout.replaceAll(root, '')) as JsonObject, killed: false };
  }

  async function sh(script: string): Promise<string> {
    const { stdout, stderr, exitCode } = await inside(['sh', '-euc', script]);
    if (exitCode !== 0) throw new Error(`${script}: ${stderr}`);
    return stdout;
  }

  /** As systemd does it: the service's command, then what comes after it whatever became of it. */
  async function fire({ without = [] }: { without?: string[] } = {}) {
    const broken = await mkdtemp(join(folder, 'broken-'));
    for (const name of without) await writeFile(join(broken, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const unit = await sh('cat "$SYSTEMD_DIR/cutover-revert.service" 2>/dev/null || true');
    const line = (name: string) => new RegExp(`^${name}=-?(.*)$`, 'm').exec(unit)?.[1] ?? 'true';
    const start = unit === '' ? await sh(`tr '\\n' ' ' <"$FAKE/timer-command"`) : line('ExecStart');
    if (unit === '') await sh('rm -f "$FAKE"/units/cutover-revert.timer');
    const program = shell === 'busybox' ? start.replace('/bin/sh', 'busybox sh') : start;
    const { stdout, stderr, exitCode } = await inside(['sh', '-c', program], '', { PATH: `${broken}:${realPath}` });
    await inside(['sh', '-c', line('ExecStopPost')]);
    if (stdout === '') throw new Error(`the revert answers nothing (exit code ${exitCode}): ${stderr}`);
    return { exitCode, answer: JSON.parse(stdout.replaceAll(root, '')) as JsonObject };
  }

  async function saved(tool: string, prefix: string): Promise<string[]> {
    const { stdout } = await inside([`${tool}-save`]);
    let table = '';
    return stdout.split('\n').flatMap((line) => {
      if (line.startsWith('*')) table = line.slice(1);
      return line.startsWith('-A ') ? [`${prefix} ${table} ${line.slice(3)}`] : [];
    });
  }

  return {
    run,
    async state() {
      const { exitCode, answer } = await run('inspect', {});
      if (exitCode !== 0) throw new Error(JSON.stringify(answer));
      return answer as unknown as NodeState;
    },
    files: async () => Object.fromEntries(watched.flatMap((path) => readTree(seen(path), path))),
    async rules() {
      // Looking at the legacy tables would make them.
      const legacy = (await inside(['cat', '/proc/net/ip_tables_names'])).stdout.trim() !== '';
      const all = [
        await saved('iptables-nft', 'nft ip'),
        await saved('ip6tables-nft', 'nft ip6'),
        ...(legacy ? [await saved('iptables-legacy', 'legacy ip')] : []),
      ];
      return all.flat().sort();
    },
    async conntrack() {
      const { stdout } = await inside(['sh', '-c', 'conntrack -L 2>/dev/null || true']);
      return [...stdout.matchAll(/tcp\s+6 \d+ (\w+) .*?dport=(\d+)/g)]
        .map(([, state, port]) => `${state} ${port}`)
        .sort();
    },
    async fireTimer() {
      const { exitCode, answer } = await fire();
      if (exitCode !== 0) throw new Error(`the revert fails: ${JSON.stringify(answer)}`);
    },
    fire,
    sh,
    async restart() {
      await sh(
        'rm -rf "${RUN_DIR:?}"; mkdir -p "$RUN_DIR"; rm -f "$FAKE"/units/*; for unit in "$SYSTEMD_DIR"/*.wants/*; do [ ! -f "$unit" ] || systemctl start "${unit##*/}"; done; systemctl start kubelet',
      );
    },
    async close() {
      keeper.stdin!.end();
      await new Promise((done) => keeper.once('exit', done));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const watched = [
  '/etc/cni/net.d',
  '/var/lib/cni',
  '/run/flannel',
  '/var/lib/cutover',
  '/opt/cni/bin/flannel',
  '/opt/cni/bin/calico',
  '/opt/cni/bin/calico-ipam',
];

/** Paths as on a real node; an absent folder has no files. */
function readTree(actual: string, path: string): [string, string][] {
  let entries: string[];
  try {
    entries = readdirSync(actual);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return [[path, readFileSync(actual, 'utf8')]];
    if (code === 'ENOENT') return [];
    throw error;
  }
  return entries.flatMap((name) => readTree(`${actual}/${name}`, `${path}/${name}`));
}

function ready(keeper: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    keeper.once('exit', (code) => reject(new Error(`unshare ended with ${code}`)));
    keeper.stdout!.once('data', () => resolve());
  });
}

interface Finished {
  stdout: string;
  stderr: string;
  exitCode: number;
  signal: NodeJS.Signals | null;
}

function enter(pid: number, args: string[], input: string, env: { [name: string]: string }): Promise<Finished> {
  const child = spawn('/usr/bin/nsenter', ['--target', String(pid), '--net', '--mount', '--pid', '--', ...args], {
    env,
    stdio: 'pipe',
    timeout: 30_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => {}); // a killed program reads no more
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ stdout, stderr, exitCode: code ?? 137, signal }));
  });
}

const quote = (text: string) => `'${text.replaceAll(`'`, `'\\''`)}'`;

/** The given state as one shell script. */
function setUp(given: Given, root: string, fake: string): string {
  const lines = [
    // Starts a program for a new folder only: there are many files.
    'put() { [ -d "${1%/*}" ] || mkdir -p "${1%/*}"; printf %s "$2" >"$1"; }',
    'mkdir -p "$CNI_CONF_DIR" "$CNI_STATE_DIR" "$CNI_BIN_DIR" "$RUN_DIR" "$SYSTEMD_DIR"',
    'ip link set lo up',
    'ip link add eth0 type veth peer name wire0',
    'ip link set eth0 up; ip link set wire0 up; ip addr add 192.0.2.11/24 dev eth0',
    ...Object.entries(given.files ?? {}).map(([path, content]) => file(root + path, content)),
    ...(given.links ?? []).map(({ name, kind }) => addLink(name, kind)),
    ...(given.links ?? []).flatMap(({ name, master }) =>
      master === undefined ? [] : [`ip link set ${name} master ${master}`],
    ),
    ...(given.routes ?? []).map(
      ({ dst, type, proto }) =>
        `ip route add ${type} ${dst} proto ${proto === 'bird' ? 12 : proto}${type === 'unicast' ? ' dev eth0' : ''}`,
    ),
    ...(given.ipsets ?? []).map((name) => `ipset create ${name} hash:net`),
    ...(given.nftTables ?? []).map((name) => `nft add table ${name}; nft add chain ${name} own`),
    ...restore(given.rules ?? []),
    ...(given.synSent ?? []).map(({ dport }, at) => conntrackEntry('SYN_SENT', dport, 40000 + at)),
    ...(given.late
      ? [
          `ip link set ${given.late.link} up`,
          `(sleep 1; ${conntrackEntry('SYN_SENT', given.late.dport, 40100)}; ip route add 198.51.100.0/26 dev ${given.late.link}) >/dev/null 2>&1 &`,
        ]
      : []),
    ...(given.established ?? []).map(({ dport }, at) => conntrackEntry('ESTABLISHED', dport, 50000 + at)),
    ...(given.translated ?? []).map(({ dport, to }, at) =>
      conntrackEntry('ESTABLISHED', dport, 51000 + at, to.split(':')),
    ),
    ...(given.sandboxes ?? []).flatMap((sandbox) => addSandbox(sandbox, root, fake, given)),
    ...Object.entries(given.sysctls ?? {}).map(([path, value]) =>
      file(`${root}/proc/sys/${path.replace('/uplink/', '/eth0/')}`, `${value}\n`),
    ),
    ...Object.entries(given.conntrackTable ?? {}).map(([name, value]) =>
      file(`${root}/proc/sys/net/netfilter/nf_conntrack_${name}`, `${value}\n`),
    ),
    ...(given.services ?? []).map((unit) => `: >"$FAKE/units/${unit}.service"`),
    `echo ${(given.images ?? []).join(' ')} >"$FAKE/images"`,
    given.pathMtu === undefined ? '' : `echo ${given.pathMtu} >"$FAKE/path-mtu"`,
    given.kubelet === 'inactive' ? '' : ': >"$FAKE/units/kubelet.service"',
    given.deafRuntime ? ': >"$FAKE/deaf"' : '',
    `echo ${(given.vanishing ?? []).join(' ')} >"$FAKE/vanishing"`,
  ];
  return `${lines.join('\n')}\n`;
}

const file = (path: string, content: string) => `put ${quote(path)} ${quote(content)}`;

const addLink = (name: string, kind: 'vxlan' | 'bridge' | 'veth') =>
  ({
    vxlan: `ip link add ${name} type vxlan id 1 local 192.0.2.11 dev eth0 dstport 8472 nolearning; ip link set ${name} up`,
    bridge: `ip link add ${name} type bridge; ip link set ${name} up`,
    veth: `ip link add ${name} type veth peer name p${name.slice(-8)}; ip link set ${name} up`,
  })[kind];

const conntrackEntry = (state: string, dport: number, sport: number, [to, port]: string[] = []) =>
  `conntrack -I -p tcp -s 192.0.2.99 -d 192.0.2.11 --sport ${sport} --dport ${dport} --state ${state} --timeout 600 ${to === undefined ? '' : `-r ${to} -q 192.0.2.99 --reply-port-src ${port} --reply-port-dst ${sport} `}${state === 'ESTABLISHED' ? '-u SEEN_REPLY,ASSURED ' : ''}>/dev/null 2>&1`;

function addSandbox(
  { id, pod, network, ready: isReady = true, cni = 'cbr0', lease, link, container }: GivenSandbox,
  root: string,
  fake: string,
  given: Given,
): string[] {
  const [namespace = '', name = ''] = pod.split('/');
  const dir = join(fake, 'sandboxes', id);
  const fields = {
    namespace,
    name,
    network,
    cni,
    state: isReady ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
    lease: lease ?? '',
    link: link ?? '',
  };
  const bridge = cni === 'cbr0' && given.links?.some((each) => each.name === 'cni0');
  return [
    ...Object.entries(fields).map(([field, value]) => file(join(dir, field), value)),
    ...(lease === undefined ? [] : [file(`${root}/var/lib/cni/networks/cbr0/${lease}`, `${id}\r\neth0`)]),
    ...(link === undefined ? [] : [addLink(link, 'veth'), ...(bridge ? [`ip link set ${link} master cni0`] : [])]),
    ...(container === undefined ? [] : [`echo ${container} >>"$FAKE/containers"`]),
  ];
}

/** Rules as input of iptables-restore, with every chain that they are in or jump to. */
function restore(rules: SimRule[]): string[] {
  const tools = [
    ...new Set(rules.map(({ backend, family }) => `${family === 'ip6' ? 'ip6tables' : 'iptables'}-${backend}`)),
  ];
  return tools.map((tool) => {
    const own = rules.filter(
      ({ backend, family }) => tool === `${family === 'ip6' ? 'ip6tables' : 'iptables'}-${backend}`,
    );
    const tables = [...new Set(own.map(({ table }) => table))].map((table) => {
      const inTable = own.filter((rule) => rule.table === table);
      const named = inTable.flatMap(({ chain, text }) => [
        chain,
        ...(/-[jg] ((?:KUBE|FLANNEL|CNI|cali)-\S+)/.exec(text)?.slice(1) ?? []),
      ]);
      const chains = [...new Set(named)].filter(
        (chain) => !/^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(chain),
      );
      return `*${table}\n${chains.map((chain) => `:${chain} - [0:0]\n`).join('')}${inTable.map(({ chain, text }) => `-A ${chain} ${text}\n`).join('')}COMMIT\n`;
    });
    return `${tool}-restore --noflush <<'RULES'\n${tables.join('')}RULES`;
  });
}
