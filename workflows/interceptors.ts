import {
  ApplicationFailure,
  defaultPayloadConverter,
  log,
  workflowInfo,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptors,
  type WorkflowOutboundCallsInterceptor,
} from '@temporalio/workflow';
import { firstUnreadable, whyUnreadable } from '../src/temporal/unreadable.ts';
import { forgedResult, refuse } from './failures.ts';
import type { Act } from './messages.ts';

/**
 * Temporal is not trusted: whoever reaches it can send anything to a workflow. What was not made with the key of this installation
 * arrives as a marker, and what was made with it may be a copy of something that was sent before. Both are refused here, for every
 * workflow alike.
 */
export const interceptors = (): WorkflowInterceptors => {
  const seen = new Set<string>();
  return { inbound: [refuseForged(seen)], outbound: [number()] };
};

const headerName = 'cutover';

/** Workflows number what they signal, so that a copy is recognised. */
interface Numbered {
  from: string;
  number: number;
}

function number(): WorkflowOutboundCallsInterceptor {
  let last = 0;
  return {
    scheduleActivity: async (input, next) => {
      const result = await next(input);
      const why = firstUnreadable([result]);
      if (why === undefined) return result;
      throw ApplicationFailure.nonRetryable(`a result was not made by a worker of Cutover: ${why}`, forgedResult);
    },
    signalWorkflow: (input, next) => {
      const { workflowId, runId } = workflowInfo();
      const value: Numbered = { from: `${workflowId}:${runId}`, number: ++last };
      return next({ ...input, headers: { ...input.headers, [headerName]: defaultPayloadConverter.toPayload(value) } });
    },
  };
}

/** Older than the run that it reaches, by more than clocks run apart: it was meant for an earlier one. */
const clocksApartMs = 60_000;

function refuseForged(seen: Set<string>): WorkflowInboundCallsInterceptor {
  return {
    execute: async (input, next) => {
      const why = firstUnreadable(input.args);
      if (why !== undefined)
        throw ApplicationFailure.nonRetryable(
          `this workflow was not started by Cutover: its input cannot be read, ${why}`,
          'NotAllowed',
        );
      return next(input);
    },

    validateUpdate: (input, next) => {
      const why = firstUnreadable(input.args);
      if (why !== undefined) throw refuse('NotAllowed', `the request was not made by this Cutover: ${why}`);
      const [act] = input.args as [(Act & { request?: string }) | undefined];
      if (act?.request !== undefined && act.request !== input.updateId)
        throw refuse('NotAllowed', 'the request is a copy of an earlier one');
      if (act?.at !== undefined && Date.parse(act.at) < workflowInfo().runStartTime.getTime() - clocksApartMs)
        throw refuse('NotAllowed', 'the request is older than this run of the migration; send it again');
      next(input);
    },

    // Every signal comes from a workflow of ours: people's requests are updates.
    handleSignal: async (input, next) => {
      const why = firstUnreadable(input.args) ?? whyNotNew(input.headers[headerName], seen);
      if (why === undefined) return next(input);
      log.warn(`a signal ${input.signalName} was refused: ${why}`);
      return undefined;
    },
  };
}

function whyNotNew(
  payload: Parameters<typeof defaultPayloadConverter.fromPayload>[0] | undefined,
  seen: Set<string>,
): string | undefined {
  if (!payload) return 'it does not say which workflow sent it';
  const value = defaultPayloadConverter.fromPayload<Numbered>(payload);
  const why = whyUnreadable(value);
  if (why !== undefined) return why;
  const name = `${value.from}:${value.number}`;
  if (seen.has(name)) return 'it is a copy of an earlier one';
  seen.add(name);
  return undefined;
}
