import { parseDocument } from 'yaml';
import { z } from 'zod';
import { CutoverError } from '../errors.ts';
import type { DeclaredFlow } from './types.ts';

const end = z.string().min(1);

/** A flow as the compiled plan and the API carry it. */
export const declaredFlow = z.strictObject({
  from: end.describe('A workload or pod (`shop/web`), all pods of a namespace (`shop/*`), `node:NAME`, or an address'),
  to: end.describe('The same; `shop/api` is the Service of that name when it has this port'),
  port: z.number().int().min(0).max(65535).describe('0 for ICMP'),
  protocol: z.enum(['TCP', 'UDP', 'SCTP', 'ICMP']).default('TCP'),
});

const flowFile = z.strictObject({ flows: z.array(declaredFlow).max(20_000) });

/**
 * Reads a file of flows: `flows:` with a list of `{ from, to, port, protocol }`.
 * @throws CutoverError PlanInvalid: one sentence with the place
 */
export function parseFlowFile(text: string, file: string): DeclaredFlow[] {
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' });
  const [broken] = document.errors;
  if (broken !== undefined) throw unusable(`${file} is not valid YAML: ${broken.message}`);
  const result = flowFile.safeParse(document.toJS());
  if (result.success) return result.data.flows;
  const issue = result.error.issues[0]!;
  const [list, index, ...field] = issue.path;
  const place =
    list === 'flows' && typeof index === 'number'
      ? `flow ${index + 1}${field.length > 0 ? `, ${field.join('.')}` : ''}`
      : issue.path.join('.') || 'the file';
  throw unusable(`${file}: ${place}: ${issue.message}`);
}

const unusable = (message: string): CutoverError =>
  new CutoverError('PlanInvalid', message, {
    remedy: 'write `flows:` and a list of `{ from: shop/web, to: shop/api, port: 80, protocol: TCP }`',
  });
