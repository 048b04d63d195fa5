import type { GateView, MigrationView, NodeView } from '../../src/store/views.ts';

export const at = (seconds: number): string => new Date(Date.UTC(2026, 2, 1, 14, 0, 0) + seconds * 1000).toISOString();
export const now = Date.parse(at(600));

export const node = (name: string, changes: Partial<NodeView> = {}): NodeView => ({
  name,
  zone: 'zone-a',
  state: 'pending',
  step: '',
  stepId: '',
  stepSince: '',
  nodeAttempt: 1,
  attempt: 1,
  startedAt: '',
  endedAt: '',
  message: '',
  remedy: '',
  rollbacks: 0,
  ...changes,
});

export const gate = (changes: Partial<GateView> = {}): GateView => ({
  id: 'after-canary',
  migration: 'prod-4f1c2a',
  planHash: 'a'.repeat(64),
  stage: '1-flannel-to-calico',
  wave: 'canary',
  state: 'open',
  openedAt: at(480),
  closedAt: '',
  soakUntil: at(480),
  expiresAt: at(4_200),
  spec: { id: 'after-canary', approvals: 2, approvers: [], requesterMayApprove: false, soakSeconds: 0, checks: ['dns'], timeoutSeconds: 3_720, onTimeout: 'hold' },
  evidence: {
    digest: 'b'.repeat(64),
    verdict: 'warn',
    at: at(480),
    checks: [
      { id: 'dns', layer: 'services', title: 'Names', verdict: 'pass', message: 'every pod resolves names', evidence: null },
      { id: 'path-mtu', layer: 'pod-network', title: 'MTU', verdict: 'warn', message: '1 path is slower', remedy: 'look at the path', node: 'worker-2', evidence: null },
    ],
  },
  decisions: [{ actor: 'bob', verdict: 'approve', reason: 'fine', at: at(500) }],
  needs: ['1 more approval, not from ana, who launched it'],
  atTimeout: 'the migration pauses for a person',
  message: '',
  ...changes,
});

export const view = (changes: Partial<MigrationView> = {}): MigrationView => ({
  id: 'prod-4f1c2a',
  plan: { name: 'prod', hash: 'a'.repeat(64) },
  cluster: { uid: 'uid', server: 'https://192.0.2.1:6443' },
  from: 'flannel',
  to: 'calico',
  state: 'migrating',
  since: at(10),
  requester: 'ana',
  reason: 'we need policies',
  startedAt: at(0),
  endedAt: '',
  message: '',
  counts: { nodes: 4, pending: 1, inFlight: 1, waiting: 0, migrated: 2, rolledBack: 0, skipped: 0, held: 0 },
  failures: 1,
  failureBudget: 3,
  pause: null,
  gate: '',
  openGate: null,
  stages: [
    {
      id: '1-flannel-to-calico',
      from: 'flannel',
      to: 'calico',
      prepare: [{ id: 'probes', title: 'Start the probe pods', state: 'done', startedAt: at(1), endedAt: at(9), attempt: 1, message: '' }],
      waves: [
        { id: 'canary', state: 'done', startedAt: at(10), endedAt: at(300), nodes: [node('worker-1', { state: 'migrated', startedAt: at(10), endedAt: at(300), nodeAttempt: 2, rollbacks: 1, message: 'every check passed' })], gate: { id: 'after-canary', state: 'passed', by: 'bob' } },
        {
          id: 'rest',
          state: 'running',
          startedAt: at(310),
          endedAt: '',
          nodes: [node('worker-2', { state: 'running', step: 'Move the pods away, within budgets', startedAt: at(310), stepSince: at(400) }), node('worker-3')],
          gate: null,
        },
      ],
      finalize: [{ id: 'residue', title: 'Look for anything left', state: 'pending', startedAt: '', endedAt: '', attempt: 0, message: '' }],
    },
  ],
  remaining: { workSeconds: 840, waitingSeconds: 60 },
  elapsed: { workSeconds: 480, waitingSeconds: 120 },
  lastSeq: 20,
  ...changes,
});
