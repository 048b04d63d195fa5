import { LineCounter, parseAllDocuments } from 'yaml';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { hashOf } from './hash.ts';

/** One manifest file of a bundle; `name` is relative to the folder, with `/` between folders. */
export interface BundleFile {
  name: string;
  /** UTF-8 text, exactly as on disk. */
  content: string;
}

/** Which files of a folder belong to a bundle: YAML and JSON at any depth; hidden files, READMEs and others do not. */
export const isManifest = (name: string): boolean =>
  /\.(ya?ml|json)$/i.test(name) && !name.split('/').some((part) => part.startsWith('.'));

/**
 * The bundle as one document for the store. Its digest is `bundleDigest`, so that
 * `store.putDocument('bundle', bundleDocument(files))` returns the very `sha256` that the plan names.
 */
export function bundleDocument(
  files: readonly BundleFile[],
): { files: { name: string; content: string }[] } & JsonObject {
  const sorted = files
    .map(({ name, content }) => ({ name: name.replaceAll('\\', '/'), content }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { files: sorted };
}

/** SHA-256 hex over the sorted names and contents. Renaming a file changes it; the folder's own name does not. */
export const bundleDigest = (files: readonly BundleFile[]): string => hashOf(bundleDocument(files));

/**
 * The Kubernetes objects of a bundle, files by name and objects in the order of each file. Lists are taken apart;
 * empty documents are skipped.
 *
 * @throws CutoverError PlanInvalid naming file, line and column of everything that is not an object of Kubernetes
 */
export function readBundle(files: readonly BundleFile[]): KubernetesObject[] {
  const problems: string[] = [];
  const objects = bundleDocument(files).files.flatMap((file) => readManifest(file, problems));
  if (problems.length > 0)
    throw new CutoverError('PlanInvalid', problems.join('\n'), {
      remedy: 'correct the manifests, then the sha256 in the plan',
    });
  return objects;
}

function readManifest({ name, content }: BundleFile, problems: string[]): KubernetesObject[] {
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const documents = parseAllDocuments(content, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  return [...documents].flatMap((document) => {
    const start = document.contents?.range?.[0] ?? 0;
    if (document.errors.length > 0) {
      problems.push(...document.errors.map((error) => `${place(error.pos[0])}: not valid YAML: ${error.message}`));
      return [];
    }
    const value = document.toJS() as unknown;
    if (value === null) return [];
    const found = flatten(value);
    const lacking = found.map(lacks).find((text) => text !== undefined);
    if (lacking === undefined) return found as KubernetesObject[];
    problems.push(`${place(start)}: ${lacking}`);
    return [];
  });
}

function flatten(value: unknown): unknown[] {
  const list = value as { kind?: unknown; items?: unknown } | null;
  return list && typeof list === 'object' && String(list.kind).endsWith('List') && Array.isArray(list.items)
    ? list.items.flatMap(flatten)
    : [value];
}

/** Why a value is no object of Kubernetes, or undefined when it is one. */
function lacks(value: unknown): string | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return 'this is not an object of Kubernetes but a plain value';
  const { apiVersion, kind, metadata } = value as Partial<KubernetesObject>;
  if (typeof kind !== 'string' || kind === '') return 'this object has no kind';
  if (typeof apiVersion !== 'string' || apiVersion === '') return `this ${kind} has no apiVersion`;
  if (typeof metadata?.name !== 'string' || metadata.name === '') return `this ${kind} has no metadata.name`;
  return undefined;
}
