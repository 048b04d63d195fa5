import { resultsFolder, type Result } from './results.ts';

/** Tables of what the scenarios measured, for a person; the same is kept as JSON. */
export function resultLines(results: readonly Result[]): string[] {
  if (results.length === 0) return [];
  return [...results.flatMap(linesOf), '', `as JSON: ${resultsFolder}`];
}

function linesOf({ scenario, seconds, nodeSeconds, steps, judged, residue, checks, notes }: Result): string[] {
  const lines = ['', `== ${scenario}${seconds === undefined ? '' : `: ${seconds.toFixed(1)} s in all`}`];
  if (nodeSeconds)
    lines.push(
      Object.entries(nodeSeconds)
        .map(([node, took]) => `${node} ${took.toFixed(1)} s`)
        .join('   '),
    );
  if (steps && steps.length > 0) lines.push('', ...stepTable(steps));
  if (judged) {
    const { bystanders, bystandersP99Ms, moved, services, dns, canary, starved } = judged;
    lines.push(
      '',
      `lost of sent: bystanders ${bystanders.lost}/${bystanders.sent}, moved pods ${moved.lost}/${moved.sent}, ClusterIP ${services.lost}/${services.sent}, DNS ${dns.lost}/${dns.sent}`,
      ...[bystanders, moved, services, dns]
        .filter(({ worst }) => worst !== '')
        .map(({ worst }) => `  most by ${worst}`),
      `canary: ${canary.lost} lost, p99 ${canary.p99Ms.toFixed(1)} ms (slowest pair of bystanders: ${bystandersP99Ms.toFixed(1)} ms)${starved ? '  STARVED: repeat this run, do not believe it' : ''}`,
      '',
      ...table([
        ['node', 'NodePort dark', 'failed', 'failed later', 'hostPort dark', 'by others', 'works'],
        ...judged.nodes.map((node) => [
          node.node,
          `${node.nodePortDarkSeconds} s`,
          String(node.nodePortLost),
          String(node.nodePortLostLater),
          `${node.hostPortDarkSeconds} s`,
          String(node.hostPortWrong),
          node.hostPortWorks ? 'yes' : 'NO',
        ]),
      ]),
    );
  }
  if (residue) lines.push('', residue.length === 0 ? 'residue: none' : `residue: ${residue.join('; ')}`);
  if (checks) lines.push('', `${checks.length} verdicts: \`npm run lab -- fidelity\` writes them down`);
  for (const note of notes ?? []) lines.push(note);
  return lines;
}

/** One row a step, one column a node and direction, seconds. */
function stepTable(steps: NonNullable<Result['steps']>): string[] {
  const columns = [...new Set(steps.map(({ node, direction }) => `${node} ${direction}`))];
  const rows = [...new Set(steps.map(({ step }) => step))];
  return table([
    ['step, seconds', ...columns.map((column) => column.replace(' forward', ''))],
    ...rows.map((row) => [
      row,
      ...columns.map((column) => {
        const times = steps.filter(({ step, node, direction }) => step === row && `${node} ${direction}` === column);
        return times.length === 0 ? '' : times.map(({ seconds }) => seconds.toFixed(1)).join('+');
      }),
    ]),
  ]);
}

function table(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
