import { Writable } from 'node:stream';
import { Exec, type V1Status } from '@kubernetes/client-node';
import { CutoverError } from '../errors.ts';
import type { LoadedKubeconfig } from './kubeconfig.ts';

/** What a command may print before the rest is dropped, bytes. */
const maxOutput = 1_000_000;

/**
 * Runs a command in a container over a WebSocket.
 *
 * @throws CutoverError KubernetesRefused when it cannot be started, StepTimedOut; the signal's reason when it aborts
 */
export function execInPod(
  { config }: LoadedKubeconfig,
  pod: { namespace: string; name: string; container?: string },
  command: string[],
  { timeoutMs = 60_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  const what = `${command[0]} in ${pod.namespace}/${pod.name}`;
  return new Promise((resolve, reject) => {
    const stdout = collector();
    const stderr = collector();
    let close = (): void => {};
    let settled = false;
    const settle = (run: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      close();
      run();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const refuse = (why: string): void => fail(new CutoverError('KubernetesRefused', `${what} cannot be run: ${why}`));
    const onAbort = (): void => fail(signal!.reason as Error);
    const timer = setTimeout(
      () => fail(new CutoverError('StepTimedOut', `${what} took longer than ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort);

    const onStatus = (status: V1Status): void => {
      const exitCode = exitCodeOf(status);
      if (exitCode === undefined) return refuse(status.message ?? status.reason ?? 'no reason given');
      settle(() => resolve({ stdout: stdout.text(), stderr: stderr.text(), exitCode }));
    };
    new Exec(config)
      .exec(pod.namespace, pod.name, pod.container ?? '', command, stdout.stream, stderr.stream, null, false, onStatus)
      .then(
        (socket) => {
          close = () => socket.close();
          if (settled) return close();
          socket.addEventListener('close', () => refuse('the connection was closed before the command ended'));
          socket.addEventListener('error', ({ message }) => refuse(message));
        },
        (error: { message?: string }) => refuse(error.message ?? 'the server does not say why'),
      );
  });
}

/** 0, what the command left with, or undefined when it never ran. */
function exitCodeOf(status: V1Status): number | undefined {
  if (status.status === 'Success') return 0;
  if (status.reason !== 'NonZeroExitCode') return undefined;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  return cause?.message === undefined ? undefined : Number(cause.message);
}

function collector(): { stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      if (size < maxOutput) chunks.push(chunk);
      size += chunk.length;
      next();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).subarray(0, maxOutput).toString('utf8') };
}
