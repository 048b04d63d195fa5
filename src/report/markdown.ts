import { number, percent } from '../probe/capture/judge.ts';
import { metricTable, pathTitles } from '../probe/capture/types.ts';
import { fixed } from './cost.ts';
import type { Report } from './types.ts';
import { short, span, times, when } from './words.ts';

/** The report as GitHub-flavoured Markdown: the facts of the page, tables in the place of its plots. */
export function reportMarkdown(report: Report): string {
  const { migration } = report;
  const lines = [
    `# ${text(report.stages.map((stage) => stage.title).join(', then '))}: ${migration.state}`,
    '',
    `Migration \`${code(migration.id)}\` of ${text(migration.cluster.server || migration.cluster.uid)}${migration.startedAt === '' ? '' : `, ${when(migration.startedAt)} to ${migration.endedAt === '' ? 'now' : when(migration.endedAt)} UTC`}`,
    ...(migration.reason === '' ? [] : ['', `> ${text(migration.reason)} (${text(migration.requester)})`]),
    '',
    ...report.summary.map(
      ({ text: sentence, tone }) => `- ${{ good: '✔', bad: '✖', neutral: '·' }[tone]} ${text(sentence)}`,
    ),
    '',
    ...changed(report),
    ...gained(report),
    ...cost(report),
    ...disturbed(report),
    ...decided(report),
    ...checked(report),
    '## Every node',
    '',
    ...table(
      ['node', 'zone', 'stage', 'wave', 'state', 'seconds', 'attempts', 'taken back'],
      report.nodes.map((node) => [
        node.name,
        node.zone,
        node.stage,
        node.wave,
        node.state,
        node.seconds === null ? '' : fixed(node.seconds),
        String(node.attempts),
        String(node.rollbacks),
      ]),
    ),
    '## The record',
    '',
    `${report.record.ok ? '✔ whole' : '✖ broken'}: ${times(report.record.records, 'record')}, ${report.record.ofMigration} of this migration; head: record ${report.record.head.seq}, \`sha256:${report.record.head.hash}\``,
    ...report.record.problems.map((problem) => `- ${text(problem)}`),
    '',
    `Made by Cutover at ${when(report.at)} UTC.`,
  ];
  return `${lines.join('\n')}\n`;
}

const changed = ({ stages, versions, migration }: Report): string[] => [
  '## What changed',
  '',
  ...stages.map(({ title, from, to }) => `- ${text(`${title} (${from} → ${to})`)}`),
  `- Kubernetes ${text([versions.kubernetes, ...versions.kubelets, ...versions.runtimes, ...versions.kernels].join(', '))}`,
  ...(versions.images.length > 0 ? [`- new images: ${text(versions.images.join(', '))}`] : []),
  ...versions.bundles.map(({ name, sha256 }) => `- bundle ${text(name)} \`sha256:${sha256}\``),
  `- plan ${text(migration.plan.name)} \`sha256:${migration.plan.hash}\``,
  '',
  ...table(
    ['stage', 'part', 'nodes', 'state', 'from (UTC)', 'took'],
    stages.flatMap((stage) =>
      stage.parts.map((part) => [
        stage.id,
        part.kind === 'wave' ? `wave ${part.id}` : part.id,
        part.kind === 'wave' ? String(part.nodes) : '',
        part.state,
        when(part.startedAt),
        part.startedAt === '' || part.endedAt === ''
          ? ''
          : span((Date.parse(part.endedAt) - Date.parse(part.startedAt)) / 1000),
      ]),
    ),
  ),
];

