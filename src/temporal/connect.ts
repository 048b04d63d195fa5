import { Client, Connection } from '@temporalio/client';
import type { PayloadKey } from './codec.ts';
import { sealed } from './data-converter.ts';
import { CutoverError } from '../errors.ts';

export interface TemporalAddress {
  /** `host:port`. */
  address: string;
  namespace: string;
  /** Of this installation. Without them everything is plain, and plain is believed: for tests only. */
  keys?: readonly PayloadKey[];
}

export const temporalAddressFromEnv = (env: NodeJS.ProcessEnv = process.env): Omit<TemporalAddress, 'keys'> => ({
  address: env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233',
  namespace: env['TEMPORAL_NAMESPACE'] ?? 'default',
});

/** @throws CutoverError TemporalUnreachable */
export async function connect(
  { address, namespace, keys }: TemporalAddress,
  connectTimeoutMs = 10_000,
): Promise<{ client: Client; connection: Connection }> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
    return { client: new Client({ connection, namespace, ...dataConverterOf(keys) }), connection };
  } catch (cause) {
    throw new CutoverError('TemporalUnreachable', `no Temporal server answers at ${address}`, { cause });
  }
}

/** The same connection under a person's name: Temporal's own history then shows who acted. Makes no network call. */
export const clientAs = (
  connection: Connection,
  { namespace, keys }: Pick<TemporalAddress, 'namespace' | 'keys'>,
  actor: string,
): Client => new Client({ connection, namespace, identity: `person:${actor}`, ...dataConverterOf(keys) });

const dataConverterOf = (keys: TemporalAddress['keys']) => (keys ? { dataConverter: sealed(keys) } : {});
