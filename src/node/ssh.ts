import type { ClientChannel } from 'ssh2';
import type { NodeSSH } from 'node-ssh';
import { CutoverError } from '../errors.ts';
import type { CompiledPlan } from '../plan/types.ts';
import { connect } from './ssh-connection.ts';
import type { SshConnection } from './ssh-connection.ts';
import { readSshHosts } from './ssh-hosts.ts';
import type { NodeAccess, RunOptions, VerbInput, VerbName, VerbOutput } from './types.ts';
import { verbCommand, verbProgram } from './verb-program.ts';
import { readAnswer } from './verb-answer.ts';

/** What is told about connections, never about keys. */
export interface SshLog {
  debug(details: object, message: string): void;
}

const IDLE_MS = 10_000;
const silent: SshLog = { debug() {} };

interface Pooled {
  connection: Promise<SshConnection>;
  /** Once it stands. */
  ssh?: NodeSSH;
  users: number;
  idle?: NodeJS.Timeout;
}

/**
 * Runs verbs over SSH: the program goes in on standard input of `sh -s`, so nothing is left on the node. One connection
 * a node, dialled when it is needed, dialled again after a loss, closed ten seconds after its last use. Host keys are
 * always checked against known_hosts.
 */
export function createSshAccess(options: CompiledPlan['access']['ssh'], log: SshLog = silent): NodeAccess {
  const hosts = readSshHosts(options);
  const pool = new Map<string, Pooled>();
  let closed = false;

  function dial(node: string): Pooled {
    const pooled: Pooled = { users: 0, connection: connect(node, hosts(node), options.connectTimeoutSeconds * 1000) };
    pool.set(node, pooled);
    pooled.connection.then(
      ({ ssh, hostKey }) => {
        log.debug({ node, hostKey }, 'connected');
        pooled.ssh = ssh;
        ssh.connection?.on('close', () => {
          log.debug({ node }, 'connection closed');
          forget(node, pooled);
        });
        if (closed) ssh.dispose();
      },
      () => forget(node, pooled),
    );
    return pooled;
  }

  function forget(node: string, pooled: Pooled): void {
    clearTimeout(pooled.idle);
    if (pool.get(node) === pooled) pool.delete(node);
  }

  /** The pooled connection, unless it has ended. */
  function living(node: string): Pooled | undefined {
    const pooled = pool.get(node);
    if (pooled?.ssh === undefined || pooled.ssh.isConnected()) return pooled;
    forget(node, pooled);
    return undefined;
  }

  async function use<T>(node: string, work: (connection: SshConnection) => Promise<T>): Promise<T> {
    if (closed) throw new CutoverError('NodeUnreachable', `the SSH access is closed: ${node} is not dialled any more`);
    const pooled = living(node) ?? dial(node);
    pooled.users += 1;
    clearTimeout(pooled.idle);
    try {
      return await work(await pooled.connection);
    } catch (error) {
      if (error instanceof NotStarted) forget(node, pooled);
      throw error;
    } finally {
      pooled.users -= 1;
      if (pooled.users === 0 && pool.get(node) === pooled) {
        pooled.idle = setTimeout(() => {
          forget(node, pooled);
          void pooled.connection.then(({ ssh }) => ssh.dispose());
        }, IDLE_MS).unref();
      }
    }
  }

  async function run<V extends VerbName>(
    node: string,
    verb: V,
    input: VerbInput<V>,
    { token, timeoutMs, signal, installation = '', takeOver = false }: RunOptions,
  ): Promise<VerbOutput<V>> {
    const command = verbCommand(verb, { ...input, token, installation, takeOver, now: Date.now() }, options);
    const place = { node, verb };
    const attempt = () =>
      limited({ ...place, timeoutMs, signal }, (course) =>
        use(node, ({ ssh }) => execute(ssh, command, verbProgram(verb), place, course)),
      );
    // A pooled connection may have died since its last use. Then the verb never began, and one new dial is no second run.
    const result = await attempt()
      .catch((error: unknown) => {
        if (!(error instanceof NotStarted)) throw error;
        return attempt();
      })
      .catch((error: unknown) => {
        throw error instanceof NotStarted ? error.reason : error;
      });
    return readAnswer(place, result) as VerbOutput<V>;
  }

  return {
    run,
    hostKey: (node) => use(node, async ({ hostKey }) => hostKey),
    async close() {
      closed = true;
      const open = [...pool.values()];
      pool.clear();
      for (const { idle, connection } of open) {
        clearTimeout(idle);
        await connection.then(({ ssh }) => ssh.dispose()).catch(() => {});
      }
    },
  };
}

/** The channel could not be opened: nothing ran on the node. */
class NotStarted extends Error {
  readonly reason: CutoverError;
  constructor(reason: CutoverError) {
    super(reason.message);
    this.reason = reason;
  }
}

interface Place {
  node: string;
  verb: string;
}

export interface VerbResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** One run, as the time-out and the signal see it. */
interface Course {
  ended: boolean;
  /** Closes the running channel. */
  close(): void;
}

/**
 * Ends the work at the time-out or when the signal aborts; the channel is closed then. Whether the node stops at once is
 * its own business: the next attempt's token fences it.
 */
async function limited<T>(
  { node, verb, timeoutMs, signal }: Place & { timeoutMs: number; signal: AbortSignal | undefined },
  work: (course: Course) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const course: Course = { ended: false, close() {} };
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = (reason: unknown) => {
    course.ended = true;
    course.close();
    reject(reason);
  };
  const late = `${verb} on ${node} did not end within ${timeoutMs / 1000} s`;
  const timer = setTimeout(
    () => stop(new CutoverError('StepTimedOut', late, { details: { node, verb, timeoutMs } })),
    timeoutMs,
  );
  const onAbort = () => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const done = work(course);
  done.catch(() => {}); // when it lost the race
  try {
    return await Promise.race([done, stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function execute(
  ssh: NodeSSH,
  command: string,
  program: string,
  { node, verb }: Place,
  course: Course,
): Promise<VerbResult> {
  if (course.ended) throw new Error('too late to begin');
  let channel: ClientChannel | undefined;
  const lost = (cause?: unknown) =>
    new CutoverError(
      'NodeUnreachable',
      `the SSH connection to ${node} was lost while ${verb} ran: it may have been done or not`,
      {
        remedy:
          'nothing at first: the verb looks before it acts, so it is simply run again; check the node when it goes on',
        details: { node, verb },
        ...(cause === undefined ? {} : { cause }),
      },
    );
  const result = await ssh
    .execCommand(command, {
      stdin: program,
      noTrim: true,
      onChannel(opened) {
        channel = opened;
        opened.on('error', () => {}); // a lost connection also ends in `close`
        course.close = () => opened.close();
        if (course.ended) opened.close();
      },
    })
    .catch((cause: unknown) => {
      throw channel === undefined ? new NotStarted(lost(cause)) : lost(cause);
    });
  if (result.code === null) throw lost();
  return { stdout: result.stdout, stderr: result.stderr, exitCode: result.code };
}
