import { CutoverError } from '../errors.ts';

/** How a server is reached, as options of the commands that start one. */
export interface ListenFlags {
  port: number;
  host: string;
  tlsCert?: string;
  tlsKey?: string;
  serverName?: string[];
}

/** @throws CutoverError Usage when only one of the two files is named */
export function tlsOf({ tlsCert, tlsKey }: ListenFlags): { tls?: { certFile: string; keyFile: string } } {
  if (tlsCert === undefined && tlsKey === undefined) return {};
  if (tlsCert === undefined || tlsKey === undefined)
    throw new CutoverError('Usage', 'TLS needs both files, --tls-cert and --tls-key');
  return { tls: { certFile: tlsCert, keyFile: tlsKey } };
}
