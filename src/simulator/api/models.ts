import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as client from '@kubernetes/client-node';
import type { Any } from './json-values.ts';
import type { ServedResource } from './resources.ts';

/**
 * The types of Kubernetes, read from the client's generated models: names and formats from their attribute maps,
 * descriptions and which fields are required from their type declarations.
 */
export interface Attribute {
  /** As it is written in JSON. */
  name: string;
  /** `string`, `V1PodSpec`, `Array<V1Container>`, `{ [key: string]: string; }` … */
  type: string;
  format: string;
}

const attributes = new Map<string, Map<string, Attribute> | undefined>();

/** Fields of a model; undefined when there is no model of that name. */
export function attributesOf(model: string): Map<string, Attribute> | undefined {
  if (!attributes.has(model)) {
    const found: Any = (client as Any)[model];
    const list: Any[] | undefined = found?.getAttributeTypeMap?.();
    attributes.set(
      model,
      list && new Map(list.map(({ baseName, type, format }) => [baseName, { name: baseName, type, format }])),
    );
  }
  return attributes.get(model);
}

const OTHER_NAMES: { [key: string]: string } = {
  '/v1 Event': 'CoreV1Event',
  'events.k8s.io/v1 Event': 'EventsV1Event',
};

/** `V1DaemonSet` for daemonsets of apps/v1. */
export const modelOf = ({ group, version, kind }: Pick<ServedResource, 'group' | 'version' | 'kind'>): string =>
  OTHER_NAMES[`${group}/${version} ${kind}`] ?? `V${version.slice(1)}${kind}`;

/** `Array<V1Container>` -> `V1Container`; `{ [key: string]: string; }` -> `string`; undefined for others. */
export const elementOf = (type: string) => /^(?:Array|Set)<(.+)>$/.exec(type)?.[1];
export const valueOf = (type: string) => /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];

export interface ModelText {
  description: string;
  fields: Map<string, { description: string; required: boolean }>;
}

const folder = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen', 'models');
const texts = new Map<string, ModelText>();

/** Descriptions of a model, from its declaration file. Empty ones when the file is not there. */
export function modelText(model: string): ModelText {
  let text = texts.get(model);
  if (text === undefined) texts.set(model, (text = parseDeclaration(readDeclaration(model))));
  return text;
}

function readDeclaration(model: string): string {
  try {
    return readFileSync(join(folder, `${model}.d.ts`), 'utf8');
  } catch {
    return '';
  }
}

function parseDeclaration(source: string): ModelText {
  const [head = '', body = ''] = source.split(/export declare class \w+ \{/);
  const fields: ModelText['fields'] = new Map();
  for (const [, comment = '', name = '', optional] of body.matchAll(
    /(?:\/\*\*\s*([\s\S]*?)\*\/\s*)?'([^']+)'(\?)?: /g,
  )) {
    fields.set(name, { description: plain(comment), required: optional === undefined });
  }
  return { description: plain(/\/\*\*(?![\s\S]*\/\*\*)\s*([\s\S]*?)\*\/\s*$/.exec(head)?.[1] ?? ''), fields };
}

const plain = (comment: string) =>
  comment
    .replaceAll(/^\s*\*\s?/gm, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/\\(['"`])/g, '$1')
    .trim();
