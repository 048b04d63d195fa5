/** The page's whole style: one file, nothing fetched, light and dark, and a print that fits on paper. */
export const pageStyle = `
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1c2430; --soft: #5b6675; --line: #dde2e9; --panel: #f5f7fa;
  --before: #9aa7b8; --after: #2563c9; --good: #157347; --bad: #b42318; --warn: #8a5a00; --gate: #c98a1b; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14181e; --ink: #e4e8ee; --soft: #9aa5b3; --line: #2c343f; --panel: #1b2129;
  --before: #67758a; --after: #6ea8ff; --good: #5fc992; --bad: #ff8a80; --warn: #e2b45c; --gate: #d9a441; } }
@media print { :root { color-scheme: light;
  --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --panel: #f4f4f4;
  --before: #9a9a9a; --after: #1f4fa3; --good: #0d5c36; --bad: #9b1c13; --warn: #6e4800; --gate: #b07a17; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .35rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; }
.meta, .hint { color: var(--soft); }
.hint { font-weight: 400; font-size: .85em; }
.state { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; border: 1px solid currentColor; font-size: .85rem; font-weight: 600; vertical-align: .15em; margin-left: .4rem; }
.good, .gain { color: var(--good); } .bad, .regression, .block { color: var(--bad); } .warn { color: var(--warn); } .neutral, .no-change, .control { color: var(--soft); }
.summary { list-style: none; margin: 1.1rem 0 0; padding: 1rem 1.2rem; background: var(--panel); border-radius: .5rem; }
.summary li { padding-left: 1.5rem; text-indent: -1.5rem; margin: .3rem 0; }
.summary b { display: inline-block; width: 1.5rem; text-indent: 0; }
.summary li:first-child { font-size: 1.08rem; font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1.1rem 0 0; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.3rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .82rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .32rem .7rem .32rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.time, td.word { white-space: nowrap; overflow-wrap: normal; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .4rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0 1.4rem; } figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { display: block; width: 100%; height: auto; max-width: 720px; font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg text { fill: var(--ink); font-variant-numeric: tabular-nums; } svg .label { text-anchor: end; } svg .note { text-anchor: end; font-weight: 600; } svg .middle { text-anchor: middle; font-size: 11px; } svg .value { fill: var(--soft); }
svg .note.gain { fill: var(--good); } svg .note.regression { fill: var(--bad); } svg .note.no-change, svg .note.control { fill: var(--soft); font-weight: 400; }
.bar.before, .bar.prepare, .bar.finalize, .key.before { fill: var(--before); background: var(--before); } .bar.after, .bar.wave, .key.after { fill: var(--after); background: var(--after); }
.bar.gate { fill: var(--gate); } .bar.frame { fill: var(--line); }
.whisker { stroke: var(--ink); stroke-width: 1.2; fill: none; opacity: .75; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; vertical-align: -.08em; margin: 0 .3rem 0 .9rem; }
.formula { background: var(--panel); border-radius: .4rem; padding: .6rem .8rem; font: .85rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { main { padding: 1.1rem .9rem 3rem; } h1 { font-size: 1.3rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } figure { overflow-x: auto; } svg { min-width: 34rem; } }
@media print { @page { margin: 15mm; } body { font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; } main { max-width: none; padding: 0; } h2, h3, figcaption { break-after: avoid; } figure, tr, .tile, .summary { break-inside: avoid; } thead { display: table-header-group; } .scroll { overflow: visible; } }
`;
