import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

/** Log lines to stderr: JSON for machines, pretty on a terminal. Level from CUTOVER_LOG_LEVEL, else `level`. */
export function createLog(
  name: string,
  { level = 'info', env = process.env }: { level?: string; env?: NodeJS.ProcessEnv } = {},
): Logger {
  const options = { name, level: env['CUTOVER_LOG_LEVEL'] || level, base: { pid: process.pid } };
  if (!process.stderr.isTTY) return pino(options, pino.destination(2));
  return pino(
    options,
    pretty({
      destination: 2,
      sync: true,
      colorize: !env['NO_COLOR'],
      ignore: 'pid,hostname',
      translateTime: 'HH:MM:ss',
    }),
  );
}
