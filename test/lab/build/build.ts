import { mkdir } from 'node:fs/promises';
import { kept, running } from '../settings.ts';
import { buildPrograms } from './build-programs.ts';
import { buildTrees, installHostPackages } from './debian.ts';
import { buildImageStore } from './image-store.ts';
import { buildImages } from './images.ts';

/** Builds what is missing of the lab. Interrupted, it goes on where it was. */
export async function build(say: (line: string) => void): Promise<void> {
  await mkdir(kept.folder, { recursive: true });
  await mkdir(running.logs, { recursive: true });
  await installHostPackages(say);
  await buildTrees(say);
  await buildPrograms(say);
  await buildImageStore(await buildImages(say), say);
}
