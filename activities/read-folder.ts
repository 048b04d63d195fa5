import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { isManifest, type BundleFile } from '../src/plan/bundle.ts';

/** The manifests of a folder at any depth, or the one file that `path` names. */
export async function readFolder(path: string): Promise<BundleFile[]> {
  if ((await stat(path)).isFile()) return [{ name: basename(path), content: await readFile(path, 'utf8') }];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(path, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter(isManifest);
  return Promise.all(names.map(async (name) => ({ name, content: await readFile(join(path, name), 'utf8') })));
}
