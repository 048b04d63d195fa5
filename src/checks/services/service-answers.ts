import { probeName } from '../../probe/manifests.ts';
import type { ProbePod } from '../../probe/pods.ts';
import type { Asker } from '../asker.ts';

export type ServiceAnswers = {
  asked: number;
  /** Pods that answered, each once. */
  answered: string[];
  errors: string[];
};

/** Asks a Service of the probe pods `times` times; an answer by anybody else is an error. */
export async function serviceAnswers(
  context: Asker,
  from: ProbePod,
  url: string,
  times: number,
): Promise<ServiceAnswers> {
  const answers = await Promise.all(Array.from({ length: times }, () => context.curl(from, url)));
  const known = (name: string) => name.startsWith(`${probeName}-`);
  return {
    asked: times,
    answered: [...new Set(answers.filter(({ ok, body }) => ok && known(body)).map(({ body }) => body))],
    errors: answers.flatMap(({ ok, body, error }) => {
      if (!ok) return [error];
      return known(body) ? [] : [`${body || 'nobody'} answered, which is no probe pod`];
    }),
  };
}
