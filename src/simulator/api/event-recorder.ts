import { createHash } from 'node:crypto';
import type { KubernetesObject, ObjectStore } from '../types.ts';

/** Real clusters forget events after an hour; here the oldest go when there are too many. */
const MAX_EVENTS_PER_NAMESPACE = 5000;

interface Occurrence {
  about: KubernetesObject;
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  source: string;
  time: string;
}

/** Writes a core/v1 Event; the same reason and message about the same object raises `count` instead. */
export function recordEvent(store: ObjectStore, { about, type, reason, message, source, time }: Occurrence): void {
  const { metadata, kind, apiVersion } = about;
  const namespace = metadata.namespace ?? 'default';
  const key = createHash('sha1').update(`${kind}|${metadata.uid}|${source}|${type}|${reason}|${message}`).digest('hex');
  const name = `${metadata.name}.${key.slice(0, 16)}`;
  const repeated = store.mutate('events', namespace, name, (event) => {
    event['count'] = (event['count'] ?? 1) + 1;
    event['lastTimestamp'] = time;
  });
  if (repeated !== undefined) return;
  store.create('events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: {
      apiVersion,
      kind,
      name: metadata.name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
    },
    type,
    reason,
    message,
    source: { component: source },
    reportingComponent: source,
    reportingInstance: '',
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  });
  forgetOldest(store, namespace);
}

function forgetOldest(store: ObjectStore, namespace: string) {
  const events = store.list('events', { namespace });
  if (events.length <= MAX_EVENTS_PER_NAMESPACE) return;
  const oldest = events.toSorted((left, right) => (left['lastTimestamp'] < right['lastTimestamp'] ? -1 : 1));
  for (const { metadata } of oldest.slice(0, MAX_EVENTS_PER_NAMESPACE / 10)) {
    store.remove('events', namespace, metadata.name);
  }
}
