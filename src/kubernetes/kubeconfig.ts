import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { CutoverError } from '../errors.ts';

export interface LoadedKubeconfig {
  config: KubeConfig;
  /** URL of the API server, without a slash at the end. */
  server: string;
  /** Where the URL came from, for sentences: `context lab of /home/ada/.kube/config`. */
  source: string;
}

/** The files that ServiceAccount admission mounts into every pod. */
const inClusterToken = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Loads a kubeconfig for one context. `kubeconfig` `` means KUBECONFIG, then ~/.kube/config, then the pod's own
 * service account; `context` `` means the current one.
 *
 * @throws CutoverError KubeconfigInvalid
 */
export function loadKubeconfig({ kubeconfig, context }: { kubeconfig: string; context: string }): LoadedKubeconfig {
  const config = new KubeConfig();
  const origin = load(config, kubeconfig);
  if (context !== '') config.setCurrentContext(context);

  const current = config.getCurrentContext();
  const names = (config.getContexts() ?? []).map(({ name }) => name);
  if (!current) {
    throw invalid(`${origin} has no current-context`, `name one with --context: ${names.join(', ') || 'it has none'}`);
  }
  if (!names.includes(current)) {
    throw invalid(`${origin} has no context "${current}"`, `choose one of: ${names.join(', ') || 'it has none'}`);
  }
  const cluster = config.getCurrentCluster();
  if (!cluster) throw invalid(`context "${current}" of ${origin} names a cluster that is not in it`);

  // client-node refuses plain HTTP unless TLS verification is off; where there is no TLS there is nothing to verify.
  if (cluster.server.startsWith('http:')) Object.assign(cluster, { skipTLSVerify: true });
  shareDispatchers(config);
  return { config, server: cluster.server.replace(/\/+$/, ''), source: `context "${current}" of ${origin}` };
}

/** @returns what to call the place that it was loaded from */
function load(config: KubeConfig, kubeconfig: string): string {
  const paths = pathsOf(kubeconfig);
  if (paths.length === 0) {
    if (!existsSync(inClusterToken)) {
      throw invalid('there is no kubeconfig: KUBECONFIG is not set and ~/.kube/config does not exist');
    }
    config.loadFromCluster();
    return "the pod's service account";
  }
  for (const path of paths) {
    const one = new KubeConfig();
    readInto(one, path);
    try {
      if (config.clusters === undefined || config.clusters.length === 0) copy(config, one);
      else config.mergeConfig(one, true);
    } catch (cause) {
      throw invalid(`${paths.join(', ')} do not fit together: ${messageOf(cause)}`);
    }
  }
  return paths.join(', ');
}

function pathsOf(kubeconfig: string): string[] {
  if (kubeconfig !== '') return [kubeconfig];
  const fromEnv = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  if (fromEnv.length > 0) return fromEnv;
  const usual = join(homedir(), '.kube', 'config');
  return existsSync(usual) ? [usual] : [];
}

function readInto(config: KubeConfig, path: string): void {
  try {
    readFileSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw invalid(
      code === 'ENOENT' ? `the kubeconfig ${path} does not exist` : `the kubeconfig ${path} cannot be read (${code})`,
    );
  }
  try {
    config.loadFromFile(path);
  } catch (cause) {
    // A YAML error quotes the lines around it, and in a kubeconfig these are credentials: only reason and line go on.
    const { reason, mark } = cause as { reason?: string; mark?: { line?: number } };
    if (reason !== undefined) throw invalid(`${path} is not YAML: line ${(mark?.line ?? 0) + 1}: ${reason}`);
    throw invalid(
      `${path} is not a kubeconfig: ${cause instanceof TypeError ? 'it has no clusters, users and contexts' : messageOf(cause)}`,
    );
  }
}

function copy(into: KubeConfig, from: KubeConfig): void {
  into.loadFromOptions({
    clusters: from.clusters,
    users: from.users,
    contexts: from.contexts,
    currentContext: from.currentContext,
  });
}

/**
 * client-node 2.0.1 makes a new connection pool, hence a TLS handshake, for every single request
 * (`KubeConfig.createDispatcher`). The same TLS options share one pool here.
 */
function shareDispatchers(config: KubeConfig): void {
  type Create = (cluster: unknown, options: unknown) => unknown;
  const inner = config as unknown as { createDispatcher: Create };
  const create = inner.createDispatcher.bind(config);
  const pools = new Map<string, unknown>();
  inner.createDispatcher = (cluster, options) => {
    const key = JSON.stringify(options);
    const known = pools.get(key);
    if (known !== undefined) return known;
    const pool = create(cluster, options);
    pools.set(key, pool);
    return pool;
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0]!;

const invalid = (message: string, remedy?: string): CutoverError =>
  new CutoverError('KubeconfigInvalid', message, remedy === undefined ? {} : { remedy });
