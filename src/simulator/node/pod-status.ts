import type { KubernetesObject } from '../types.ts';

export interface ContainerRecord {
  state: 'waiting' | 'running' | 'terminated';
  /** Of a waiting container: `ContainerCreating`, `PodInitializing`, `ImagePullBackOff`. */
  reason: string;
  message: string;
  startedAt: string;
  finishedAt: string;
  restarts: number;
  ready: boolean;
  /** Exit code of the last run. */
  exitCode: number;
}

export const newContainer = (reason: string): ContainerRecord => ({
  state: 'waiting',
  reason,
  message: '',
  startedAt: '',
  finishedAt: '',
  restarts: 0,
  ready: false,
  exitCode: 0,
});

/** What the status of a pod is made from. */
export interface PodFacts {
  pod: KubernetesObject;
  hostIp: string;
  podIp: string;
  startTime: string;
  now: string;
  initialized: boolean;
  init: Map<string, ContainerRecord>;
  containers: Map<string, ContainerRecord>;
}

type Condition = { type: string; status: string; lastTransitionTime: string; reason?: string; message?: string };

/** The status that kubelet writes. Transition times of conditions that did not change are kept. */
export function podStatus(facts: PodFacts): KubernetesObject['status'] {
  const { pod, hostIp, podIp, startTime, init, containers } = facts;
  const before = pod['status'] ?? {};
  const records = [...containers.values()];
  const started = records.some(({ state }) => state !== 'waiting') || before.phase === 'Running';
  const waiting = [...containers].filter(([, { ready }]) => !ready).map(([name]) => name);
  const allReady = waiting.length === 0;
  const notReady = { reason: 'ContainersNotReady', message: `containers with unready status: [${waiting.join(' ')}]` };
  const condition = (type: string, status: boolean, why: { reason?: string; message?: string } = {}): Condition => {
    const old = (before.conditions as Condition[] | undefined)?.find((each) => each.type === type);
    const text = status ? 'True' : 'False';
    return {
      type,
      status: text,
      lastTransitionTime: old?.status === text ? old.lastTransitionTime : facts.now,
      ...(status ? {} : why),
    };
  };
  const foreign = ((before.conditions ?? []) as Condition[]).filter(({ type }) => !ownConditions.includes(type));
  return {
    ...before,
    phase: started ? 'Running' : 'Pending',
    conditions: [
      ...foreign,
      condition('PodReadyToStartContainers', podIp !== ''),
      condition('Initialized', facts.initialized, { reason: 'ContainersNotInitialized' }),
      condition('Ready', allReady, notReady),
      condition('ContainersReady', allReady, notReady),
      condition('PodScheduled', true),
    ],
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    ...(podIp === '' ? {} : { podIP: podIp, podIPs: [{ ip: podIp }] }),
    startTime: startTime,
    ...(init.size === 0 ? {} : { initContainerStatuses: containerStatuses(pod['spec'].initContainers, init) }),
    containerStatuses: containerStatuses(pod['spec'].containers, containers),
  };
}

const ownConditions = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];

function containerStatuses(specs: { name: string; image: string }[], records: Map<string, ContainerRecord>) {
  return specs.map(({ name, image }) => {
    const record = records.get(name)!;
    const id = `containerd://${name}-${record.restarts}`;
    return {
      name,
      image,
      imageID: record.state === 'waiting' ? '' : image,
      ready: record.ready,
      started: record.state === 'running',
      restartCount: record.restarts,
      ...(record.state === 'waiting' ? {} : { containerID: id }),
      state: stateOf(record),
      lastState: record.restarts > 0 && record.finishedAt !== '' ? { terminated: terminated(record) } : {},
    };
  });
}

function stateOf(record: ContainerRecord) {
  if (record.state === 'running') return { running: { startedAt: record.startedAt } };
  if (record.state === 'terminated') return { terminated: terminated(record) };
  return { waiting: { reason: record.reason, ...(record.message === '' ? {} : { message: record.message }) } };
}

const terminated = ({ startedAt, finishedAt, exitCode }: ContainerRecord) => ({
  exitCode,
  reason: exitCode === 0 ? 'Completed' : 'Error',
  startedAt,
  finishedAt,
});
