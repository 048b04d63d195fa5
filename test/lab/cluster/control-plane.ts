import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { awaitThat, commandOutput, succeeds } from '../run.ts';
import { kept, net, running } from '../settings.ts';
import { makeGroup } from './cgroups.ts';
import { inGroupAndNetns, netnsPath } from './fabric.ts';
import { keyFile } from './keys.ts';

const program = (name: string): string => join(kept.programs, name);

/** Starts a program that outlives this process, in a namespace and in a control group of the lab; its output goes to a file. */
export function startProgram(name: string, namespace: string, group: string, command: readonly string[]): void {
  const output = openSync(join(running.logs, `${name}.log`), 'a');
  const [shell, args] = inGroupAndNetns(group, namespace, command);
  spawn(shell, args, { detached: true, stdio: ['ignore', output, output] }).unref();
}

/** etcd, API server, controller manager and scheduler, in a namespace of their own without kubelet. */
export async function startControlPlane(): Promise<void> {
  await mkdir(running.controlPlane, { recursive: true });
  await makeGroup('control');
  const start = (name: string, ...args: string[]) =>
    startProgram(name, net.controlPlane, 'control', [program(name), ...args]);
  start(
    'etcd',
    `--data-dir=${join(running.controlPlane, 'etcd')}`,
    '--unsafe-no-fsync',
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--log-level=warn',
  );
  start(
    'kube-apiserver',
    '--etcd-servers=http://127.0.0.1:2379',
    `--service-cluster-ip-range=${net.services}`,
    `--advertise-address=${net.controlPlaneAddress}`,
    '--bind-address=0.0.0.0',
    `--tls-cert-file=${keyFile('api.crt')}`,
    `--tls-private-key-file=${keyFile('api.key')}`,
    `--client-ca-file=${keyFile('ca.crt')}`,
    `--token-auth-file=${keyFile('tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${keyFile('accounts.pub')}`,
    `--service-account-signing-key-file=${keyFile('accounts.key')}`,
    '--allow-privileged',
    '--kubelet-preferred-address-types=InternalIP',
  );
  start(
    'kube-controller-manager',
    `--kubeconfig=${keyFile('controller-manager.kubeconfig')}`,
    '--use-service-account-credentials',
    `--service-account-private-key-file=${keyFile('accounts.key')}`,
    `--root-ca-file=${keyFile('ca.crt')}`,
    '--allocate-node-cidrs',
    `--cluster-cidr=${net.pods}`,
    `--service-cluster-ip-range=${net.services}`,
    '--leader-elect=false',
    '--kube-api-qps=100',
    '--kube-api-burst=200',
  );
  start('kube-scheduler', `--kubeconfig=${keyFile('scheduler.kubeconfig')}`, '--leader-elect=false');
  await awaitThat('the API server is ready (see kube-apiserver.log)', 60_000, () =>
    succeeds(...kubectlCommand(['get', '--raw', '/readyz'])),
  );
}

/** kubectl as administrator, from the fabric. */
export function kubectlCommand(args: readonly string[]): [string, string[]] {
  const kubectl = [program('kubectl'), `--kubeconfig=${running.kubeconfig}`, ...args];
  return ['nsenter', [`--net=${netnsPath(net.fabric)}`, ...kubectl]];
}

/** @throws Error with what kubectl says */
export const kubectl = (args: readonly string[], input?: string): Promise<string> =>
  commandOutput(...kubectlCommand(args), input);
