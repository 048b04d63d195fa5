import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { payloadCodec, type PayloadKey } from './codec.ts';

export const failureConverterPath = fileURLToPath(new URL('failure-converter.ts', import.meta.url));

/** How clients and workers with these keys speak with Temporal. */
export const sealed = (keys: readonly PayloadKey[]): DataConverter => ({
  payloadCodecs: [payloadCodec(keys)],
  failureConverterPath,
});
