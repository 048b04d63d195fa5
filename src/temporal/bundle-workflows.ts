import { pino } from 'pino';
import { bundleWorkflows } from './worker.ts';

/** A program: prints the bundle of the workflows on stdout. What is wrong with them goes to stderr. */
const { code } = await bundleWorkflows(pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true })));
process.stdout.write(code);
