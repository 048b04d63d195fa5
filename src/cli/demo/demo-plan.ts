import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseDocument } from 'yaml';
import type { PlanSource } from '../../server/planning.ts';

const plans = fileURLToPath(new URL('../../../plans/', import.meta.url));

/**
 * plans/flannel-to-calico-bgp.yaml for the simulated cluster: the same routes, checks and gates, with soaks of seconds
 * instead of minutes, and a canary before the rest.
 */
export function demoPlan({ kubeconfig, sshConfig }: { kubeconfig: string; sshConfig: string }): PlanSource {
  const document = parseDocument(readFileSync(`${plans}flannel-to-calico-bgp.yaml`, 'utf8'));
  const settings: [path: (string | number)[], value: unknown][] = [
    [['metadata', 'name'], 'demo'],
    [['spec', 'cluster', 'kubeconfig'], kubeconfig],
    [['spec', 'access', 'ssh', 'configFile'], sshConfig],
    [['spec', 'stages', 0, 'finalizeGate'], { approvals: 1, soak: '0s' }],
    [['spec', 'stages', 1, 'bgp', 'stable'], '2s'],
    [['spec', 'stages', 1, 'bgp', 'soak'], '1s'],
    [
      ['spec', 'strategy', 'waves'],
      [
        { name: 'canary', nodes: 1, gate: { approvals: 1, soak: '3s' } },
        { name: 'rest', nodes: 'rest' },
      ],
    ],
    // Whoever sits at the demo may decide.
    [['spec', 'gates', 'approvers'], []],
    [['spec', 'strategy', 'maxUnavailable'], 2],
    [['spec', 'strategy', 'nodeSoak'], '2s'],
    [['spec', 'drain', 'retry'], '1s'],
    [['spec', 'capture'], { runs: 3, seconds: 1 }],
    // 18080 is taken on the workers: the simulated cluster has a DaemonSet that binds it.
    [['spec', 'probe', 'hostPort'], 18180],
    [
      ['spec', 'acknowledge'],
      [
        { id: 'versions', reason: 'Calico 3.28 is what the simulator models' },
        { id: 'pods-without-owner', reason: 'what search keeps in emptyDir volumes is a cache' },
      ],
    ],
  ];
  for (const [path, value] of settings) document.setIn(path, document.createNode(value));
  return { yaml: String(document), file: 'plans/flannel-to-calico-bgp.yaml', baseDirectory: plans };
}
