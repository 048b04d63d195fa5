import type { KubernetesClient, KubernetesObject } from '../../../src/kubernetes/types.ts';
import { createEvaluator } from '../../../src/policy/evaluate.ts';
import { observePolicies } from '../../../src/policy/observe.ts';
import type { Connection, PolicyCluster, PolicyPod } from '../../../src/policy/types.ts';

/** Pods of three namespaces that ask each other on every port, and what Calico should make of each question. */
export const workloads = ['shop/web', 'shop/api', 'shop/db', 'ops/monitor', 'ops/job', 'edge/gateway'];
/** In the network of its node: it asks, and is not asked. */
const host = 'ops/host';
const hostHttpPort = 18085;
export const policyNamespaces = ['shop', 'ops', 'edge'];

/** One question: who asks whom where, and how a packet gets there. */
export interface Cell {
  name: string;
  from: string;
  to: string;
  /** `TCP/8080`; `service` goes to the ClusterIP. */
  port: string;
}

const image = 'registry.k8s.io/e2e-test-images/agnhost:2.53';

export function policyObjects(): KubernetesObject[] {
  const namespaces = policyNamespaces.map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { lab: 'policy', team: name === 'shop' ? 'red' : 'blue' } },
  }));
  const accounts = policyNamespaces.map((namespace) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'robot', namespace, labels: { kind: 'machine' } },
  }));
  return [
    ...namespaces,
    ...accounts,
    ...workloads.flatMap((id, at) => [deployment(id, at), service(id)]),
    hostDeployment(),
  ];
}

function deployment(id: string, at: number): KubernetesObject {
  const [namespace, name] = id.split('/') as [string, string];
  const serve = (container: string, http: number, udp: number) => ({
    name: container,
    image,
    imagePullPolicy: 'Never',
    args: ['netexec', `--http-port=${http}`, `--udp-port=${udp}`],
    ports: [
      { name: `${container}-http`, containerPort: http },
      { name: `${container}-udp`, containerPort: udp, protocol: 'UDP' },
    ],
    readinessProbe: { httpGet: { path: '/hostname', port: http }, periodSeconds: 1 },
  });
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name, tier: at % 2 === 0 ? 'front' : 'back' } },
        spec: {
          serviceAccountName: at % 3 === 0 ? 'robot' : 'default',
          dnsPolicy: 'Default',
          terminationGracePeriodSeconds: 1,
          containers: [serve('main', 8080, 8081), serve('extra', 9090, 9091)],
        },
      },
    },
  };
}

function hostDeployment(): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'host', namespace: 'ops' },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: { app: 'host' } },
      template: {
        metadata: { labels: { app: 'host', tier: 'front' } },
        spec: {
          hostNetwork: true,
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'main',
              image,
              imagePullPolicy: 'Never',
              args: ['netexec', `--http-port=${hostHttpPort}`, `--udp-port=${hostHttpPort}`],
            },
          ],
        },
      },
    },
  };
}

const service = (id: string): KubernetesObject => {
  const [namespace, name] = id.split('/') as [string, string];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
  };
};

/** Every pair on every port: 6 pods and a host, 2 TCP ports, 1 UDP port and the ClusterIP. */
export const cells: readonly Cell[] = [...workloads, host].flatMap((from) =>
  workloads
    .filter((to) => to !== from)
    .flatMap((to) =>
      ['TCP/8080', 'TCP/9090', 'UDP/8081', 'service'].map((port) => ({
        name: `${from} to ${to} ${port}`,
        from,
        to,
        port,
      })),
    ),
);

const podIn = (cluster: PolicyCluster, workload: string): PolicyPod => {
  const found = cluster.pods.filter((pod) => pod.workload === workload && pod.ip !== '');
  if (found.length !== 1) throw new Error(`${workload} has ${found.length} pods`);
  return found[0]!;
};

/** What the evaluator says of every cell: allowed or not, and why. */
export function predicted(cluster: PolicyCluster): Map<string, { allowed: boolean; why: string }> {
  const evaluator = createEvaluator(cluster);
  return new Map(
    cells.map(({ name, from, to, port }) => {
      const [protocol, number] = (port === 'service' ? 'TCP/8080' : port).split('/') as ['TCP' | 'UDP', string];
      const connection: Connection = {
        from: { kind: 'pod', pod: podIn(cluster, from) },
        to: { kind: 'pod', pod: podIn(cluster, to) },
        protocol,
        port: Number(number),
        viaService: port === 'service',
      };
      const { allowed, sides } = evaluator.judge(connection);
      return [name, { allowed, why: sides.map(({ direction, why }) => `${direction}: ${why}`).join('; ') }];
    }),
  );
}

/** Asks every cell with real traffic, each source all of its own at once. Delivered is what the right pod answered. */
export async function asked(kubernetes: KubernetesClient, cluster: PolicyCluster): Promise<Map<string, boolean>> {
  const answers = new Map<string, boolean>();
  await Promise.all(
    [...Map.groupBy(cells, ({ from }) => from)].map(async ([from, questions]) => {
      const sender = podIn(cluster, from);
      const own = from === host ? hostHttpPort : 8080;
      const urls = questions.map(({ to, port }) => urlOf(cluster, to, port, own));
      const script = [
        'ask() { echo "$1 $(curl -s --max-time 2 "$2" | tr -d "\\n")"; }',
        ...urls.map((url, at) => `ask ${at} '${url}' &`),
        'wait',
      ].join('\n');
      const { stdout } = await kubernetes.exec(
        { namespace: sender.namespace, name: sender.name, container: 'main' },
        ['sh', '-c', script],
        { timeoutMs: 60_000 },
      );
      const bodies = new Map(stdout.split('\n').map((line) => [line.split(' ')[0], line]));
      for (const [at, { name, to }] of questions.entries())
        answers.set(name, bodies.get(String(at))?.includes(podIn(cluster, to).name) ?? false);
    }),
  );
  return answers;
}

function urlOf(cluster: PolicyCluster, to: string, port: string, own: number): string {
  const { ip } = podIn(cluster, to);
  if (port === 'service') {
    const service = cluster.services.find(({ namespace, name }) => `${namespace}/${name}` === to);
    return `http://${service!.clusterIP}/hostname`;
  }
  const [protocol, number] = port.split('/');
  if (protocol === 'TCP') return `http://${ip}:${number}/hostname`;
  return `http://127.0.0.1:${own}/dial?request=hostname&protocol=udp&host=${ip}&port=${number}&tries=1`;
}

export interface Compared {
  cells: number;
  cut: number;
  /** Cells in which the real cluster and the evaluator differ, in words. */
  differences: string[];
}

/** Agents need a moment to program what changed: the cells are asked again until they agree, or the time is over. */
export async function compared(kubernetes: KubernetesClient, timeoutMs = 40_000): Promise<Compared> {
  const cluster = await observePolicies(kubernetes);
  const expected = predicted(cluster);
  for (const until = Date.now() + timeoutMs; ;) {
    const answers = await asked(kubernetes, cluster);
    const differences = cells.flatMap(({ name }) => {
      const { allowed, why } = expected.get(name)!;
      return answers.get(name) === allowed ? [] : [`${name}: ${allowed ? 'lost' : 'delivered'}, but ${why}`];
    });
    if (differences.length === 0 || Date.now() > until)
      return { cells: cells.length, cut: [...answers.values()].filter((delivered) => !delivered).length, differences };
  }
}