const gained = ({ captures }: Report): string[] => [
  '## What was gained',
  '',
  ...captures.flatMap(({ title, judgement, before, after }) => [
    ...(captures.length > 1 ? [`### ${text(title)}`, ''] : []),
    `${text(judgement.sentence)}.`,
    '',
    ...judgement.cautions.map((caution) => `- ⚠ ${text(caution)}`),
    ...(judgement.encapsulation ? [`- ${text(judgement.encapsulation.sentence)}`] : []),
    ...[...new Set([...(before?.failures ?? []), ...(after?.failures ?? [])])].map(
      (failure) => `- ⚠ not measured: ${text(failure)}`,
    ),
    '',
    ...table(
      [
        'figure',
        'path',
        'before (least to greatest)',
        'after (least to greatest)',
        "of the host's own",
        'change',
        'spread',
        'verdict',
      ],
      judgement.comparisons.map((each) => [
        metricTable[each.metric].title,
        pathTitles[each.path],
        `${number(each.before.median)} ${each.unit} (${number(each.before.min)} to ${number(each.before.max)})`,
        `${number(each.after.median)} ${each.unit} (${number(each.after.min)} to ${number(each.after.max)})`,
        each.ofHost ? `${percent(each.ofHost.before)} → ${percent(each.ofHost.after)}` : '',
        `${percent(Math.abs(each.change))} ${each.change >= 0 ? 'better' : 'worse'}`,
        percent(each.spread),
        `${each.verdict}${each.doubtful ? ', doubtful' : ''}`,
      ]),
    ),
  ]),
];

const cost = ({ cost: estimate }: Report): string[] =>
  estimate === null
    ? []
    : [
        '## Traffic cost (an estimate)',
        '',
        `**${fixed(estimate.perMonth)} ${text(estimate.currency)} a month** saved.`,
        '',
        `    ${estimate.formula}`,
        '',
        ...estimate.assumptions.map((assumption) => `- ${text(assumption)}`),
        '',
      ];

const disturbed = ({ bystanders, trouble }: Report): string[] => [
  '## What it cost on the way',
  '',
  `- ${times(trouble.failures, 'failed attempt')} of a node, of a budget of ${trouble.failureBudget}; ${times(trouble.rollbacks, 'rollback')}; ${trouble.retries} tried again${trouble.skipped.length > 0 ? `; left out: ${text(trouble.skipped.join(', '))}` : ''}`,
  bystanders === null
    ? '- bystanders: not measured, no gate asked for it'
    : `- bystanders: ${times(bystanders.lost, 'packet')} lost, ${fixed(bystanders.secondsUnreachable)} s the longest without an answer, ${times(bystanders.brokenConnections, 'connection')} broken`,
  '',
];

const decided = ({ acts, gates }: Report): string[] => [
  '## Who decided',
  '',
  ...table(
    ['when (UTC)', 'who', 'what', 'why', 'evidence'],
    acts.map(({ at, actor, what, about, reason, evidenceDigest }) => [
      when(at),
      actor,
      `${what} ${about}`,
      reason,
      short(evidenceDigest),
    ]),
  ),
  ...table(
    ['gate', 'result', 'open since (UTC)', 'evidence', 'findings', 'digest'],
    gates.map((gate) => [
      gate.id,
      gate.state,
      when(gate.openedAt),
      gate.verdict,
      gate.findings.map(({ id }) => id).join(', '),
      short(gate.digest),
    ]),
  ),
];

const checked = ({ checks: { asked, passed, warned, blocked, findings } }: Report): string[] => [
  '## Checks',
  '',
  `${times(asked, 'answer')}: ${passed} passed, ${warned} warned, ${blocked} blocked.`,
  '',
  ...table(
    ['verdict', 'check', 'node', 'what it said last', 'accepted'],
    findings.map((finding) => [finding.verdict, finding.id, finding.node, finding.message, finding.acknowledged]),
  ),
];

function table(head: string[], rows: readonly string[][]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: readonly string[]): string => `| ${cells.map(text).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line), ''];
}

/** Nothing that people or clusters wrote becomes markup, a table cell or HTML. */
const text = (written: string): string =>
  written
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\\`*_[\]<>|#~]/g, (character) => `\\${character}`)
    .trim();

const code = (written: string): string => written.replaceAll('`', "'");
