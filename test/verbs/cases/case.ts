import type { JsonObject } from '../../../src/json.ts';
import type { NodeState, VerbName } from '../../../src/node/types.ts';
import type { Given } from '../host.ts';

/** One row: a node, a verb, and what must be afterwards. Runs on the model and on the real programs alike. */
export interface VerbCase {
  verb: VerbName;
  /** Sentence about behaviour. */
  name: string;
  given: Given;
  input: JsonObject;
  /** Default 0. */
  exitCode?: number;
  /** Part of the answer. */
  answer: JsonObject;
  after?: {
    state?: Partial<NodeState>;
    /** Links by name: there or not. */
    links?: { [name: string]: boolean };
    /** Path -> content, or null when it must not be there, or true when any content will do. */
    files?: { [path: string]: string | null | true };
    /** Exactly these rules are left. */
    rules?: string[];
    /** Exactly these. */
    conntrack?: string[];
    /** No route of this protocol is left. */
    noRoutesOf?: string[];
  };
  /** Tools that the real host must have beyond the usual. */
  tools?: string[];
  /** Only real hosts have what this is about. */
  realOnly?: boolean;
}
