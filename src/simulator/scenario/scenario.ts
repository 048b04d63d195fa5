import type { z } from 'zod';

import type { Fault } from '../types.ts';
import type { scenarioSchema } from './schema.ts';

type Parsed = z.output<typeof scenarioSchema>;

export interface ScenarioNode {
  name: string;
  /** Model address only; nothing binds it. */
  ip: string;
  zone: string;
  controlPlane: boolean;
  /** A /24 of the pod network. */
  podCIDR: string;
  cordoned: boolean;
  labels: { [key: string]: string };
  taints: { key: string; value: string; effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute' }[];
  /** Files of /etc/cni/net.d that another CNI left: name -> content. */
  leftoverConfs: { [name: string]: string };
  hostKeyChanged: boolean;
  kernel: string;
}

/** A scenario with every default filled in and its nodes spelled out. Durations are `[shortest, longest]` simulated ms. */
export interface Scenario extends Omit<Parsed, 'nodes' | 'faults'> {
  nodes: ScenarioNode[];
  faults: Fault[];
}

export type ScenarioTiming = Parsed['timing'];
export type ScenarioWorkload = Parsed['workloads'][number];
export type ScenarioStream = Parsed['traffic'][number];
export type ScenarioService = Parsed['services'][number];
