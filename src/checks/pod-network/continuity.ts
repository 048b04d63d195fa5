import { kinds } from '../../kubernetes/kinds.ts';
import { continuityOf, type Continuity, type PathRow } from '../../probe/continuity.ts';
import { hostProbeName, probeName, streamContainer, streamReportFile } from '../../probe/manifests.ts';
import { spreadOverZones } from '../../probe/peers.ts';
import { runningProbe } from '../../probe/pods.ts';
import { parseStreamReport, type StreamReport } from '../../probe/stream-report.ts';
import { mapLimit, type Asker } from '../asker.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = Continuity & { budget: { unreachableSeconds: number; brokenConnections: number } };

/** Nodes whose probes are asked; on larger clusters as many as these of every zone. Two execs each. */
const mostNodes = 500;
const atOnce = 40;
/** When the plan says nothing. */
const defaultBudget = { unreachableSeconds: 5, brokenConnections: 0 };

/**
 * Bystanders stayed connected: what the continuous probe has seen since the last gate let the migration pass. It runs
 * between all nodes all the time, so it sees what no check at a gate can see any more.
 */
export const continuity = defineCheck<Facts>({
  id: 'continuity',
  layer: 'pod-network',
  title: 'Nobody was cut off meanwhile',
  scope: 'cluster',
  patient: true,
  ask: async (context) => {
    const asked = spreadOverZones(context.planned, mostNodes).map(({ name }) => name);
    const { reports, silent } = await collect(context, new Set(asked));
    const story = context.story?.() ?? { motions: [], kept: [], since: 0 };
    const zones = new Map(context.planned.map(({ name, zone }) => [name, zone]));
    return {
      ...continuityOf(
        { reports, ...story, zoneOf: (node) => zones.get(node) ?? '' },
        { asked: asked.length, silent, of: context.planned.length },
      ),
      budget: context.plan.continuity ?? defaultBudget,
    };
  },
  judge: ({ rows, probes, starved, moving, budget }) => {
    const over = rows.filter(
      (row) => row.unreachableSeconds > budget.unreachableSeconds || row.brokenConnections > budget.brokenConnections,
    );
    if (over.length > 0)
      return block(
        `bystanders were cut off for longer than the plan allows (${allowed(budget)}): ${some(over.map(rowText))}`,
        {
          remedy: over.some(({ down }) => down.length > 0)
            ? 'some of it lasts: read the checks of the layers below; when it is mended, reject the gate with the wave rolled back, and let it run again'
            : 'it is over, and cannot be undone: reject the gate with the wave rolled back and find the cause, or plan again with a larger spec.gates.continuity',
        },
      );
    if (probes.silent.length > 0)
      return warn(
        `${count(probes.silent.length, 'continuous probe')} of ${probes.asked * 2} said nothing: ${some(probes.silent)}`,
        {
          remedy: 'look at the container `stream` of these pods; then take the evidence anew',
        },
      );
    if (starved.lost > 0)
      return warn(
        `${count(starved.lost, 'packet')} of ${some(starved.nodes)} were lost while the canary on the nodes' own network lost as well: not believed`,
        {
          remedy:
            'the probes of these nodes got no processor, or their network was down: look at the load, then take the evidence anew',
        },
      );

    const sent = rows.reduce((sum, row) => sum + row.sent, 0);
    const lost = rows.reduce((sum, row) => sum + row.lost, 0);
    const apart =
      moving.nodes.length === 0 ? '' : `; ${moving.lost} more on ${count(moving.nodes.length, 'node')} that moved`;
    const worst = rows[0] !== undefined && rows[0].unreachableSeconds > 0 ? `, at worst ${rowText(rows[0])}` : '';
    return pass(
      `bystanders lost ${lost} of ${count(sent, 'packet')} and no connection beyond what the plan allows${worst}${apart}`,
    );
  },
});

const allowed = ({ unreachableSeconds, brokenConnections }: Facts['budget']): string =>
  `${unreachableSeconds} s and ${count(brokenConnections, 'connection')}`;

export const rowText = ({
  service,
  fromZone,
  toZone,
  unreachableSeconds,
  brokenConnections,
  since,
  down,
}: PathRow): string => {
  const way = toZone === '' ? `from ${fromZone || 'anywhere'}` : `${fromZone} -> ${toZone}`;
  const broken = brokenConnections > 0 ? ` and ${count(brokenConnections, 'broken connection')}` : '';
  const lasts = down.length > 0 ? `, still: ${some(down, 2)}` : '';
  return `${service} ${way}: ${unreachableSeconds} s${broken} since ${since.slice(11, 19) || 'the start'}${lasts}`;
};

async function collect(
  context: Asker,
  nodes: ReadonlySet<string>,
): Promise<{ reports: StreamReport[]; silent: string[] }> {
  const { namespace } = context.plan.probe;
  const pods = await context.kubernetes.list(kinds.pod, {
    namespace,
    labelSelector: `app in (${probeName},${hostProbeName})`,
  });
  const places = [...nodes].flatMap((node) => [probeName, hostProbeName].map((app) => ({ node, app })));
  const byPlace = Map.groupBy(pods, (pod) => `${pod['spec']?.nodeName} ${pod.metadata.labels?.['app']}`);
  const answers = await mapLimit(places, atOnce, async ({ node, app }) => {
    const pod = runningProbe(byPlace.get(`${node} ${app}`) ?? []);
    if (typeof pod === 'string') return `${app} on ${node} (${pod})`;
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        const { stdout } = await context.kubernetes.exec(
          { namespace, name: pod.name, container: streamContainer },
          ['cat', streamReportFile],
          { timeoutMs: 10_000, signal: context.signal },
        );
        // Read in the middle of being written: at once again.
        const report = parseStreamReport(stdout);
        if (report !== undefined) return report;
      } catch {
        context.signal.throwIfAborted();
      }
    }
    return `${app} on ${node} (it has no report)`;
  });
  return {
    reports: answers.filter((answer) => typeof answer !== 'string'),
    silent: answers.filter((answer) => typeof answer === 'string'),
  };
}
