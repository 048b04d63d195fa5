import type { Logger } from 'pino';
import type { OutsideKeeper } from '../store/outside.ts';
import type { Store } from '../store/types.ts';
import type { MigrationControl } from './migrations.ts';
import type { Planner } from './planning.ts';

/** What the server works with. Tests give doubles for `control` and `planner`. */
export interface ServerDependencies {
  store: Store;
  control: MigrationControl;
  planner: Planner;
  /** A request that does not know it is refused. */
  token: string;
  /** DNS names under which clients reach the server, besides localhost and addresses. */
  names?: readonly string[];
  version: string;
  log?: Logger;
  /** Keeps heads of the record outside, when CUTOVER_ANCHOR says where. */
  outside?: Pick<OutsideKeeper, 'state'>;
}

/** What the middleware knows about one request. */
export interface RequestVariables {
  /** The acting person; `` in reads by nobody in particular. */
  actor: string;
  /** Makes a repeat harmless: from the header `x-request-id`, or made here. */
  request: string;
  /** Of a request that was signed, once it is known to be right. */
  signature?: string;
  /** SHA-256 over actor, act and body: the same id with another one is another request. */
  fingerprint?: string;
  /** Set as soon as they are known, for the record of a refusal. */
  migration?: string;
  planHash?: string;
  reason?: string;
  /** The request is a launch: refused, its migration never was. */
  launch?: boolean;
}

export type ServerEnv = { Variables: RequestVariables };
