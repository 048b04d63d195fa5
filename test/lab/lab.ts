import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { down } from './cluster/down.ts';
import { inGroupAndNetns } from './cluster/fabric.ts';
import { bootNode, cutPower } from './cluster/node.ts';
import { isRunning, status } from './cluster/status.ts';
import { reset, up } from './cluster/up.ts';
import { build } from './build/build.ts';
import { requirements } from './build/requirements.ts';
import { resultLines } from './result-lines.ts';
import { readResults } from './results.ts';
import { kept, net, nodeNamed, running, source } from './settings.ts';

const usage = `usage: npm run lab -- COMMAND

  up                 build what is missing, then start the cluster
  status             what runs
  down               stop it, and leave nothing of it behind
  build              only build
  exec COMMAND …     run a command in the fabric, with kubectl and KUBECONFIG set (without one: a shell)
  test [NAME …]      run the scenarios, and print what they measured
  compare [WHICH]    Cutover and Calico's own migration Job side by side (or only: cutover, job)
  fidelity           measure the simulator in the same way, and write docs/fidelity.md; needs no lab
  cut NODE           cut the power of a node
  boot NODE          switch it on again`;

const say = (line: string): void => console.error(line);

async function main([command = '', ...rest]: string[]): Promise<number> {
  if (command === 'fidelity') {
    const { fidelity } = await import('./fidelity.ts');
    await fidelity(say);
    return 0;
  }
  if (!['up', 'status', 'down', 'build', 'exec', 'test', 'compare', 'cut', 'boot'].includes(command)) {
    say(usage);
    return 2;
  }
  const missing = await requirements(['up', 'build', 'test', 'compare'].includes(command));
  if (missing !== undefined) {
    say(`error: ${missing}`);
    return 1;
  }
  if (command === 'build') await build(say);
  if (command === 'up') {
    await up(say);
    console.log(
      `KUBECONFIG=${running.kubeconfig}\nSSH config: ${running.sshConfig}\nshell in the fabric: npm run lab -- exec`,
    );
  }
  if (command === 'status') for (const line of await status()) console.log(line);
  if (command === 'down') {
    await down();
    say('nothing of the lab is left');
  }
  if (command === 'cut') await cutPower(nodeNamed(rest[0] ?? ''));
  if (command === 'boot') await bootNode(nodeNamed(rest[0] ?? ''));
  if (command === 'exec') return inFabric(rest.length > 0 ? rest : [process.env['SHELL'] ?? 'bash']);
  if (command === 'test') return test(rest);
  if (command === 'compare') {
    await up(say);
    return inFabric([process.execPath, join(source.lab, 'compare', 'compare.ts'), ...rest], 'compare');
  }
  return 0;
}

/** The scenarios on a cluster that is up, or is brought up for them and stays up. */
async function test(files: string[]): Promise<number> {
  const startedAt = Date.now();
  await up(say);
  const vitest = join(source.repository, 'node_modules', '.bin', 'vitest');
  const scenarios = readdirSync(join(source.lab, 'scenarios'))
    .filter((name) => name.endsWith('.lab.ts'))
    .map((name) => name.replace('.lab.ts', ''));
  const wanted = files.length > 0 ? files : [...scenarios, 'conformance'];
  const unknown = wanted.filter((name) => name !== 'conformance' && !scenarios.includes(name));
  if (unknown.length > 0)
    throw new Error(`no scenario ${unknown.join(', ')}; there are ${[...scenarios, 'conformance'].join(', ')}`);
  const run = async (name: string): Promise<number> => {
    if (name !== 'conformance')
      return inFabric(
        [vitest, 'run', '--config', join(source.lab, 'vitest.config.ts'), `scenarios/${name}.lab.ts`],
        name,
      );
    if (!process.env['LAB_KEEP']) await reset(say);
    // The same files that judge the simulator's API.
    return inFabric([vitest, 'run', join(source.repository, 'test', 'conformance')]);
  };
  let failed = 0;
  for (const name of wanted) {
    const from = Date.now();
    let code = await run(name);
    if (code !== 0 && readResults(from).some(({ judged }) => judged?.starved)) {
      say(`the machine starved during ${name}: it is repeated, not believed`);
      code = await run(name);
    }
    if (code !== 0) failed++;
  }
  for (const line of resultLines(readResults(startedAt))) console.log(line);
  say(`${wanted.length - failed} of ${wanted.length} scenarios passed`);
  return failed > 0 ? 1 : 0;
}

/** A command between the nodes: it reaches the API server, every node, and nothing else. */
async function inFabric(command: string[], scenario = 'exec'): Promise<number> {
  if (!(await isRunning())) throw new Error('the lab is not up: npm run lab:up');
  const [shell, args] = inGroupAndNetns('tools', net.fabric, command);
  const { status: code } = spawnSync(shell, args, {
    stdio: 'inherit',
    cwd: source.repository,
    env: {
      ...process.env,
      KUBECONFIG: running.kubeconfig,
      KUBECTL: join(kept.programs, 'kubectl'),
      CONFORMANCE_KUBECONFIG: running.kubeconfig,
      LAB_SCENARIO: scenario,
      PATH: `${process.env['PATH']}:${kept.programs}`,
    },
  });
  return code ?? 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
