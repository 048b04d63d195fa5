import { number, percent } from '../probe/capture/judge.ts';
import { fixed } from './cost.ts';
import type { Report } from './types.ts';
import { span, times } from './words.ts';

type Sentence = Report['summary'][number];

/** What a board reads first: how it ended, what it did to users, what it gained, who said yes, and whether the record can be trusted. */
export function summaryOf(report: Omit<Report, 'summary'>): Sentence[] {
  return [
    endOf(report),
    bystanderSentence(report),
    troubleOf(report),
    ...gainOf(report),
    costSentence(report),
    decisionsOf(report),
    recordOf(report),
  ].filter((sentence) => sentence !== undefined);
}

function endOf({ migration, nodes, stages }: Omit<Report, 'summary'>): Sentence {
  const done = nodes.filter(({ state }) => state === 'migrated').length;
  const change = `${stages[0]?.from ?? ''} to ${stages.at(-1)?.to ?? ''}`;
  const took =
    migration.startedAt === ''
      ? ''
      : `, in ${span(migration.elapsed.workSeconds)} of work and ${span(migration.elapsed.waitingSeconds)} of waiting for people and gates`;
  const text = `${change}: ${migration.state}, ${done} of ${times(nodes.length, 'node')} on the new network${took}`;
  const tone = migration.state === 'completed' ? 'good' : migration.endedAt === '' ? 'neutral' : 'bad';
  return { text, tone };
}

function bystanderSentence({ bystanders }: Omit<Report, 'summary'>): Sentence | undefined {
  if (bystanders === null)
    return {
      text: 'whether pods that stood still lost packets was not measured: no gate asked for it',
      tone: 'neutral',
    };
  const { lost, secondsUnreachable, brokenConnections } = bystanders;
  if (lost === 0 && brokenConnections === 0)
    return { text: 'pods that stood still lost no packet and no connection', tone: 'good' };
  return {
    text: `pods that stood still lost ${times(lost, 'packet')} and ${times(brokenConnections, 'connection')}; the longest that one path was without an answer is ${fixed(secondsUnreachable)} s`,
    tone: 'bad',
  };
}

function troubleOf({ trouble }: Omit<Report, 'summary'>): Sentence {
  const { failures, failureBudget, rollbacks, retries, skipped } = trouble;
  if (failures + rollbacks + skipped.length === 0)
    return { text: 'no node failed and nothing was taken back', tone: 'good' };
  const left = skipped.length > 0 ? `, ${times(skipped.length, 'node')} left out` : '';
  return {
    text: `${times(failures, 'failed attempt')} of a node (the budget is ${failureBudget}), ${times(rollbacks, 'rollback')}, ${times(retries, 'repeat', 'repeats')} of a step${left}`,
    tone: failures > failureBudget || skipped.length > 0 ? 'bad' : 'neutral',
  };
}

function gainOf({ captures }: Omit<Report, 'summary'>): Sentence[] {
  return captures.flatMap(({ judgement, stage }): Sentence[] => {
    const where = captures.length > 1 ? `${stage}: ` : '';
    const { comparisons, encapsulation, cautions, verdict } = judgement;
    const gains = comparisons.filter((each) => each.verdict === 'gain').length;
    const worse = comparisons.filter((each) => each.verdict === 'regression').length;
    const across = comparisons.find(({ metric, path }) => metric === 'throughput' && path === 'across-nodes');
    const speed = across
      ? `; TCP across nodes ${number(across.before.median)} -> ${number(across.after.median)} Mbit/s${across.ofHost ? `, ${percent(across.ofHost.before)} -> ${percent(across.ofHost.after)} of the host's own` : ''}`
      : '';
    const text =
      comparisons.length === 0
        ? judgement.sentence
        : `of ${comparisons.length} figures of speed ${gains} got better and ${worse} worse beyond noise${speed}`;
    const doubt = cautions.length > 0 ? ' (the control moved: read it with care)' : '';
    return [
      {
        text: `${where}${text}${doubt}`,
        tone: worse > 0 ? 'bad' : verdict === 'gain' && doubt === '' ? 'good' : 'neutral',
      },
      ...(encapsulation
        ? [
            {
              text: `${where}${encapsulation.sentence}`,
              tone: encapsulation.savedBytes > 0 ? ('good' as const) : ('neutral' as const),
            },
          ]
        : []),
    ];
  });
}

function costSentence({ cost }: Omit<Report, 'summary'>): Sentence | undefined {
  if (cost === null) return undefined;
  return {
    text: `about ${fixed(cost.perMonth)} ${cost.currency} a month of traffic between zones saved (${cost.volume} volume)`,
    tone: cost.perMonth > 0 ? 'good' : 'neutral',
  };
}

function decisionsOf({ migration, gates }: Omit<Report, 'summary'>): Sentence {
  const decisions = gates.flatMap((gate) => gate.decisions);
  const people = (verdict: string): string[] => [
    ...new Set(decisions.filter((each) => each.verdict === verdict).map(({ actor }) => actor)),
  ];
  const approved = people('approve');
  const rejected = people('reject');
  const said = [
    approved.length > 0 ? `approved by ${approved.join(', ')}` : 'approved by nobody at a gate',
    ...(rejected.length > 0 ? [`rejected by ${rejected.join(', ')}`] : []),
  ];
  return {
    text: `launched by ${migration.requester || 'nobody known'}, ${said.join(', ')}, at ${times(gates.length, 'gate')}`,
    tone: 'neutral',
  };
}

function recordOf({ record }: Omit<Report, 'summary'>): Sentence {
  return record.ok
    ? { text: `the record is whole: ${times(record.records, 'record')}, chained by hash`, tone: 'good' }
    : { text: `the record is broken: ${record.problems[0] ?? 'it is not what was written'}`, tone: 'bad' };
}
