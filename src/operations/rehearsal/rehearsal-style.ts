/** The style of a rehearsal's page: first for a phone, then for wider pages. Each part depends on its own width. */

/** The columns of the locks: beside each other where there is room, else in lines with a label before each value. */
export const LOCK_COLUMNS = [
  { title: 'login', label: '', width: '16%' },
  { title: 'realm', label: 'realm ', width: '8%' },
  { title: 'from', label: 'from ', width: '14.5%' },
  { title: 'to', label: 'to ', width: '14.5%' },
  { title: 'for', label: 'for ', width: '7.5%' },
  { title: 'tokens', label: 'tokens ', width: '14.5%' },
  { title: 'how known', label: 'how known ', width: '9%' },
  { title: 'note', label: '', width: '16%' },
] as const

const COLOURS = `
:root { color-scheme: light dark; --text: #1c2430; --soft: #556070; --line: #d9dee5; --base: #8a94a2; --page: #fff; --block: #f4f6f8;
  --locked: #b3402e; --spared: #75839a; --limit: #1f5fa8; --focus: #1f5fa8; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e4e8ee; --soft: #a3aebc; --line: #333c48; --base: #77828f; --page: #14181e; --block: #1d232b;
    --locked: #ef7d68; --spared: #76859a; --limit: #8fbdf2; --focus: #8fbdf2; }
}`

const TEXT = `
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 100%/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem max(1rem, 3vw) 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p, li { max-width: 46rem; } ul.caveats { padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 8.5rem), 1fr)); gap: 1rem 1.5rem; margin: 1.5rem 0; max-width: 58rem; } dl div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
dd { margin: 0; font-size: 1.9rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.2; } dt { color: var(--soft); }
pre { width: fit-content; max-width: 100%; margin: .5rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--block);
  font: .9rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
summary { cursor: pointer; padding: .25rem 0; color: var(--soft); } :focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
details, .sized { container-type: inline-size; }`

const CHARTS = `
.chart { margin: 1rem 0; container-type: inline-size; } .chart .wide { display: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 0 2rem; align-items: end; }
.caption, .note { margin: 0; max-width: none; } .caption { font-weight: 500; } .note, .legend { font-size: .9rem; color: var(--soft); }
.plot { display: grid; grid-template-columns: auto minmax(0, 1fr); column-gap: .5rem; padding: 1.6rem 1.1rem 0 0; font-size: .8rem; color: var(--soft); }
.values { display: flex; flex-direction: column-reverse; justify-content: space-between; text-align: right; font-variant-numeric: tabular-nums; }
.values span { height: 0; line-height: 0; }
.area { position: relative; height: 11rem; } .panels .area { height: 7rem; } .area svg { display: block; width: 100%; height: 100%; overflow: visible; }
.times { grid-column: 2; position: relative; height: 1.6rem; } .times span { position: absolute; top: .3rem; transform: translateX(-50%); white-space: nowrap; }
.locked { fill: var(--locked); background: var(--locked); } rect.spared, .swatch.spared { fill: var(--spared); background: var(--spared); } .gap { fill: var(--page); }
line { vector-effect: non-scaling-stroke; stroke-width: 1px; } .grid { stroke: var(--line); } .base { stroke: var(--base); }
line.limit { stroke: var(--limit); stroke-width: 2px; stroke-dasharray: 6 4; }
.limit-text { position: absolute; right: 0; bottom: var(--at); padding: 0 .2rem .1rem; color: var(--limit); font-weight: 600; line-height: 1.2; } .limit-text.left { right: auto; left: 0; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .25rem 0; padding: 0; list-style: none; }
.swatch { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 2px; print-color-adjust: exact; } svg { print-color-adjust: exact; }
@container (max-width: 15rem) { .times span:nth-child(even) { display: none; } .plot { padding-top: 3rem; } .limit-text { bottom: 100%; } }
@container (min-width: 44rem) { .chart .narrow { display: none; } .chart .wide { display: block; } }`

const TABLES = `
table { border-collapse: collapse; width: 100%; font-size: .92rem; } th, td { text-align: left; vertical-align: top; font-weight: inherit; }
thead th { color: var(--soft); } .number { font-variant-numeric: tabular-nums; } tr.spared { color: var(--soft); }
thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
table, tbody, tr, tbody th { display: block; } tr { padding: .4rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
tbody th { font-weight: 600; } td { display: inline; unicode-bidi: isolate; margin-right: .7em; } td:empty { display: none; } time { white-space: nowrap; }
td::before { content: attr(data-label) " "; color: var(--soft); }
${LOCK_COLUMNS.map(({ label }, index) => `.locks td:nth-child(${index + 1})::before { content: "${label}"; }`).join('\n')}`

/** Rows of a table beside each other again. */
const BESIDE = (table: string): string => `
${table} { display: table; } ${table} thead { display: table-header-group; position: static; clip-path: none; white-space: normal; }
${table} tbody { display: table-row-group; } ${table} tr { display: table-row; } ${table} :is(th, td) { display: table-cell; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
${table} td:empty { display: table-cell; } ${table} td:nth-child(n)::before { content: none; } ${table} .number { text-align: right; } ${table} tbody th { font-weight: inherit; }`

export const STYLE = `${COLOURS}${TEXT}${CHARTS}${TABLES}
@container (min-width: 30rem) {${BESIDE('.stacks')}
.stacks { width: auto; } }
@container (min-width: 18rem) {${BESIDE('.numbers')}
.numbers { width: auto; font-size: .85rem; } .numbers th { overflow-wrap: normal; } .numbers :is(th, td):not(:first-child) { padding-left: .5rem; padding-right: 0; min-width: 2.4rem; } }
@container (min-width: 54rem) {${BESIDE('.locks')}
.locks { table-layout: fixed; } .locks time { display: inline-block; white-space: normal; }
${LOCK_COLUMNS.map(({ width }, index) => `.locks th:nth-child(${index + 1}) { width: ${width}; }`).join('\n')} }
`
