import { captureMetrics } from '../probe/capture/types.ts';
import type { CapturePath } from '../probe/capture/types.ts';
import { beforeAfter, metricRows, nodeSeconds, packetBytes, timeLine } from './charts.ts';
import { fixed } from './cost.ts';
import { Markup, html } from './markup.ts';
import { pageStyle } from './page-style.ts';
import type { Finding, Report } from './types.ts';
import { short, span, times, when } from './words.ts';

const glyphs = { good: '✔', bad: '✖', neutral: '·' };
const pathOrder: CapturePath[] = ['same-node', 'across-nodes', 'cluster-ip', 'host'];

/** The report as one page that needs nothing but itself: no script, no font, no link. */
export function reportHtml(report: Report): string {
  const { migration } = report;
  const title = `${report.stages.map((stage) => stage.title).join(', then ')}`;
  const tone = report.summary[0]?.tone ?? 'neutral';
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${migration.id}: ${title}</title>
        <style>
          ${new Markup(pageStyle)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <h1>${title} <span class="state ${tone}">${migration.state}</span></h1>
            <p class="meta">
              Migration <code>${migration.id}</code> of
              ${migration.cluster.server || migration.cluster.uid}${migration.startedAt !== '' && html`, ${when(migration.startedAt)} to ${migration.endedAt === '' ? 'now' : when(migration.endedAt)} UTC`}
            </p>
            ${migration.reason !== '' && html`<p>“${migration.reason}” <span class="meta">${migration.requester}</span></p>`}
          </header>
          <ul class="summary">
            ${report.summary.map(({ text, tone: each }) => html`<li><b class="${each}">${glyphs[each]}</b>${text}</li>`)}
          </ul>
          ${tiles(report)} ${changed(report)} ${gained(report)} ${cost(report)} ${disturbed(report)} ${decided(report)}
          ${checked(report)} ${nodes(report)} ${recorded(report)}
          <footer>
            Made by Cutover at ${when(report.at)} UTC from the record of ${migration.id}. Whoever has the record can
            make it again.
          </footer>
        </main>
      </body>
    </html> `;
  return page.text;
}

function tiles({ nodes: all, migration, gates, checks, trouble }: Report): Markup {
  const done = all.filter(({ state }) => state === 'migrated');
  const seconds = done.flatMap((node) => (node.seconds === null ? [] : [node.seconds])).toSorted((a, b) => a - b);
  const middle = seconds[Math.floor(seconds.length / 2)];
  const tile = (value: string, what: string): Markup =>
    html`<div class="tile"><b>${value}</b><span>${what}</span></div>`;
  return html`<div class="tiles">
    ${tile(`${done.length} / ${all.length}`, 'nodes on the new network')}
    ${tile(span(migration.elapsed.workSeconds), 'of work')}
    ${tile(middle === undefined ? 'n/a' : span(middle), 'for a node, median')}
    ${tile(String(trouble.rollbacks), trouble.rollbacks === 1 ? 'node taken back' : 'nodes taken back')}
    ${tile(checks.asked.toLocaleString('en-US'), `checks, ${checks.blocked} blocked`)}
    ${tile(String(gates.length), gates.length === 1 ? 'gate' : 'gates')}
  </div>`;
}

function changed(report: Report): Markup {
  const { stages, versions, captures } = report;
  const encapsulation = captures.find(({ judgement }) => judgement.encapsulation !== null)?.judgement.encapsulation;
  return html`<h2>What changed</h2>
    <dl>
      ${stages.map(
        ({ title, from, to, parts }) =>
          html`<dt>Stage</dt>
            <dd>
              ${title} (${from} → ${to}), ${times(parts.filter(({ kind }) => kind === 'wave').length, 'wave')},
              ${times(
                parts.reduce((sum, part) => sum + part.nodes, 0),
                'node',
              )}
            </dd>`,
      )}
      ${
        encapsulation &&
        html`<dt>Encapsulation</dt>
          <dd>${encapsulation.sentence}</dd>`
      }
      <dt>Kubernetes</dt>
      <dd>
        ${versions.kubernetes}; kubelet ${versions.kubelets.join(', ') || 'unknown'}; ${versions.runtimes.join(', ')};
        kernel ${versions.kernels.join(', ')}
      </dd>
      ${
        versions.images.length > 0 &&
        html`<dt>New images</dt>
          <dd>${versions.images.join(', ')}</dd>`
      }
      ${versions.bundles.map(
        ({ name, sha256 }) =>
          html`<dt>Bundle</dt>
            <dd>${name} <code>sha256:${sha256}</code></dd>`,
      )}
      <dt>Plan</dt>
      <dd>${report.migration.plan.name} <code>sha256:${report.migration.plan.hash}</code></dd>
    </dl>
    ${timeLine(report)}`;
}

function gained({ captures }: Report): Markup {
  return html`<h2>What was gained <span class="hint">and whether anything got slower</span></h2>
    ${captures.map((capture) => {
      const { before, after, judgement } = capture;
      const one = after ?? before;
      return html`${captures.length > 1 && html`<h3>${capture.title}</h3>`}
        <p class="${judgement.verdict}">${judgement.sentence}.</p>
        ${judgement.cautions.map((caution) => html`<p class="warn">⚠ ${caution}.</p>`)}
        ${
          one &&
          html`<p class="meta">
              ${one.nodes.from} → ${one.nodes.to}, ${one.settings.runs} runs of ${one.settings.seconds} s; a bar is the
              median, its whisker the least and the greatest run. A change counts when it is more than 10 % and more
              than twice the spread, as a share of the host's own. <span class="key before"></span>before
              <span class="key after"></span>after
            </p>
            ${captureMetrics.map((metric) => {
              const rows = metricRows(metric, pathOrder, capture);
              return rows.length > 0 && beforeAfter(metric, rows);
            })}`
        }
        ${
          judgement.encapsulation &&
          html`${packetBytes(judgement.encapsulation.before.frameBytes, [
            { label: 'before', overhead: judgement.encapsulation.before.median },
            { label: 'after', overhead: judgement.encapsulation.after.median },
          ])}`
        }
        ${devices(capture)}
        ${[...new Set([...(before?.failures ?? []), ...(after?.failures ?? [])])].map((failure) => html`<p class="warn">⚠ not measured: ${failure}.</p>`)}`;
    })}`;
}

function devices({ before, after }: Report['captures'][number]): Markup | undefined {
  const rows = [
    ...(before?.devices ?? []).map((device) => ({ moment: 'before', ...device })),
    ...(after?.devices ?? []).map((device) => ({ moment: 'after', ...device })),
  ];
  if (rows.length === 0) return undefined;
  return html`<h3>
      Devices <span class="hint">as <code>sar -n DEV</code> counts them, in a quiet moment and while measuring</span>
    </h3>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>when</th>
            <th>node</th>
            <th>device</th>
            <th class="number">quiet rxpck/s</th>
            <th class="number">txpck/s</th>
            <th class="number">rxkB/s</th>
            <th class="number">txkB/s</th>
            <th class="number">loaded rxpck/s</th>
            <th class="number">txpck/s</th>
            <th class="number">rxkB/s</th>
            <th class="number">txkB/s</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ({ moment, node, device, role, quiet, loaded }) =>
              html`<tr>
                <td>${moment}</td>
                <td>${node}</td>
                <td>${device} <span class="hint">${role}</span></td>
                ${[quiet, loaded].flatMap(({ rxpck, txpck, rxkB, txkB }) => [rxpck, txpck, rxkB, txkB].map((value) => html`<td class="number">${fixed(value)}</td>`))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function cost({ cost: estimate }: Report): Markup | undefined {
  if (estimate === null) return undefined;
  return html`<h2>Traffic cost <span class="hint">an estimate</span></h2>
    <p>
      <b>${fixed(estimate.perMonth)} ${estimate.currency} a month</b> saved, from ${estimate.savedBytesPerPacket} bytes
      less in each packet.
    </p>
    <p class="formula">${estimate.formula}</p>
    ${estimate.assumptions.map((assumption) => html`<p class="meta">${assumption}.</p>`)}`;
}

function disturbed({ bystanders, trouble }: Report): Markup {
  const rows = bystanders?.rows.filter(({ lost, brokenConnections }) => lost + brokenConnections > 0) ?? [];
  return html`<h2>What it cost on the way</h2>
    <dl>
      <dt>Failed attempts</dt>
      <dd>${trouble.failures} of a node, of a budget of ${trouble.failureBudget}</dd>
      <dt>Taken back</dt>
      <dd>
        ${times(trouble.rollbacks, 'time')}; ${times(trouble.retries, 'step or node', 'steps or nodes')} tried
        again${trouble.skipped.length > 0 && html`; left out: ${trouble.skipped.join(', ')}`}
      </dd>
      <dt>Bystanders</dt>
      <dd>
        ${
          bystanders === null
            ? 'not measured: no gate asked for it'
            : html`${times(bystanders.lost, 'packet')} lost, ${fixed(bystanders.secondsUnreachable)} s the longest
              without an answer, ${times(bystanders.brokenConnections, 'connection')} broken; nodes on their way lost
              ${times(bystanders.movingLost, 'packet')}, as they must`
        }
      </dd>
    </dl>
    ${
      rows.length > 0 &&
      html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>path</th>
              <th>from</th>
              <th>to</th>
              <th class="number">packets lost</th>
              <th class="number">seconds unreachable</th>
              <th class="number">connections broken</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (row) =>
                html`<tr>
                  <td>${row.service}</td>
                  <td>${row.from}</td>
                  <td>${row.to}</td>
                  <td class="number">${row.lost}</td>
                  <td class="number">${fixed(row.secondsUnreachable)}</td>
                  <td class="number">${row.brokenConnections}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
    }`;
}

function decided({ acts, gates }: Report): Markup {
  return html`<h2>Who decided</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>when (UTC)</th>
            <th>who</th>
            <th>what</th>
            <th>why</th>
            <th>evidence</th>
          </tr>
        </thead>
        <tbody>
          ${acts.map(
            ({ at, actor, what, about, reason, evidenceDigest }) =>
              html`<tr>
                <td class="time">${when(at)}</td>
                <td>${actor}</td>
                <td>${what} ${about}</td>
                <td>${reason}</td>
                <td><code>${short(evidenceDigest)}</code></td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${
      gates.length > 0 &&
      html`<h3>Gates</h3>
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>gate</th>
                <th>result</th>
                <th>open</th>
                <th>evidence</th>
                <th>digest</th>
              </tr>
            </thead>
            <tbody>
              ${gates.map(
                (gate) =>
                  html`<tr>
                    <td>${gate.id}</td>
                    <td class="word">${gate.state}</td>
                    <td class="time">
                      ${when(gate.openedAt)}${gate.closedAt !== '' && html`, ${span((Date.parse(gate.closedAt) - Date.parse(gate.openedAt)) / 1000)}`}
                    </td>
                    <td class="${gate.verdict}">
                      ${gate.verdict}${gate.findings.length > 0 && html`: ${gate.findings.map(({ id }) => id).join(', ')}`}
                    </td>
                    <td><code>${short(gate.digest)}</code></td>
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>`
    }`;
}

const mostFindings = 60;

function checked({ checks }: Report): Markup {
  const { asked, passed, warned, blocked, findings } = checks;
  return html`<h2>Checks</h2>
    <p>${times(asked, 'answer')}: ${passed} passed, ${warned} warned, ${blocked} blocked.</p>
    ${
      findings.length > 0 &&
      html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>verdict</th>
              <th>check</th>
              <th>node</th>
              <th>what it said last</th>
            </tr>
          </thead>
          <tbody>
            ${findings.slice(0, mostFindings).map(
              (finding) =>
                html`<tr>
                  <td class="${finding.verdict} word">
                    ${finding.verdict}${finding.times > 1 && html` ×${finding.times}`}
                  </td>
                  <td class="word">${finding.id}</td>
                  <td>${finding.node}</td>
                  <td>${finding.message}${remedy(finding)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
    }
    ${findings.length > mostFindings && html`<p class="meta">and ${findings.length - mostFindings} more: <code>cutover audit</code> has all.</p>`}`;
}

const remedy = ({ acknowledged, remedy: what }: Finding): Markup | undefined =>
  acknowledged !== ''
    ? html`<br /><span class="meta">accepted in the plan: ${acknowledged}</span>`
    : what === ''
      ? undefined
      : html`<br /><span class="meta">${what}</span>`;

function nodes({ nodes: all, stages }: Report): Markup {
  return html`<h2>Every node</h2>
    ${nodeSeconds(all)}
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>node</th>
            <th>zone</th>
            ${stages.length > 1 && html`<th>stage</th>`}
            <th>wave</th>
            <th>state</th>
            <th class="number">seconds</th>
            <th class="number">attempts</th>
            <th class="number">taken back</th>
          </tr>
        </thead>
        <tbody>
          ${all.map(
            (node) =>
              html`<tr>
                <td>${node.name}${node.controlPlane && html` <span class="hint">control plane</span>`}</td>
                <td>${node.zone}</td>
                ${stages.length > 1 && html`<td>${node.stage}</td>`}
                <td>${node.wave}</td>
                <td class="word ${node.state === 'migrated' ? '' : 'warn'}">${node.state}</td>
                <td class="number">${node.seconds === null ? '' : fixed(node.seconds)}</td>
                <td class="number">${node.attempts}</td>
                <td class="number">${node.rollbacks}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function recorded({ record }: Report): Markup {
  return html`<h2>The record</h2>
    <p class="${record.ok ? 'good' : 'bad'}">
      ${record.ok ? '✔ whole' : '✖ broken'}: ${times(record.records, 'record')},
      ${record.ofMigration.toLocaleString('en-US')} of this migration.
    </p>
    <p>Head: record ${record.head.seq}, <code>sha256:${record.head.hash}</code></p>
    ${record.problems.map((problem) => html`<p class="bad">${problem}</p>`)}
    <p class="meta"><code>cutover audit verify</code> finds an edit, a deletion, a reordering and a truncation.</p>`;
}
