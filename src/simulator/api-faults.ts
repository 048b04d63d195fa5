import type { ApiFault, FaultRequest } from './api/api-server-types.ts';
import type { FaultName, FaultRegistry } from './scenario/faults.ts';

const kinds: { name: FaultName; answer: ApiFault; concerns: (request: FaultRequest) => boolean }[] = [
  { name: 'api-429', answer: { status: 429, retryAfter: 1 }, concerns: () => true },
  { name: 'api-500', answer: { status: 500 }, concerns: () => true },
  { name: 'api-410', answer: { status: 410, inStream: true }, concerns: ({ verb }) => verb === 'watch' },
];

/** The faults `api-429`, `api-500` and `api-410` as what the API server asks before it answers. */
export const apiFaults = (faults: FaultRegistry) => ({
  next(request: FaultRequest): ApiFault | undefined {
    for (const { name, answer, concerns } of kinds) {
      const fault = faults.peek(name);
      if (fault === undefined || !concerns(request)) continue;
      if (!mentions(request.method, fault['method']) || !mentions(request.path, fault['path'])) continue;
      faults.take(name);
      return answer;
    }
    return undefined;
  },
});

const mentions = (text: string, part: unknown) => typeof part !== 'string' || text.includes(part);
