import { spreadOverZones } from '../../probe/peers.ts';
import type { Asker, Cni, Party } from '../asker.ts';
import { CutoverError } from '../../errors.ts';
import type { PlannedNode } from '../../plan/types.ts';
import { block, defineCheck, pass, some } from '../define.ts';
import { askName, direction, failureText, podUrl } from './paths.ts';
import type { Path } from './paths.ts';

type Facts = {
  /** Nodes that took part, by network. */
  nodes: { flannel: string[]; calico: string[] };
  /** By direction: `{ "flannel -> calico": { asked: 9, failed: 0 } }`. */
  matrix: { [direction: string]: { asked: number; failed: number } };
  failures: Path[];
  /** Of one answer, ms. */
  slowestMs: number;
};

/** Of each network. Six nodes make thirty pairs and six execs, whatever the size of the cluster. */
const mostNodesEach = 3;

/** Every direction between old and new nodes works, on a bounded number of pairs that are spread over zones. */
export const clusterMatrix = defineCheck<Facts>({
  id: 'cluster-matrix',
  layer: 'pod-network',
  title: 'Old and new nodes reach each other in every direction',
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
    const paths = await Promise.all(
      parties.flatMap((from) =>
        parties
          .filter((to) => to.node !== from.node)
          .map(async (to): Promise<Path> => ({
            from: from.node,
            to: to.node,
            direction: direction(from.cni, to.cni),
            ...(await askName(context, from.pod, podUrl(context, to.pod), to.pod.name)),
          })),
      ),
    );
    const named = (cni: Cni) => parties.filter((party) => party.cni === cni).map((party) => party.node);
    return {
      nodes: { flannel: named('flannel'), calico: named('calico') },
      matrix: matrixOf(paths),
      failures: paths.filter((path) => !path.ok),
      slowestMs: Math.max(0, ...paths.map((path) => path.ms)),
    };
  },
  judge: ({ matrix, failures }) => {
    const counts = Object.entries(matrix).map(([way, { asked, failed }]) => `${way} ${asked - failed} of ${asked}`);
    if (failures.length === 0) return pass(`every path works: ${counts.join(', ')}`);

    return block(`${failures.length} paths fail (${counts.join(', ')} work): ${some(failures.map(failureText))}`, {
      remedy:
        'one node in all failures: look at that node; one direction in all failures: compare routes and FDB of the two kinds of node',
    });
  },
});

/** Ready nodes of one network, one zone after the other. More are tried than are needed: some may be under migration. */
async function participants(context: Asker, cni: Cni): Promise<Party[]> {
  const ofNetwork: PlannedNode[] = [];
  for (const node of context.planned) if ((await context.cniOf(node.name)) === cni) ofNetwork.push(node);

  const found: Party[] = [];
  for (const candidate of spreadOverZones(ofNetwork, mostNodesEach * 4)) {
    if (found.length === mostNodesEach) break;
    const party = await context.ready(candidate);
    if (party !== undefined) found.push(party);
  }
  return found;
}

function matrixOf(paths: readonly Path[]): Facts['matrix'] {
  const matrix: Facts['matrix'] = {};
  for (const path of paths) {
    const cell = (matrix[path.direction] ??= { asked: 0, failed: 0 });
    cell.asked += 1;
    if (!path.ok) cell.failed += 1;
  }
  return matrix;
}
