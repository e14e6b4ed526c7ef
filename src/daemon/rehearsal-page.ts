import { breakerText, RATE_WINDOWS } from '../core/rehearsal-report.ts'
import { rehearsalChart } from './rehearsal-chart.ts'
import type { RehearsalReport, ReportedLock } from './rehearse.ts'

/**
 * The report as one HTML page: no script, nothing from elsewhere, light and dark. Every text that comes from outside is
 * escaped. Pure.
 */

/** Rows of the table at most; the JSON has all. */
const ROWS_MAX = 2_000

export const WINDOW_NAMES: Readonly<Record<(typeof RATE_WINDOWS)[number]['name'], string>> = {
  minute: 'a minute',
  tenMinutes: 'ten minutes',
  hour: 'an hour',
  day: 'a day',
}

export function rehearsalPage(report: RehearsalReport): string {
  const { locks, breaker, rates } = report
  const written = locks.filter(isWritten)
  const spared = locks.filter((lock) => lock.fate === 'protected')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lockstep rehearsal</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What Lockstep would have locked</h1>
<p>privacyIDEA ${escapeHtml(report.version)}, ${localTime(report.sinceMs)} to ${localTime(report.untilMs)}
(${zoneText(report.zoneMs)}), ${report.rows.toLocaleString('en')} rows of its audit log. Nothing was changed anywhere.</p>
<dl>
${figure(written.length, 'locks')}
${figure(new Set(written.map(userOf)).size, 'accounts')}
${figure(report.lockedAtOnce.count, 'locked at once, at most')}
${figure(new Set(spared.map(userOf)).size, 'protected accounts, not locked')}
</dl>
<figure>
${rehearsalChart(report)}
</figure>
<h2>How fast</h2>
<table class="narrow">
<thead><tr><th>within</th><th class="number">locks, at most</th><th>from</th></tr></thead>
<tbody>
${RATE_WINDOWS.map(({ name }) => {
  const { count, fromMs } = rates[name]
  return `<tr><td>${WINDOW_NAMES[name]}</td><td class="number">${count}</td><td>${fromMs === null ? '' : localTime(fromMs)}</td></tr>`
}).join('\n')}
</tbody>
</table>
<h2>The breaker</h2>
<pre>guards:
  breaker: ${breakerText(breaker)}</pre>
<p>A usual day needs ${breaker.usualMax} within ten minutes; this is twice as many, and five at least. ${stoppedText(report)}</p>
<h2>Who and when</h2>
${tableOf(locks)}
<h2>What this cannot tell</h2>
<ul>
${report.caveats.map((text) => `<li>${escapeHtml(text)}</li>`).join('\n')}
</ul>
</main>
</body>
</html>
`
}

/** Whether Lockstep would have written it; what is unknown counts as written. */
export function isWritten(lock: ReportedLock): boolean {
  return lock.fate === 'locked' || lock.fate === 'unknown'
}

function userOf(lock: ReportedLock): string {
  return `${lock.realm ?? ''}\n${lock.login}`
}

function figure(count: number, text: string): string {
  return `<div><dd>${count.toLocaleString('en')}</dd><dt>${text}</dt></div>`
}

function stoppedText({ breaker }: RehearsalReport): string {
  const { daysStopped } = breaker
  if (daysStopped.length === 0) return 'It would have stopped nothing in this time.'
  const days = daysStopped.slice(0, 10).map(({ dayMs, count }) => `${localTime(dayMs).slice(0, 10)} (${count})`)
  const more = daysStopped.length > 10 ? ' and others' : ''
  return `It would have held locks back on ${days.join(', ')}${more}: look whether that was an attack, or a day like others.`
}

function tableOf(locks: readonly ReportedLock[]): string {
  if (locks.length === 0) return '<p>Nobody.</p>'
  const rows = locks
    .slice(0, ROWS_MAX)
    .map(
      (lock) =>
        `<tr${isWritten(lock) ? '' : ' class="spared"'}><td>${escapeHtml(lock.login)}</td><td>${escapeHtml(lock.realm ?? '')}</td>` +
        `<td>${localTime(lock.fromMs)}</td><td>${endText(lock)}</td><td class="number">${durationText(lock)}</td>` +
        `<td>${escapeHtml(lock.serials.join(', '))}</td><td>${lock.isConfirmed ? 'said' : 'counted'}</td><td>${escapeHtml(fateText(lock))}</td></tr>`,
    )
  const left = locks.length - rows.length
  return `<div class="wide"><table>
<thead><tr><th>login</th><th>realm</th><th>from</th><th>to</th><th class="number">for</th><th>tokens</th><th>how known</th><th>account</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>${left > 0 ? `\n<p>${left.toLocaleString('en')} more: <code>--json</code> gives all.</p>` : ''}`
}

export function endText(lock: Pick<ReportedLock, 'toMs' | 'end'>): string {
  if (lock.toMs === null) return lock.end === 'unseen' ? 'ended unseen' : 'still'
  return `${lock.end === 'unseen' ? 'before ' : ''}${localTime(lock.toMs)}`
}

export function durationText({ fromMs, toMs }: Pick<ReportedLock, 'fromMs' | 'toMs'>): string {
  if (toMs === null) return ''
  const s = Math.round((toMs - fromMs) / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86_400).toFixed(1)} d`
}

export function fateText(lock: Pick<ReportedLock, 'fate' | 'why'>): string {
  if (lock.fate === 'protected') return `protected: ${lock.why}`
  if (lock.fate === 'no-account') return `no account (${lock.why})`
  return lock.fate === 'unknown' ? 'not looked up' : ''
}

/** `2026-11-24 13:36`, of a time that is local already. */
export function localTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}

export function zoneText(zoneMs: number | null): string {
  if (zoneMs === null) return "the server's own time"
  const minutes = Math.abs(zoneMs) / 60_000
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  return `UTC${zoneMs < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}, as it is there now`
}

export function escapeHtml(text: string): string {
  const escaped: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (character) => escaped[character] ?? '')
}

const STYLE = `
:root { color-scheme: light dark; --text: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #fff; --locked: #b3402e; --spared: #8a97a8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa6b5; --line: #333c48; --page: #14181e; --locked: #ef7d68; --spared: #6f7d90; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p, li { max-width: 46rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; } dl div { display: flex; flex-direction: column; }
dd { margin: 0; font-size: 1.9rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.2; } dt { color: var(--soft); }
figure { margin: 1.5rem 0; overflow-x: auto; } svg { display: block; width: 100%; min-width: 34rem; height: auto; }
.axis { fill: var(--soft); font-size: 12px; } .grid { stroke: var(--line); } .locked { fill: var(--locked); } .spared { fill: var(--spared); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } table.narrow { width: auto; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } .number { text-align: right; font-variant-numeric: tabular-nums; }
tr.spared td { color: var(--soft); } .wide { overflow-x: auto; }
td:last-child { white-space: normal; }
pre { padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; }
`
