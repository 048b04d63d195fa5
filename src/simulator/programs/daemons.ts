import type { SimClock } from '../types.ts';

/** A server that somebody started in a container: no manifest tells of it. */
export interface Daemon {
  /** UID of the pod. */
  pod: string;
  /** Node whose own network it is in; `` in a pod network. */
  hostOf: string;
  program: string;
  protocol: 'tcp' | 'udp';
  port: number;
  /** Seconds after which it ends by itself. Real ones: it is a guard against what was forgotten, and no part of the model. */
  seconds: number;
}

export interface Daemons {
  start(daemon: Daemon): void;
  /** @returns how many there were */
  stop(pod: string, program: string): number;
  inPod(pod: string, port: number, protocol: string): Daemon | undefined;
  onNode(node: string, port: number, protocol: string): Daemon | undefined;
}

export function createDaemons(clock: SimClock): Daemons {
  let running: (Daemon & { endsAt: number })[] = [];
  const alive = () => (running = running.filter(({ endsAt }) => endsAt > clock.now()));
  return {
    start: (daemon) => void alive().push({ ...daemon, endsAt: clock.now() + daemon.seconds * 1000 }),
    stop(pod, program) {
      const kept = alive().filter((each) => each.pod !== pod || each.program !== program);
      const stopped = running.length - kept.length;
      running = kept;
      return stopped;
    },
    inPod: (pod, port, protocol) =>
      alive().find((each) => each.pod === pod && each.port === port && each.protocol === protocol),
    onNode: (node, port, protocol) =>
      alive().find((each) => each.hostOf === node && each.port === port && each.protocol === protocol),
  };
}
