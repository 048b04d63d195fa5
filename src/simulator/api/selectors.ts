import type { KubernetesObject } from '../types.ts';
import type { Any } from './json-values.ts';
import { badRequest } from './status-error.ts';

export type Matcher = (object: KubernetesObject) => boolean;

type Labels = { [key: string]: string };

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k` by the rules of apimachinery's labels package. @throws StatusError 400 */
export function labelMatcher(selector: string): Matcher {
  const tests = splitRequirements(selector).map(labelRequirement);
  return (object) => {
    const labels = object.metadata.labels ?? {};
    return tests.every((test) => test(labels));
  };
}

/** Commas inside `in (…)` do not separate. */
function splitRequirements(selector: string): string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

function labelRequirement(text: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((each) => each.trim()));
    return operator === 'in'
      ? (labels) => labels[key] !== undefined && values.has(labels[key])
      : (labels) => labels[key] === undefined || !values.has(labels[key]);
  }
  const comparison = /^([^\s=!<>]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(text);
  if (comparison !== null) {
    const [, key = '', operator, value = ''] = comparison;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const order = /^([^\s=!<>]+)\s*([<>])\s*(\d+)$/.exec(text);
  if (order !== null) {
    const [, key = '', operator, bound = ''] = order;
    return (labels) => {
      const value = labels[key];
      if (value === undefined || !/^-?\d+$/.test(value)) return false;
      return operator === '<' ? Number(value) < Number(bound) : Number(value) > Number(bound);
    };
  }
  if (/^![^\s=!<>()]+$/.test(text)) return (labels) => labels[text.slice(1)] === undefined;
  if (/^[^\s=!<>()]+$/.test(text)) return (labels) => labels[text] !== undefined;
  throw badRequest(`unable to parse requirement: found '${text}', expected: in, notin, =, ==, !=, gt, lt`);
}

/** A LabelSelector of an object (`matchLabels`, `matchExpressions`). The empty selector selects everything. */
export function selectorMatcher(selector: {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}): Matcher {
  const wanted = Object.entries(selector.matchLabels ?? {});
  const expressions = selector.matchExpressions ?? [];
  return ({ metadata: { labels = {} } }) =>
    wanted.every(([key, value]) => labels[key] === value) &&
    expressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      if (operator === 'In') return value !== undefined && values.includes(value);
      return value === undefined || !values.includes(value);
    });
}

/** What each kind can be selected by, besides name and namespace: the list of the real API server. */
const selectableFields: { [resource: string]: string[] } = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  nodes: ['spec.unschedulable'],
  namespaces: ['status.phase', 'name'],
  secrets: ['type'],
  services: ['spec.clusterIP', 'spec.type'],
  events: eventFields(),
  'events.events.k8s.io': eventFields(),
  'replicasets.apps': ['status.replicas'],
  'jobs.batch': ['status.successful'],
};

function eventFields(): string[] {
  const about = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
  return [...about.map((each) => `involvedObject.${each}`), 'reason', 'reportingComponent', 'source', 'type'];
}

/** `metadata.name=x,status.phase!=Running`. @throws StatusError 400 for a field that the kind cannot be selected by */
export function fieldMatcher(resource: string, selector: string): Matcher {
  const tests = fieldRequirements(selector).map(({ field, negated, value }) => {
    if (!['metadata.name', 'metadata.namespace'].includes(field) && !selectableFields[resource]?.includes(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    return (object: KubernetesObject) => (fieldValue(object, field) === value) !== negated;
  });
  return (object) => tests.every((test) => test(object));
}

export function fieldRequirements(selector: string): { field: string; negated: boolean; value: string }[] {
  return selector
    .split(',')
    .filter((each) => each.trim() !== '')
    .map((text) => {
      const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(text);
      if (match === null) throw badRequest(`invalid field selector: ${text}: can't understand '${text}'`);
      return { field: match[1]!, negated: match[2] === '!=', value: match[3]! };
    });
}

function fieldValue(object: KubernetesObject, field: string): string {
  if (field === 'spec.unschedulable' || field === 'spec.hostNetwork') return String(valueAt(object, field) ?? false);
  if (field === 'source') return object['source']?.component ?? object['reportingComponent'] ?? '';
  if (field === 'name') return object.metadata.name;
  return String(valueAt(object, field) ?? '');
}

/** Every selectable field is a plain value. */
function valueAt(object: KubernetesObject, field: string): string | number | boolean | undefined {
  return field.split('.').reduce((value: Any, key) => value?.[key], object);
}
