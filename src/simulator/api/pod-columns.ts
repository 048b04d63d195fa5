import type { KubernetesObject } from '../types.ts';
import { humanDuration } from './human-duration.ts';
import type { Any } from './json-values.ts';
import type { Column } from './table-columns.ts';

interface PodSummary {
  ready: number;
  total: number;
  reason: string;
  restarts: number;
  lastRestart: number;
}

/** How kubectl comes to STATUS, READY and RESTARTS (printPod in pkg/printers/internalversion/printers.go). */
export function podSummary({ metadata, spec, status = {} }: KubernetesObject): PodSummary {
  const summary: PodSummary = {
    ready: 0,
    total: spec?.containers?.length ?? 0,
    reason: status.reason || status.phase || 'Unknown',
    restarts: 0,
    lastRestart: 0,
  };
  if (condition(status, 'PodScheduled')?.reason === 'SchedulingGated') summary.reason = 'SchedulingGated';
  const initializing = readInitContainers(summary, spec, status);
  if (!initializing || condition(status, 'Initialized')?.status === 'True') readContainers(summary, status);
  if (metadata.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') summary.reason = 'Unknown';
    else if (!['Succeeded', 'Failed'].includes(status.phase)) summary.reason = 'Terminating';
  }
  return summary;
}

const condition = (status: Any, type: string) => status.conditions?.find((each: Any) => each.type === type);

function countRestarts(summary: PodSummary, container: Any) {
  summary.restarts += container.restartCount ?? 0;
  const finished = Date.parse(container.lastState?.terminated?.finishedAt ?? '');
  if (finished > summary.lastRestart) summary.lastRestart = finished;
}

const ended = ({ reason, signal, exitCode }: Any) => reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);

/** @returns whether init containers are still at work */
function readInitContainers(summary: PodSummary, spec: Any, status: Any): boolean {
  const statuses: Any[] = status.initContainerStatuses ?? [];
  for (const [at, container] of statuses.entries()) {
    countRestarts(summary, container);
    const { terminated, waiting } = container.state ?? {};
    const sidecar = spec.initContainers?.find((each: Any) => each.name === container.name)?.restartPolicy === 'Always';
    if (sidecar) summary.total += 1;
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started === true) {
      if (container.ready) summary.ready += 1;
      continue;
    }
    if (terminated !== undefined) summary.reason = `Init:${ended(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') summary.reason = `Init:${waiting.reason}`;
    else summary.reason = `Init:${at}/${spec.initContainers?.length ?? statuses.length}`;
    return true;
  }
  return false;
}

function readContainers(summary: PodSummary, status: Any) {
  let running = false;
  summary.restarts = 0;
  for (const container of (status.containerStatuses ?? []).toReversed()) {
    countRestarts(summary, container);
    const { waiting, terminated, running: runs } = container.state ?? {};
    if (waiting?.reason) summary.reason = waiting.reason;
    else if (terminated !== undefined) summary.reason = ended(terminated);
    else if (container.ready === true && runs !== undefined) {
      running = true;
      summary.ready += 1;
    }
  }
  if (summary.reason === 'Completed' && running) {
    summary.reason = condition(status, 'Ready')?.status === 'True' ? 'Running' : 'NotReady';
  }
}

const restarts: Column['cell'] = (pod, now) => {
  const { restarts: count, lastRestart } = podSummary(pod);
  return count > 0 && lastRestart > 0 ? `${count} (${humanDuration(now - lastRestart)} ago)` : String(count);
};

function readinessGates({ spec, status }: KubernetesObject): string {
  const gates: Any[] = spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const passed = gates.filter(({ conditionType }) => condition(status ?? {}, conditionType)?.status === 'True').length;
  return `${passed}/${gates.length}`;
}

export const podColumns: { narrow: Column[]; wide: Column[] } = {
  narrow: [
    {
      name: 'Ready',
      cell: (pod) => {
        const { ready, total } = podSummary(pod);
        return `${ready}/${total}`;
      },
    },
    { name: 'Status', cell: (pod) => podSummary(pod).reason },
    { name: 'Restarts', cell: restarts },
  ],
  wide: [
    { name: 'IP', cell: ({ status }) => status?.podIP || '<none>' },
    { name: 'Node', cell: ({ spec }) => spec?.nodeName || '<none>' },
    { name: 'Nominated Node', cell: ({ status }) => status?.nominatedNodeName || '<none>' },
    { name: 'Readiness Gates', cell: readinessGates },
  ],
};
