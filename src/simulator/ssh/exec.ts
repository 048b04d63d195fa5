import type { ServerChannel } from 'ssh2';
import type { JsonObject } from '../../json.ts';
import { isVerbName, parseVerbCommand, verbProgram } from '../../node/verb-program.ts';
import type { Fault, SimNode } from '../types.ts';
import { runLine } from './shell/commands.ts';
import type { ServeContext } from './start-ssh-servers.ts';
import { runVerb } from './verbs/run-verb.ts';
import type { VerbEnd } from './verbs/run-verb.ts';

interface ExecRequest extends ServeContext {
  node: SimNode;
  command: string;
  channel: ServerChannel;
}

/** Answers an exec request: a verb runs its model, anything else is a command line of the small shell. */
export function runExec(request: ExecRequest): void {
  const { node, command, channel } = request;
  channel.on('error', () => {}); // the client may close while the answer is on its way
  answer(request).then(
    ({ stdout, stderr, exitCode }) => finish(channel, stdout, stderr, exitCode),
    (error: unknown) => {
      if (error === connectionCut) return;
      finish(
        channel,
        '',
        `the simulator failed to run ${JSON.stringify(command.slice(0, 60))} on ${node.name}: ${String(error)}\n`,
        1,
      );
    },
  );
}

/** Thrown when the fault ssh-lost has cut the connection: nobody is left to answer. */
const connectionCut = new Error('connection cut');

interface Answer {
  stdout: string;
  stderr: string;
  exitCode: number;
}

async function answer(request: ExecRequest): Promise<Answer> {
  const { node, command, channel } = request;
  const call = parseVerbCommand(command);
  if (call === undefined) return runLine(node, command);
  const program = await readAll(channel);
  const refused = refusal(call.verb, program);
  const end = refused ?? (await runWithFaults(request, call.verb, call.input as JsonObject));
  return { stdout: `${JSON.stringify(end.answer)}\n`, stderr: '', exitCode: end.exitCode };
}

/** A model speaks only for the very program that it was written after: another one must not pass as simulated. */
function refusal(verb: string, program: string): VerbEnd | undefined {
  if (!isVerbName(verb)) return undefined;
  if (program === verbProgram(verb)) return undefined;
  const message = `the program on standard input is not the verb ${verb} of this checkout: the simulator cannot say what it would do`;
  return { exitCode: 1, answer: { error: 'ProgramUnknown', message } };
}

async function runWithFaults(request: ExecRequest, verb: string, input: JsonObject): Promise<VerbEnd> {
  const { node, clock, cut } = request;
  const lost = takeLost(request, verb);
  if (lost === undefined) return runVerb(node, clock, verb, input);
  if (lost['phase'] !== 'before') {
    let effects = 0;
    const half = () => {
      effects += 1;
      if (lost['phase'] === 'middle' && effects === 2) throw connectionCut;
    };
    await runVerb(node, clock, verb, input, half).catch((error: unknown) => {
      if (error !== connectionCut) throw error;
    });
  }
  cut();
  throw connectionCut;
}

/** The fault ssh-lost, when it is meant for this run: the `nth` of its `verb` since the fault was switched on. */
function takeLost({ faults, node, runs }: ExecRequest, verb: string): Fault | undefined {
  const fault = faults.peek('ssh-lost', node.name);
  if (fault === undefined || (fault['verb'] !== undefined && fault['verb'] !== verb)) return undefined;
  const { times, ...parameters } = fault;
  const key = JSON.stringify(parameters);
  const run = (runs.get(key) ?? 0) + 1;
  runs.set(key, run);
  const nth = Number(fault['nth'] ?? 1);
  // Without `times` it is that one run; with it, that run and the following ones until it has worn off.
  if (times === undefined ? run !== nth : run < nth) return undefined;
  return faults.take('ssh-lost', node.name);
}

async function readAll(channel: ServerChannel): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of channel) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function finish(channel: ServerChannel, stdout: string, stderr: string, exitCode: number): void {
  if (!channel.writable) return;
  if (stderr !== '') channel.stderr.write(stderr);
  channel.write(stdout, () => {
    channel.exit(exitCode);
    channel.end();
  });
}
