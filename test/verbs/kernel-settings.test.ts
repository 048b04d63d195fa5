import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const program = readFileSync(fileURLToPath(new URL('../../src/node/verbs/survey.sh', import.meta.url)), 'utf8');

/** The hosts of the other tests have plain files in the place of /proc/sys, which behave otherwise. */
describe('a setting of the real kernel', () => {
  it.each(['sh', 'bash'])('is read whole by %s', (shell) => {
    const [number] = /^number\(\) \{.*\}$/m.exec(program) ?? [];
    expect(number).toBeDefined();

    const read = execFileSync(shell, ['-c', `${number}\nnumber /proc/sys/kernel/pid_max`], { encoding: 'utf8' });

    expect(read.trim()).toBe(readFileSync('/proc/sys/kernel/pid_max', 'utf8').trim());
    expect(read.trim().length).toBeGreaterThan(1);
  });
});
