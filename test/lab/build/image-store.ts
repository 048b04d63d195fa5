import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { commandOutput } from '../run.ts';
import { kept } from '../settings.ts';

const store = join(kept.folder, 'image-store');
const stampFile = join(kept.folder, '.image-store.stamp');

/** containerd's folder with every image of the lab unpacked. Nodes share its files, so that none of them imports anything. */
export async function imageStore(): Promise<string> {
  await readFile(stampFile);
  return store;
}

/** Imports the archives once, with the containerd that the nodes run. A store is there whole or not at all. */
export async function buildImageStore(archives: readonly string[], say: (line: string) => void): Promise<void> {
  const stamps = await Promise.all(
    archives.map((archive) => readFile(join(kept.images, `.${basename(archive, '.tar')}.stamp`), 'utf8')),
  );
  const wanted = createHash('sha256').update(stamps.join('\n')).digest('hex');
  if ((await readFile(stampFile, 'utf8').catch(() => '')) === wanted) return;
  say(`unpacking ${archives.length} images into a store that the nodes share`);
  await rm(stampFile, { force: true });
  await rm(store, { recursive: true, force: true });
  const scratch = await mkdtemp(join(kept.folder, '.store-'));
  try {
    await mkdir(join(scratch, 'root'));
    await writeFile(
      join(scratch, 'config.toml'),
      `version = 3
root = "${scratch}/root"
state = "${scratch}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "${scratch}/socket"
[ttrpc]
  address = "${scratch}/ttrpc"
`,
    );
    // In mount and PID namespaces of its own: whatever happens, nothing of it outlives the shell.
    await commandOutput('unshare', [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'sh',
      '-ec',
      `programs=$1 scratch=$2; shift 2
       "$programs/containerd" --config "$scratch/config.toml" >"$scratch/log" 2>&1 &
       server=$!
       tries=0
       until "$programs/ctr" --address "$scratch/socket" version >/dev/null 2>&1; do
         tries=$((tries + 1)); [ $tries -lt 100 ] || { tail -n 3 "$scratch/log" >&2; exit 1; }
         sleep 0.1
       done
       for archive; do "$programs/ctr" --address "$scratch/socket" -n k8s.io images import "$archive" >/dev/null; done
       kill $server
       wait $server || true`,
      'store',
      kept.programs,
      scratch,
      ...archives,
    ]);
    await rename(join(scratch, 'root'), store);
    await writeFile(stampFile, wanted);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
