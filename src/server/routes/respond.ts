import { z } from '@hono/zod-openapi';
import { CutoverError } from '../../errors.ts';
import { errorSchema } from '../schemas.ts';

/** The answers of a route: one success, and the one shape of everything else. */
export const responses = <S extends z.ZodType>(description: string, schema: S) => ({
  200: { description, content: { 'application/json': { schema } } },
  default: { description: 'Refused or failed', content: { 'application/json': { schema: errorSchema } } },
});

export const body = <S extends z.ZodType>(schema: S) => ({
  content: { 'application/json': { schema } },
  required: true,
});

/** A path or query parameter with its explanation. */
export const text = (description: string) => z.string().min(1).describe(description);

export const migrationParam = z.object({ id: text('Id of the migration, the start of one, or `latest`') });

export function requireActor(actor: string): string {
  if (actor === '') throw new CutoverError('Usage', 'nobody is named as the acting person');
  return actor;
}

/** An answer whose exact shape is a TypeScript type; OpenAPI names it and points to its fields in words. */
export const shape = <T>(name: string, description: string) =>
  z.custom<T>().openapi(name, { type: 'object', description, additionalProperties: true });
export const shapes = <T>(name: string, description: string) =>
  z.object({ items: z.array(shape<T>(name, description)) });

/** Says the TypeScript type of an answer whose OpenAPI description is the given schema; answers are not validated. */
export const typed = <T>(schema: z.ZodType): z.ZodType<T> => schema as z.ZodType<T>;
