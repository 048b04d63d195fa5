import { setTimeout as sleep } from 'node:timers/promises';
import { CutoverError } from '../errors.ts';
import { refused, type Send } from './transport.ts';

export interface Resource {
  /** Plural, as in the path: `daemonsets`. */
  name: string;
  namespaced: boolean;
  /** `/api/v1` or `/apis/apps/v1`. */
  root: string;
}

export interface Kind {
  apiVersion: string;
  kind: string;
}

export interface Discovery {
  /** undefined when the server serves no such kind. */
  find(kind: Kind): Promise<Resource | undefined>;
  /** As `find`, with a few seconds' patience: a kind shows up shortly after its definition is established. @throws KubernetesRefused */
  need(kind: Kind): Promise<Resource>;
}

const patienceMs = [200, 400, 800, 1600, 2000];

/** What the server serves, asked once for each group version and again when a kind is missing. */
export function createDiscovery(send: Send): Discovery {
  const known = new Map<string, Map<string, Resource>>();

  const ask = async (apiVersion: string): Promise<Map<string, Resource>> => {
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const answer = await send({ method: 'GET', path: root });
    if (answer.code === 404) return new Map();
    if (answer.code >= 400) throw refused({ method: 'GET', path: root }, answer);
    const resources = (answer.body?.resources ?? []) as { name: string; namespaced: boolean; kind: string }[];
    const own = resources.filter(({ name }) => !name.includes('/'));
    return new Map(own.map(({ name, namespaced, kind }) => [kind, { name, namespaced, root }]));
  };

  const find: Discovery['find'] = async ({ apiVersion, kind }) => {
    const resource = known.get(apiVersion)?.get(kind);
    if (resource) return resource;
    const resources = await ask(apiVersion);
    known.set(apiVersion, resources);
    return resources.get(kind);
  };

  return {
    find,
    need: async (kind) => {
      for (const waitMs of [...patienceMs, 0]) {
        const resource = await find(kind);
        if (resource) return resource;
        if (waitMs > 0) await sleep(waitMs);
      }
      throw new CutoverError('KubernetesRefused', `the API server serves no kind ${kind.kind} of ${kind.apiVersion}`, {
        remedy: 'install its CustomResourceDefinition first',
      });
    },
  };
}

/** Path of a collection, or of one object in it. */
export function pathOf(
  { root, name: plural, namespaced }: Resource,
  namespace: string | undefined,
  name?: string,
): string {
  const scope = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}
