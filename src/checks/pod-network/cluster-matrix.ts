import { spreadOverZones } from '../../probe/peers.ts';
import type { Asker, Cni, Party } from '../asker.ts';
import { CutoverError } from '../../errors.ts';
import type { PlannedNode } from '../../plan/types.ts';
import { block, defineCheck, pass, some } from '../define.ts';
import { kinds } from '../../kubernetes/kinds.ts';
import { probeName } from '../../probe/manifests.ts';
import { apiServerUrls, askApiServer } from '../services/api-server.ts';
import { askDns } from '../services/dns.ts';
import { askItself, localService } from '../services/hairpin.ts';
import { serviceAnswers } from '../services/service-answers.ts';
import { askName, direction, podUrl } from './paths.ts';
import { fullMessage } from './path-mtu.ts';
import type { Matrix, MatrixColumn } from './matrix.ts';

type Failure = { what: MatrixColumn; from: string; to: string; row: string; error: string };

export type MatrixFacts = {
  /** Nodes that took part, by network. */
  nodes: { flannel: string[]; calico: string[] };
  matrix: Matrix;
  failures: Failure[];
  /** Of one answer between pods, ms. */
  slowestMs: number;
};

/** Of each network. Six nodes make thirty pairs and some execs each, whatever the size of the cluster. */
const mostNodesEach = 3;
const connections = 2;

/**
 * Every kind of path works in every direction between old and new nodes: pods, full-size packets, NodePorts, egress to
 * nodes, DNS, ClusterIP, hairpin and the API server, on a bounded number of nodes that are spread over zones.
 */
export const clusterMatrix = defineCheck<MatrixFacts>({
  id: 'cluster-matrix',
  layer: 'pod-network',
  title: 'Old and new nodes reach each other in every direction and by every kind of path',
  scope: 'cluster',
  patient: true,
  ask: async (context) => {
    const parties = [...(await participants(context, 'flannel')), ...(await participants(context, 'calico'))];
    if (parties.length < 2) {
      throw new CutoverError(
        'ChecksFailed',
        `only ${parties.length} nodes are uncordoned and have Ready probe pods; a path needs two`,
        {
          remedy: `look at \`kubectl -n ${context.plan.probe.namespace} get pods -o wide\``,
        },
      );
    }
    const [service, own, apiUrls] = await Promise.all([
      clusterIpOf(context),
      localService(context),
      apiServerUrls(context),
    ]);
    let slowestMs = 0;
    const pairs = parties.flatMap((from) => parties.filter((to) => to !== from).map((to) => [from, to] as const));
    const answers = await Promise.all([
      ...pairs.flatMap(([from, to]) => {
        const between = (what: MatrixColumn, error: Promise<string>) =>
          answered(what, from.node, to.node, direction(from.cni, to.cni), error);
        return [
          between(
            'pod',
            askName(context, from.pod, podUrl(context, to.pod), to.pod.name).then(({ error, ms }) => {
              slowestMs = Math.max(slowestMs, ms);
              return error;
            }),
          ),
          ...(isFirstOf(parties, from, to) ? [between('mtu', askFullSize(context, from, to))] : []),
          between('node-port', errorOf(context, from, `http://${to.ip}:${context.ports.nodePort}/hostname`)),
          between('egress', errorOf(context, from, `http://${to.ip}:${context.ports.hostHttp}/hostname`)),
        ];
      }),
      ...parties.flatMap((party) => {
        const from = (what: MatrixColumn, to: string, error: Promise<string>) =>
          answered(what, party.node, to, party.cni, error);
        return [
          from('dns', 'DNS', dnsError(context, party)),
          ...(service === ''
            ? []
            : [
                from(
                  'cluster-ip',
                  service,
                  serviceError(context, party, `http://${service}:${context.ports.http}/hostname`),
                ),
              ]),
          ...(own === '' ? [] : [from('hairpin', own, askItself(context, party, own))]),
          ...apiUrls.map((url) => from('api-server', url, askApiServer(context, party.pod, url))),
        ];
      }),
    ]);
    const networkOf = (cni: Cni) => parties.filter((party) => party.cni === cni).map((party) => party.node);
    return {
      nodes: { flannel: networkOf('flannel'), calico: networkOf('calico') },
      matrix: matrixOf(answers),
      failures: answers.filter(({ error }) => error !== ''),
      slowestMs,
    };
  },
  judge: ({ matrix, failures }) => {
    const cells = Object.entries(matrix).flatMap(([row, columns]) =>
      Object.entries(columns).map(([column, { asked, failed }]) => ({ row, column, asked, failed })),
    );
    const asked = cells.reduce((sum, cell) => sum + cell.asked, 0);
    if (failures.length === 0)
      return pass(
        `every path works, ${asked} of ${asked}: ${Object.keys(matrix)
          .filter((row) => row.includes('->'))
          .join(', ')}`,
      );

    const broken = cells
      .filter(({ failed }) => failed > 0)
      .map(({ row, column, ...cell }) => `${column} ${row} ${cell.failed} of ${cell.asked}`);
    const [first] = failures;
    return block(
      `${failures.length} of ${asked} paths fail: ${some(broken, 6)}; first ${first!.what} ${first!.from} -> ${first!.to} (${first!.row}): ${first!.error}`,
      {
        remedy:
          'one node in all failures: look at that node; one direction in all failures: compare routes and FDB of the two kinds of node; one kind of path: read the check of that name',
      },
    );
  },
});

