import { CutoverError, errorTable, type ErrorType } from '../errors.ts';

/** The one shape of every answer that is no success. */
export interface ErrorBody {
  error: { type: ErrorType; message: string; remedy: string; details?: unknown };
}

export const isErrorType = (type: unknown): type is ErrorType =>
  typeof type === 'string' && Object.hasOwn(errorTable, type);

/** Anything that was thrown, as an error of the table. What is not ours is a bug, and is told as one. */
export const toCutoverError = (thrown: unknown): CutoverError =>
  thrown instanceof CutoverError
    ? thrown
    : new CutoverError('Internal', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });

export const errorBody = ({ type, message, remedy, details }: CutoverError): ErrorBody => ({
  error: { type, message, remedy, ...(details === undefined ? {} : { details }) },
});

/** The way back, in the CLI. */
export function fromErrorBody(body: unknown, status: number): CutoverError {
  const error = (body as ErrorBody | undefined)?.error;
  if (error && isErrorType(error.type))
    return new CutoverError(error.type, error.message, { remedy: error.remedy, details: error.details });
  return new CutoverError('Internal', `the server answered ${status} without saying why`);
}
