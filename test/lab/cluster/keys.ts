import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandOutput, isFile } from '../run.ts';
import { net, nodes, running } from '../settings.ts';

const users = [
  { file: 'admin', name: 'admin', group: 'system:masters' },
  { file: 'controller-manager', name: 'system:kube-controller-manager' },
  { file: 'scheduler', name: 'system:kube-scheduler' },
  ...nodes.map(({ name }) => ({ file: name, name: `system:node:${name}`, group: 'system:nodes' })),
];

export const keyFile = (name: string): string => join(running.keys, name);

/** Certificates, tokens and SSH keys of one lab; made once, and gone with it. */
export async function makeKeys(): Promise<void> {
  if (await isFile(keyFile('whole'))) return;
  await mkdir(running.keys, { recursive: true, mode: 0o700 });
  const openssl = (...args: string[]) => commandOutput('openssl', args);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '365'];
  await openssl(
    'req',
    '-x509',
    ...curve,
    '-subj',
    '/CN=cutover-lab',
    '-keyout',
    keyFile('ca.key'),
    '-out',
    keyFile('ca.crt'),
  );
  const names = ['DNS:kubernetes', 'DNS:kubernetes.default', 'DNS:kubernetes.default.svc', 'DNS:localhost'];
  const addresses = [net.controlPlaneAddress, '10.96.0.1', '127.0.0.1'].map((address) => `IP:${address}`);
  await writeFile(keyFile('names'), `subjectAltName=${[...names, ...addresses].join(',')}\n`);
  await openssl(
    'req',
    ...curve,
    '-subj',
    '/CN=kube-apiserver',
    '-keyout',
    keyFile('api.key'),
    '-out',
    keyFile('api.csr'),
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    keyFile('api.csr'),
    '-CA',
    keyFile('ca.crt'),
    '-CAkey',
    keyFile('ca.key'),
    '-CAcreateserial',
    '-days',
    '365',
    '-extfile',
    keyFile('names'),
    '-out',
    keyFile('api.crt'),
  );
  await openssl('genrsa', '-out', keyFile('accounts.key'), '2048');
  await openssl('rsa', '-in', keyFile('accounts.key'), '-pubout', '-out', keyFile('accounts.pub'));

  const rows: string[] = [];
  for (const { file, name, group } of users) {
    const token = randomBytes(16).toString('hex');
    rows.push(`${token},${name},${name}${group ? `,"${group}"` : ''}`);
    await writeFile(keyFile(`${file}.kubeconfig`), await kubeconfig(token));
  }
  await writeFile(keyFile('tokens.csv'), `${rows.join('\n')}\n`);

  await commandOutput('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'cutover-lab', '-f', keyFile('ssh')]);
  for (const { name } of nodes)
    await commandOutput('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', keyFile(`host-${name}`)]);
  await writeAccessFiles();
  await writeFile(keyFile('whole'), '');
}

async function kubeconfig(token: string): Promise<string> {
  const authority = (await readFile(keyFile('ca.crt'))).toString('base64');
  return `apiVersion: v1
kind: Config
clusters:
  - name: lab
    cluster: { server: 'https://${net.controlPlaneAddress}:6443', certificate-authority-data: ${authority} }
users:
  - name: lab
    user: { token: ${token} }
contexts:
  - name: lab
    context: { cluster: lab, user: lab }
current-context: lab
`;
}

/** Kubeconfig, SSH config and known hosts, as a person would have them. */
async function writeAccessFiles(): Promise<void> {
  await writeFile(running.kubeconfig, await readFile(keyFile('admin.kubeconfig')), { mode: 0o600 });
  const known: string[] = [];
  const entries: string[] = [];
  for (const { name, address } of nodes) {
    const key = (await readFile(keyFile(`host-${name}.pub`), 'utf8')).split(' ').slice(0, 2).join(' ');
    known.push(`${address},${name} ${key}`);
    entries.push(`Host ${name}
  HostName ${address}
  User root
  IdentityFile ${keyFile('ssh')}
  IdentitiesOnly yes
  UserKnownHostsFile ${running.knownHosts}
  StrictHostKeyChecking yes
`);
  }
  await writeFile(running.knownHosts, `${known.join('\n')}\n`);
  await writeFile(running.sshConfig, entries.join('\n'), { mode: 0o600 });
}
