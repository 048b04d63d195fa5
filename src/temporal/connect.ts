import { Client, Connection } from '@temporalio/client';
import { CutoverError } from '../errors.ts';

export interface TemporalAddress {
  /** `host:port`. */
  address: string;
  namespace: string;
}

export const temporalAddressFromEnv = (env: NodeJS.ProcessEnv = process.env): TemporalAddress => ({
  address: env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233',
  namespace: env['TEMPORAL_NAMESPACE'] ?? 'default',
});

/** @throws CutoverError TemporalUnreachable */
export async function connect(
  { address, namespace }: TemporalAddress,
  connectTimeoutMs = 10_000,
): Promise<{ client: Client; connection: Connection }> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
    return { client: new Client({ connection, namespace }), connection };
  } catch (cause) {
    throw new CutoverError('TemporalUnreachable', `no Temporal server answers at ${address}`, { cause });
  }
}

/** The same connection under a person's name: Temporal's own history then shows who acted. Makes no network call. */
export const clientAs = (connection: Connection, namespace: string, actor: string): Client =>
  new Client({ connection, namespace, identity: `person:${actor}` });
