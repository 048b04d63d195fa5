import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

/** Its standard input ends when its parent does, however that ends; then it ends the server. `read` needs no process. */
const keeper = `
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(while read -r _; do :; done; kill -TERM "$server" 2>/dev/null) <&3 >/dev/null 2>&1 3<&- &
watch=$!
exec 3<&-
trap 'kill -TERM "$server" 2>/dev/null' TERM INT HUP
wait "$server"
code=$?
while kill -0 "$server" 2>/dev/null; do wait "$server"; code=$?; done
kill "$watch" 2>/dev/null
exit "$code"
`;

/**
 * Starts a server that ends with this process, even when this process is killed, and that ^C in a terminal does not
 * reach: it is in a process group of its own, led by the child that is returned, so `-pid` signals all of it.
 * Exits with the server's code; 128 + the number of the signal that ended it.
 */
export function keptChild(path: string, args: readonly string[]): ChildProcessByStdio<Writable, null, Readable> {
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', path, ...args], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  // Nobody writes into it: it may break when the child goes.
  child.stdin.on('error', () => undefined);
  return child;
}
