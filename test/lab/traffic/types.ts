/** A stream of labprobe as it answers (modules/labprobe/snapshot.go). Times are RFC 3339, UTC. */
export interface Stream {
  name: string;
  kind: 'udp' | 'tcp' | 'connection' | 'http' | 'dns';
  to: string;
  startedAt: string;
  sent: number;
  ok: number;
  lost: number;
  wrong: number;
  maxMs: number;
  p50Ms: number;
  p99Ms: number;
  worstSendDelayMs: number;
  lastError: string;
  answers: Record<string, number>;
  gaps: { from: string; to: string; open?: boolean; lost: number; error: string }[];
  breaks: number;
  stalls: number;
}

/** What a stream runs between. A pod that is made anew on its node is another generation of it. */
export interface Path {
  /** `canary` runs beside the overlay: what it loses, the machine lost. */
  what: 'pair' | 'service' | 'dns' | 'node-port' | 'host-port' | 'canary';
  /** Node of the sender, '' outside of the cluster. */
  from: string;
  fromGeneration: number;
  /** Node of the receiver, '' for a Service. */
  to: string;
  toGeneration: number;
}

export interface Measured extends Path {
  stream: Stream;
}

/** When the pods of a node were taken away: what runs between them ends there, and says nothing from then on. */
export interface Cut {
  node: string;
  at: string;
}
