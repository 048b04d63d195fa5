import type { StatusError } from '../types.ts';

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message: string; field?: string }[];
  retryAfterSeconds?: number;
}

/** An error that the API answers as a `Status` object, worded as the real API server words it. */
export function statusError(code: number, reason: string, message: string, details?: StatusDetails): StatusError {
  const error = new Error(message) as StatusError;
  error.name = 'StatusError';
  error.code = code;
  error.reason = reason;
  if (details !== undefined) error.details = details;
  return error;
}

export const isStatusError = (error: unknown): error is StatusError =>
  error instanceof Error && typeof (error as Partial<StatusError>).code === 'number' && 'reason' in error;

/** `daemonsets.apps` -> the `{ kind, group }` that a Status carries. */
export function resourceDetails(resource: string, name?: string): StatusDetails {
  const dot = resource.indexOf('.');
  return {
    ...(name === undefined ? {} : { name }),
    ...(dot < 0 ? {} : { group: resource.slice(dot + 1) }),
    kind: dot < 0 ? resource : resource.slice(0, dot),
  };
}

export const notFound = (resource: string, name: string) =>
  statusError(404, 'NotFound', `${resource} "${name}" not found`, resourceDetails(resource, name));

export const alreadyExists = (resource: string, name: string) =>
  statusError(409, 'AlreadyExists', `${resource} "${name}" already exists`, resourceDetails(resource, name));

export const conflict = (resource: string, name: string, why: string, details: StatusDetails = {}) =>
  statusError(409, 'Conflict', `Operation cannot be fulfilled on ${resource} "${name}": ${why}`, {
    ...resourceDetails(resource, name),
    ...details,
  });

export const staleVersion = (resource: string, name: string) =>
  conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

export const badRequest = (message: string) => statusError(400, 'BadRequest', message);

export const methodNotAllowed = () =>
  statusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');

/** The watch or list asks for a version that the history no longer holds. */
export const expired = (message = 'The resourceVersion for the provided watch is too old.') =>
  statusError(410, 'Expired', message);

export interface FieldError {
  field: string;
  reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueForbidden'
    | 'FieldValueDuplicate';
  message: string;
}

/** 422, with one cause for each field: `DaemonSet.apps "x" is invalid: spec.selector: Required value`. */
export function invalid(kind: string, group: string, name: string, errors: FieldError[]): StatusError {
  const texts = errors.map((each) => `${each.field}: ${each.message}`);
  const list = texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`;
  return statusError(422, 'Invalid', `${kind}${group === '' ? '' : `.${group}`} "${name}" is invalid: ${list}`, {
    name,
    ...(group === '' ? {} : { group }),
    kind,
    causes: errors.map(({ field, reason, message }) => ({ reason, message, field })),
  });
}

/** The Status object that goes over the wire. */
export function statusOf(error: unknown): Record<string, unknown> & { code: number } {
  const known = isStatusError(error);
  const message = error instanceof Error ? error.message : String(error);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: known ? message : `Internal error occurred: ${message}`,
    reason: known ? error.reason : 'InternalError',
    ...(known && error.details !== undefined ? { details: error.details } : {}),
    code: known ? error.code : 500,
  };
}
