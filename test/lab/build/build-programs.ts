import { createHash } from 'node:crypto';
import { cp, link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandOutput, isFile, runLogged } from '../run.ts';
import { kept, running, source } from '../settings.ts';
import { programs, type Program } from './programs.ts';

/**
 * Builds what is missing, one program at a time: Go uses every core by itself. A program is built again only when its
 * module, its flags or Go changed. An interrupted build leaves no half program, and Go's own cache goes on where it was.
 *
 * @throws Error with the last lines of what Go said
 */
export async function buildPrograms(say: (line: string) => void): Promise<void> {
  await mkdir(kept.programs, { recursive: true });
  const go = await goEnvironment();
  for (const program of programs) {
    const stamp = join(kept.programs, `.${program.name}.stamp`);
    const wanted = await recipeOf(program, go.version);
    const done = (await isFile(join(kept.programs, program.name))) && (await contentOf(stamp)) === wanted;
    if (done) continue;
    const started = Date.now();
    await build(program, go.environment, say);
    await writeFile(stamp, wanted);
    say(`built ${program.name} in ${Math.round((Date.now() - started) / 1000)} s`);
  }
}

async function build(program: Program, environment: NodeJS.ProcessEnv, say: (line: string) => void): Promise<void> {
  const target = join(kept.programs, program.name);
  // A copy, because Go may want to write into the folder of a module, and the checkout stays as it is.
  const folder = join(kept.folder, 'build', program.module);
  await rm(folder, { recursive: true, force: true });
  await cp(join(source.modules, program.module), folder, { recursive: true });
  await runLogged(
    'go',
    ['build', '-trimpath', '-buildvcs=false', ...flagsOf(program), '-o', `${target}.new`, program.package],
    {
      cwd: folder,
      env: { ...environment, CGO_ENABLED: program.cgo ? '1' : '0' },
      log: join(running.logs, `build-${program.name}.log`),
      title: `building ${program.name}`,
      say,
    },
  );
  await rename(`${target}.new`, target);
  for (const name of program.alsoNamed ?? []) {
    await rm(join(kept.programs, name), { force: true });
    await link(target, join(kept.programs, name));
  }
}

function flagsOf({ set = {}, tags = [] }: Program): string[] {
  const variables = Object.entries(set).map(([name, value]) => `-X ${name}=${value}`);
  return ['-ldflags', ['-s', '-w', ...variables].join(' '), ...(tags.length > 0 ? ['-tags', tags.join(',')] : [])];
}

/** What a program is made of, as one digest. */
async function recipeOf(program: Program, goVersion: string): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([goVersion, program]));
  const folder = join(source.modules, program.module);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.toSorted()) hash.update(file.slice(folder.length)).update(await readFile(file));
  return hash.digest('hex');
}

async function goEnvironment(): Promise<{ version: string; environment: NodeJS.ProcessEnv }> {
  const [version = '', proxy = ''] = (await commandOutput('go', ['env', 'GOVERSION', 'GOPROXY'])).split('\n');
  // Without `direct`: where the proxy lacks a version, Go would look for a repository on the network.
  const proxies = proxy.split(/[,|]/).filter((each) => each !== 'direct');
  return { version, environment: { ...process.env, GOPROXY: proxies.join(','), GOTOOLCHAIN: 'local', GOFLAGS: '' } };
}

const contentOf = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);
