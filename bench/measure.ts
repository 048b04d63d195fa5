import { readFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';

/** One workflow as its history tells it. Times in ms. */
export interface Run {
  events: number;
  activities: number;
  /** From start to close. */
  wallMs: number;
  /** Sum over its activities of started to completed. */
  insideMs: number;
  startedAt: number;
  closedAt: number;
}

type Timestamp = { seconds?: { toString(): string } | null; nanos?: number | null } | null | undefined;
const ms = (time: Timestamp): number => Number(time?.seconds?.toString() ?? 0) * 1000 + (time?.nanos ?? 0) / 1e6;

/** Reads the history of a closed workflow. */
export async function readRun(client: Client, workflowId: string, runId?: string): Promise<Run> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const all = events ?? [];
  const started = new Map<string, number>();
  let insideMs = 0;
  let activities = 0;
  for (const event of all) {
    if (event.activityTaskStartedEventAttributes) started.set(String(event.eventId), ms(event.eventTime));
    const completed = event.activityTaskCompletedEventAttributes ?? event.activityTaskFailedEventAttributes;
    if (!completed) continue;
    activities++;
    insideMs += ms(event.eventTime) - (started.get(String(completed.startedEventId)) ?? ms(event.eventTime));
  }
  const startedAt = ms(all[0]?.eventTime);
  const closedAt = ms(all.at(-1)?.eventTime);
  return { events: all.length, activities, wallMs: closedAt - startedAt, insideMs, startedAt, closedAt };
}

export function percentile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? 0;
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

/** Of a process and its children, user and system, as proc(5) counts them in ticks of 10 ms. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const ended = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.reduce((sum, child) => sum + cpuSeconds(Number(child)), ended);
}

export const peakRssMb = (pid: number): number =>
  Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
