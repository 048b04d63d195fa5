/**
 * A capture: bandwidth, latency and bytes on the wire of one pair of nodes, measured before and after a stage. Plain JSON: it
 * travels as the evidence of its step. Every figure has at least three runs, because runs on one machine scatter by more than
 * 5 % (§3 of the migration facts).
 */

/** Where traffic goes. `host` is the control: the nodes' own network, which no CNI touches (as k8s-netperf does it). */
export const capturePaths = ['same-node', 'across-nodes', 'cluster-ip', 'host'] as const;
export type CapturePath = (typeof capturePaths)[number];

export const captureMetrics = ['throughput', 'latency-p50', 'latency-p99', 'connect-p50'] as const;
export type CaptureMetric = (typeof captureMetrics)[number];

/** What people read, and whether more is better. */
export const metricTable: {
  readonly [metric in CaptureMetric]: { title: string; unit: 'Mbit/s' | 'µs'; moreIsBetter: boolean };
} = {
  throughput: { title: 'TCP throughput', unit: 'Mbit/s', moreIsBetter: true },
  'latency-p50': { title: 'Latency, median', unit: 'µs', moreIsBetter: false },
  'latency-p99': { title: 'Latency, 99th percentile', unit: 'µs', moreIsBetter: false },
  'connect-p50': { title: 'Connection set-up, median', unit: 'µs', moreIsBetter: false },
};

export const pathTitles: { readonly [path in CapturePath]: string } = {
  'same-node': 'pod to pod on one node',
  'across-nodes': 'pod to pod across nodes',
  'cluster-ip': 'pod to ClusterIP',
  host: 'host to host (control)',
};

/** All runs of one figure, and what they scatter between. */
export type Spread = { runs: number[]; min: number; median: number; max: number };

export type Measurement = Spread & { metric: CaptureMetric; path: CapturePath; unit: 'Mbit/s' | 'µs' };

/** What `sar -n DEV` prints of a device over an interval: packets and kB (1024 bytes) a second. */
export type Rates = { rxpck: number; txpck: number; rxkB: number; txkB: number };

export type DeviceRates = {
  node: string;
  device: string;
  role: 'underlay' | 'tunnel';
  /** While the capture sent nothing: the cluster's own traffic. */
  quiet: Rates;
  /** While it measured throughput and latency. */
  loaded: Rates;
};

/** Bytes that each packet between pods of two nodes has on the underlay beyond its own frame. */
export type Encapsulation = Spread & {
  /** Frame of one packet as the pod sent it: Ethernet, IP, UDP and payload, bytes. */
  frameBytes: number;
  /** Packets sent, in all runs. */
  packets: number;
  /** Of those, how many the tunnel devices of the sending node counted; 0 where pods' packets travel as they are. */
  tunnelPackets: number;
};

export type Capture = {
  when: 'before' | 'after' | 'now';
  /** ISO 8601, UTC, when it ended. */
  at: string;
  /** Who sent, and who answered. */
  nodes: { from: string; to: string };
  settings: { runs: number; seconds: number };
  measurements: Measurement[];
  encapsulation: Encapsulation | null;
  devices: DeviceRates[];
  /** What could not be measured, one sentence each. */
  failures: string[];
};
