import type { Register } from '../command.ts';
import { nonNegative } from '../numbers.ts';

export const demo: Register = (command, cli) => {
  command
    .option('--interactive', 'leave the decisions at the gates to you')
    .option('--keep', 'keep the folder with logs and records')
    .option('--scenario <name>', 'the simulated cluster', 'six-nodes')
    .option('--timeout <seconds>', 'give up after this long; 0 never', nonNegative, 600)
    .addHelpText(
      'after',
      '\nReal Temporal workflows, HTTP and SSH; only the cluster at the other end is simulated. Nothing outside a temporary folder is touched.',
    )
    .action(async (options: { interactive?: boolean; keep?: boolean; scenario: string; timeout: number }) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      await runDemo(cli, {
        interactive: options.interactive ?? false,
        keep: options.keep ?? false,
        scenario: options.scenario,
        timeoutSeconds: options.timeout,
      });
    });
};
