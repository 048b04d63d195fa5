import { existsSync, globSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { SSHConfig } from 'ssh-config';
import { CutoverError } from '../errors.ts';

/** How to reach one node, as an OpenSSH client would after reading its config. */
export interface SshHost {
  host: string;
  port: number;
  user: string;
  /** Private key files that exist, in order. */
  identityFiles: string[];
  /** Socket of a running agent, `` when none may be used. */
  agent: string;
  knownHostsFiles: string[];
  /** Name under which known_hosts has the node. */
  alias: string;
}

export interface SshHostOptions {
  /** Absolute path of an OpenSSH client config; `` for ~/.ssh/config, which may be missing. */
  configFile: string;
  /** Wins over the config's User when it is not ``. */
  user: string;
}

const defaultKeys = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const defaultKnownHosts = ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];

/**
 * Reads an OpenSSH client config once and answers for any node: HostName, Port, User, IdentityFile, IdentityAgent,
 * UserKnownHostsFile, GlobalKnownHostsFile, HostKeyAlias; wildcard hosts, Match host, Include.
 * @throws CutoverError PlanInvalid when the file that was asked for cannot be read
 */
export function readSshHosts({ configFile, user }: SshHostOptions): (node: string) => SshHost {
  const config = SSHConfig.parse(readConfig(configFile));
  return (node) => {
    const settings = new Map(
      Object.entries(config.compute(node)).map(([name, value]) => [
        name.toLowerCase(),
        typeof value === 'string' ? [value] : value.flat(),
      ]),
    );
    const one = (name: string) => settings.get(name)?.[0];
    refuseUnknown(node, one);
    const host = (one('hostname') ?? node).replaceAll('%h', node);
    const port = Number(one('port') ?? 22);
    const login = user || one('user') || userInfo().username;
    const path = (text: string) => expand(text, { host, port, user: login, node });
    const files = (name: string, fallback: string[]) =>
      (settings.get(name) ?? fallback)
        .flatMap((value) => value.split(/\s+/))
        .filter((value) => value !== '' && value !== 'none')
        .map(path);
    return {
      host,
      port,
      user: login,
      identityFiles: (
        settings.get('identityfile')?.map(path) ?? defaultKeys.map((key) => path(`~/.ssh/${key}`))
      ).filter((file) => existsSync(file)),
      agent: agentSocket(one('identityagent'), one('identitiesonly')),
      knownHostsFiles: [
        ...files('userknownhostsfile', defaultKnownHosts),
        ...files('globalknownhostsfile', ['/etc/ssh/ssh_known_hosts']),
      ],
      alias: one('hostkeyalias') ?? '',
    };
  };
}

/** What would lead to another machine than `ssh` reaches is refused, not ignored. */
function refuseUnknown(node: string, one: (name: string) => string | undefined): void {
  const found = ['proxyjump', 'proxycommand'].find((name) => (one(name) ?? 'none') !== 'none');
  if (found === undefined) return;
  throw new CutoverError(
    'NodeUnreachable',
    `the SSH config reaches ${node} by ${found === 'proxyjump' ? 'ProxyJump' : 'ProxyCommand'}, which Cutover does not know`,
    {
      remedy: 'run Cutover where the nodes can be reached directly, and name an SSH config without proxies in the plan',
    },
  );
}

function agentSocket(identityAgent: string | undefined, identitiesOnly: string | undefined): string {
  if (identityAgent === 'none' || identitiesOnly?.toLowerCase() === 'yes') return '';
  if (identityAgent !== undefined && identityAgent !== 'SSH_AUTH_SOCK') return expandHome(identityAgent);
  return process.env['SSH_AUTH_SOCK'] ?? '';
}

function readConfig(configFile: string): string {
  const file = configFile || join(homedir(), '.ssh', 'config');
  if (configFile === '' && !existsSync(file)) return '';
  try {
    return withIncludes(readFileSync(file, 'utf8'), dirname(file), 0);
  } catch (cause) {
    throw new CutoverError('PlanInvalid', `the SSH config ${file} cannot be read: ${(cause as Error).message}`, {
      remedy: 'correct access.ssh.configFile in the plan, or the file',
      cause,
    });
  }
}

/** `Include` lines put in place, as ssh_config(5) has them: relative to the folder of the config. */
function withIncludes(text: string, folder: string, depth: number): string {
  if (depth > 8) return text;
  return text.replaceAll(/^[ \t]*include[ \t=]+(.+)$/gim, (_line, patterns: string) =>
    patterns
      .trim()
      .split(/\s+/)
      .map((pattern) => expandHome(pattern.replaceAll('"', '')))
      .flatMap((pattern) => globSync(isAbsolute(pattern) ? pattern : join(folder, pattern)))
      .map((file) => withIncludes(readFileSync(file, 'utf8'), folder, depth + 1))
      .join('\n'),
  );
}

const expandHome = (text: string) => (text === '~' || text.startsWith('~/') ? join(homedir(), text.slice(1)) : text);

/** `~` and the tokens of ssh_config(5) that make sense in a path. */
function expand(
  text: string,
  { host, port, user, node }: { host: string; port: number; user: string; node: string },
): string {
  const tokens: { [token: string]: string } = {
    '%%': '%',
    '%d': homedir(),
    '%h': host,
    '%n': node,
    '%p': String(port),
    '%r': user,
    '%u': userInfo().username,
  };
  return expandHome(text.replaceAll('"', '')).replaceAll(/%[%a-zA-Z]/g, (token) => tokens[token] ?? token);
}
