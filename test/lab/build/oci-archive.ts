import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { commandOutput } from '../run.ts';

export interface ImageRecipe {
  /** As pods name it: `docker.io/calico/node:v3.28.5`. */
  name: string;
  /** Further names of the same image. */
  alsoNamed?: string[];
  /** Tar files, lowest first. One that several images share is stored once by the runtime. */
  layers: string[];
  entrypoint?: string[];
  command?: string[];
  environment?: string[];
}

interface Blob {
  mediaType: string;
  digest: string;
  size: number;
}

const searchPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin';

/** Writes an image as an OCI archive (image-spec v1.1, image-layout.md), which `ctr images import` reads. */
export async function writeOciArchive(target: string, image: ImageRecipe): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  // Beside the target, so that layers are linked and not copied.
  const layout = await mkdtemp(join(dirname(target), '.layout-'));
  try {
    const blobs = join(layout, 'blobs', 'sha256');
    await mkdir(blobs, { recursive: true });
    const writeJson = async (mediaType: string, value: unknown): Promise<Blob> => {
      const content = JSON.stringify(value);
      const hash = createHash('sha256').update(content).digest('hex');
      await writeFile(join(blobs, hash), content);
      return { mediaType, digest: `sha256:${hash}`, size: Buffer.byteLength(content) };
    };

    const layers: Blob[] = [];
    for (const file of image.layers) {
      const hash = await sha256Of(file);
      await link(file, join(blobs, hash));
      layers.push({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: `sha256:${hash}`,
        size: (await stat(file)).size,
      });
    }
    const config = await writeJson('application/vnd.oci.image.config.v1+json', {
      architecture: 'amd64',
      os: 'linux',
      config: {
        Env: [searchPath, ...(image.environment ?? [])],
        ...(image.entrypoint ? { Entrypoint: image.entrypoint } : {}),
        ...(image.command ? { Cmd: image.command } : {}),
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    });
    const manifestType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = await writeJson(manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers });
    await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    await writeFile(
      join(layout, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [image.name, ...(image.alsoNamed ?? [])].map((name) => ({
          ...manifest,
          platform: { architecture: 'amd64', os: 'linux' },
          annotations: { 'io.containerd.image.name': name },
        })),
      }),
    );
    await commandOutput('tar', ['-C', layout, '-cf', `${target}.new`, 'oci-layout', 'index.json', 'blobs']);
    await rename(`${target}.new`, target);
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}

/** A folder as a tar file, the same bytes for the same content. */
export async function writeLayer(folder: string, target: string): Promise<void> {
  await commandOutput('tar', [
    '--sort=name',
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '--mtime=@0',
    '-C',
    folder,
    '-cf',
    `${target}.new`,
    '.',
  ]);
  await rename(`${target}.new`, target);
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** A folder that is gone when `work` has ended. */
export async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cutover-lab-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
