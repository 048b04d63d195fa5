import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

/** How the server is reached: `http://…`, `https://…`, or `unix:/path/of/the/socket`. */
export interface Transport {
  url: string;
  /** Certificates in PEM to trust instead of the system's, for https. */
  ca?: string;
}

export interface Sent {
  method: string;
  /** Path and query, below the address of the server. */
  target: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

/** One request; answers when the head of the answer is there. Rejects as Node does, or with the reason of `signal`. */
export function exchange({ url, ca }: Transport, { target, body, signal, ...init }: Sent): Promise<IncomingMessage> {
  const socketPath = url.startsWith('unix:') ? url.slice('unix:'.length) : undefined;
  const address = new URL((socketPath === undefined ? url : 'http://localhost') + target);
  const request = address.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => reject(signal.aborted ? (signal.reason as Error) : (error as Error));
    const sent = request(
      address,
      {
        ...init,
        signal,
        ...(socketPath === undefined ? {} : { socketPath }),
        ...(ca === undefined ? {} : { ca }),
        headers: { ...init.headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      },
      resolve,
    );
    sent.once('error', failed);
    sent.end(body);
  });
}

export async function readWhole(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
