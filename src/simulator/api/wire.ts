import type { KubernetesObject } from '../types.ts';
import { apiVersionOf, type ServedResource } from './resources.ts';

const texts = new WeakMap<object, string>();

/** JSON of an object of the store, kept as long as the object lives: it is frozen, so the text stays true. */
export function encode(object: KubernetesObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    if (Object.isFrozen(object)) texts.set(object, text);
  }
  return text;
}

export const storageOf = (served: ServedResource) => served.storedAs ?? served.resource;

/** The object in the version that was asked for. Custom resources are stored in one version and differ only in name. */
export function toServed(served: ServedResource, object: KubernetesObject): KubernetesObject {
  const apiVersion = apiVersionOf(served);
  if (object.apiVersion === apiVersion) return object;
  return served.storedAs === 'events' ? newEvent(object) : { ...object, apiVersion, kind: served.kind };
}

export function toStored(served: ServedResource, object: KubernetesObject): KubernetesObject {
  return served.storedAs === 'events' ? coreEvent(object) : object;
}

/** events.k8s.io/v1 and core/v1 are two spellings of the same stored event. */
function newEvent(event: KubernetesObject): KubernetesObject {
  const { involvedObject, message, source, count, firstTimestamp, lastTimestamp, reportingComponent, ...rest } = event;
  return {
    ...rest,
    apiVersion: 'events.k8s.io/v1',
    regarding: involvedObject,
    note: message,
    deprecatedSource: source,
    deprecatedCount: count,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    reportingController: reportingComponent,
  };
}

function coreEvent(event: KubernetesObject): KubernetesObject {
  const { regarding, note, deprecatedSource, deprecatedCount, reportingController, ...rest } = event;
  const { deprecatedFirstTimestamp, deprecatedLastTimestamp, ...kept } = rest;
  return {
    ...kept,
    apiVersion: 'v1',
    involvedObject: regarding ?? {},
    message: note,
    source: deprecatedSource ?? { component: reportingController },
    count: deprecatedCount,
    firstTimestamp: deprecatedFirstTimestamp ?? event['eventTime'],
    lastTimestamp: deprecatedLastTimestamp ?? event['eventTime'],
    reportingComponent: reportingController,
  } as KubernetesObject;
}