/** Ready nodes of one network, one zone after the other. More are tried than are needed: some may be under migration. */
export async function participants(context: Asker, cni: Cni, most = mostNodesEach): Promise<Party[]> {
  const ofNetwork: PlannedNode[] = [];
  for (const node of context.planned) if ((await context.cniOf(node.name)) === cni) ofNetwork.push(node);

  const found: Party[] = [];
  for (const candidate of spreadOverZones(ofNetwork, most * 4)) {
    if (found.length === most) break;
    const party = await context.ready(candidate);
    if (party !== undefined) found.push(party);
  }
  return found;
}

/** Large messages go to one node of each network: they are long, and each needs an exec of its own. */
const isFirstOf = (parties: readonly Party[], from: Party, to: Party): boolean =>
  parties.find((party) => party.cni === to.cni && party !== from) === to;

async function answered(
  what: MatrixColumn,
  from: string,
  to: string,
  row: string,
  error: Promise<string>,
): Promise<Failure> {
  return { what, from, to, row, error: await error };
}

const errorOf = async (context: Asker, { pod }: Party, url: string): Promise<string> =>
  (await context.curl(pod, url)).error;

async function askFullSize(context: Asker, from: Party, to: Party): Promise<string> {
  const node = context.planned.find(({ name }) => name === from.node);
  const bytes = fullMessage(node?.fingerprint.overlayMtu ?? 0);
  const answer = await context.curl(from.pod, podUrl(context, to.pod, `/echo?msg=${'m'.repeat(bytes)}`));
  return answer.error || (answer.body.length === bytes ? '' : `${answer.body.length} of ${bytes} bytes came back`);
}

async function dnsError(context: Asker, { pod }: Party): Promise<string> {
  const [answer] = await askDns(context, pod, [{ over: 'UDP' }]);
  return answer!.addresses.length > 0 ? '' : answer!.error || 'the answer is empty';
}

async function serviceError(context: Asker, { pod }: Party, url: string): Promise<string> {
  const { errors } = await serviceAnswers(context, pod, url, connections);
  return errors[0] ?? '';
}

async function clusterIpOf({ kubernetes, plan }: Asker): Promise<string> {
  const service = await kubernetes.get({ ...kinds.service, namespace: plan.probe.namespace, name: probeName });
  return String(service?.['spec']?.clusterIP ?? '');
}

function matrixOf(answers: readonly Failure[]): Matrix {
  const matrix: Matrix = {};
  for (const { row, what, error } of answers) {
    const cell = ((matrix[row] ??= {})[what] ??= { asked: 0, failed: 0 });
    cell.asked += 1;
    if (error !== '') cell.failed += 1;
  }
  return matrix;
}
