import type { CommandEntry } from './command.ts';

const prepare = 'Before a migration:';
const watch = 'Look:';
const steer = 'Steer:';
const run = 'Run Cutover:';

/** Every command, in the order of `cutover --help`. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'plan',
    group: prepare,
    description: 'compile a plan file against the live cluster, or list the compiled plans',
    load: async () => (await import('./commands/plan.ts')).plan,
  },
  {
    name: 'preflight',
    group: prepare,
    description: 'ask the cluster everything that must hold before it is touched',
    load: async () => (await import('./commands/preflight.ts')).preflight,
  },
  {
    name: 'policy',
    group: prepare,
    description: 'say what network policies will cut once Calico enforces them',
    load: async () => (await import('./commands/policy.ts')).policy,
  },
  {
    name: 'launch',
    group: prepare,
    description: 'start the migration of a compiled plan',
    load: async () => (await import('./commands/launch.ts')).launch,
  },

  {
    name: 'status',
    group: watch,
    description: 'show one migration, or all; -w follows it',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    name: 'gates',
    group: watch,
    description: 'show gates: evidence, what is still needed, what happens without a decision',
    load: async () => (await import('./commands/gates.ts')).gates,
  },
  {
    name: 'why',
    group: watch,
    description: 'say in one sentence what a node does or waits for',
    load: async () => (await import('./commands/why.ts')).why,
  },
  {
    name: 'history',
    group: watch,
    description: 'show everything that happened to one node',
    load: async () => (await import('./commands/history.ts')).history,
  },
  {
    name: 'capture',
    group: watch,
    description: 'show bandwidth and latency before and after, with their spread',
    load: async () => (await import('./commands/capture.ts')).capture,
  },
  {
    name: 'report',
    group: watch,
    description: 'make the page for the change board: what changed, what it cost, what was gained, who approved',
    load: async () => (await import('./commands/report.ts')).report,
  },
  {
    name: 'audit',
    group: watch,
    description: 'list, verify or export the audit log',
    load: async () => (await import('./commands/audit.ts')).audit,
  },

  {
    name: 'approve',
    group: steer,
    description: 'approve a gate on the evidence that you saw',
    load: async () => (await import('./commands/approve.ts')).approve,
  },
  {
    name: 'reject',
    group: steer,
    description: 'reject a gate: hold, or take the wave back',
    load: async () => (await import('./commands/reject.ts')).reject,
  },
  {
    name: 'pause',
    group: steer,
    description: 'pause: now, after the nodes in flight, or after the wave',
    load: async () => (await import('./commands/pause.ts')).pause,
  },
  {
    name: 'resume',
    group: steer,
    description: 'go on after a pause',
    load: async () => (await import('./commands/resume.ts')).resume,
  },
  {
    name: 'abort',
    group: steer,
    description: 'end the migration here',
    load: async () => (await import('./commands/abort.ts')).abort,
  },
  {
    name: 'rollback',
    group: steer,
    description: 'take a node, a wave or everything back to the old network',
    load: async () => (await import('./commands/rollback.ts')).rollback,
  },
  {
    name: 'retry',
    group: steer,
    description: 'try a node again that waits for a person',
    load: async () => (await import('./commands/retry.ts')).retry,
  },
  {
    name: 'skip',
    group: steer,
    description: 'go on without a node that waits for a person',
    load: async () => (await import('./commands/skip.ts')).skip,
  },

  {
    name: 'up',
    group: run,
    description: "run Temporal's dev server, a worker and the server in one go",
    load: async () => (await import('./commands/up.ts')).up,
  },
  {
    name: 'server',
    group: run,
    description: 'run the HTTP server alone',
    load: async () => (await import('./commands/server.ts')).server,
  },
  {
    name: 'worker',
    group: run,
    description: 'run one worker alone',
    load: async () => (await import('./commands/worker.ts')).worker,
  },
  {
    name: 'demo',
    group: run,
    description: 'watch a simulated cluster of six nodes move from Flannel to Calico',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  {
    name: 'simulate',
    group: run,
    description: 'run a simulated cluster for kubectl and ssh',
    load: async () => (await import('./commands/simulate.ts')).simulate,
  },
  {
    name: 'completion',
    group: run,
    description: 'print the completion script of bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  {
    name: 'version',
    group: run,
    description: 'print the version',
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    name: '__complete',
    group: run,
    description: 'names for completion scripts',
    hidden: true,
    load: async () => (await import('./commands/complete.ts')).complete,
  },
];
