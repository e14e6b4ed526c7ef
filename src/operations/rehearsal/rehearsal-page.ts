import { counted } from '../../core/format/counted.ts'
import { span } from '../../core/format/duration.ts'
import { breakerLines, RATE_WINDOWS } from '../../core/source/rehearsal-report.ts'
import { isWithin, isWritten, limitFigures, limitsOf, locksFigure } from './rehearsal-figures.ts'
import { LOCK_COLUMNS, STYLE } from './rehearsal-style.ts'
import type { RehearsalReport, ReportedLock } from './rehearse.ts'

export { isWritten }

/**
 * The report as one HTML page: no script, nothing from elsewhere, light and dark, from the width of a phone on. Every text
 * that comes from outside is escaped. Pure.
 */

/** Rows of the table at most; the JSON has all. */
const ROWS_MAX = 2_000
/** Rows that are shown at once; the others are folded. */
const ROWS_OPEN = 200
const STOPPED_MAX = 10
/** The meaning of the columns `how known` and `note`. */
export const LEGEND =
  'How known: counted = the failures in the log filled the token; said = a later attempt was answered as full, so privacyIDEA itself reported that it was. Note: why an account would not have been locked; empty = it would have been.'

/** Not enough days with locks to call one of them usual. A rehearsal of 24 hours is of two. */
const FEW_DAYS = 2

export const WINDOW_NAMES: Readonly<Record<(typeof RATE_WINDOWS)[number]['name'], string>> = {
  minute: 'a minute',
  tenMinutes: 'ten minutes',
  hour: 'an hour',
  day: 'a day',
}

export function rehearsalPage(report: RehearsalReport): string {
  const { locks, breaker } = report
  const written = locks.filter(isWritten)
  const spared = locks.filter((lock) => lock.fate === 'protected')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lockstep rehearsal</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What Lockstep would have locked</h1>
<p>privacyIDEA ${escapeHtml(report.version)}, ${timeHtml(report.sinceMs)} to ${timeHtml(report.untilMs)}
(${zoneText(report.zoneMs)}), ${numberText(report.rows)} ${report.rows === 1 ? 'row' : 'rows'} of its audit log. Nothing was changed anywhere.</p>
<dl>
${figure(written.length, 'lock')}
${figure(new Set(written.map(userOf)).size, 'account')}
${figure(report.lockedAtOnce.count, 'locked at the same time, at most', '')}
${figure(new Set(spared.map(userOf)).size, 'protected account', 's, not locked')}
</dl>
<h2>Locks over time</h2>
${written.length === 0 ? `<p>${noneText(report)}</p>` : ''}
${locksFigure(report)}
<h2>How fast</h2>
${ratesHtml(report)}
<h2>The breaker</h2>
<p>For the configuration file:</p>
<pre>${breakerLines(breaker)}</pre>
<p>${basisText(report)} ${stoppedText(report)}</p>
<h2>Who and when</h2>
${tablesOf(locks)}
<h2>What this cannot tell</h2>
<ul class="caveats">
${report.caveats.map((text) => `<li>${escapeHtml(text)}</li>`).join('\n')}
</ul>
</main>
</body>
</html>
`
}

function userOf(lock: ReportedLock): string {
  return `${lock.realm ?? ''}\n${lock.login}`
}

function numberText(count: number): string {
  return count.toLocaleString('en')
}

/** @param ending the ending of the noun's plural */
function figure(count: number, noun: string, ending = 's'): string {
  return `<div><dt>${noun}${count === 1 ? ending.replace(/^s/, '') : ending}</dt><dd>${numberText(count)}</dd></div>`
}

function noneText({ locks, sinceMs, untilMs }: RehearsalReport): string {
  const time = `from ${timeHtml(sinceMs)} to ${timeHtml(untilMs)}`
  if (locks.length === 0) return `No token was full ${time}: nobody would have been locked.`
  return `Nobody would have been locked ${time}. The tokens that were full belong to accounts that are protected or not there.`
}

/** The highest rates, and beside them the limits of the breaker; without locks there are none. */
function ratesHtml(report: RehearsalReport): string {
  const { rates, breaker } = report
  if (rates.day.count === 0) return '<p>There were no locks, so there is no rate.</p>'
  const limits = new Map(limitsOf(breaker).map(({ perMs, locksMax }) => [perMs, locksMax]))
  const rows = RATE_WINDOWS.filter(({ ms }) => isWithin(ms, report)).map(({ name, ms }) => {
    const { count, fromMs } = rates[name]
    const limit = limits.get(ms)
    return `<tr><th scope="row">${WINDOW_NAMES[name]}</th><td class="number" data-label="most locks">${numberText(count)}</td><td class="number" data-label="the breaker's limit">${limit === undefined ? '–' : numberText(limit)}</td><td data-label="first of them">${fromMs === null ? '' : timeHtml(fromMs)}</td></tr>`
  })
  return `<p>The breaker holds locks back once a bar is above its line.</p>
${limitFigures(report)}
<div class="sized"><table class="stacks">
<thead><tr><th scope="col">within</th><th scope="col" class="number">most locks</th><th scope="col" class="number">the breaker's limit</th><th scope="col">first of them</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>`
}

/** The basis of the breaker's limits. */
function basisText({ locks, breaker }: RehearsalReport): string {
  const days = new Set(locks.filter(isWritten).map((lock) => localTime(lock.fromMs).slice(0, 10)))
  if (days.size === 0)
    return 'Without locks there is no usual day: this is the smallest breaker. Rehearse a longer time.'
  const need = `${numberText(breaker.usualMax)} within ${span(breaker.perMs)}`
  if (days.size <= FEW_DAYS) {
    const which = days.size === 1 ? 'this day' : 'these days'
    return `Only ${[...days].join(' and ')} ${days.size === 1 ? 'has' : 'have'} locks: ${need}. The limits rest on ${which} alone. Rehearse a longer time before you rely on them.`
  }
  return `A usual day needs ${need}; the limit is twice as many, and 5 at least.`
}

function stoppedText({ breaker, locks }: RehearsalReport): string {
  const { daysStopped } = breaker
  if (daysStopped.length === 0) return locks.some(isWritten) ? 'It would have held back nothing in this time.' : ''
  const days = daysStopped
    .slice(0, STOPPED_MAX)
    .map(
      ({ dayMs, exceeded }) =>
        `${localTime(dayMs).slice(0, 10)} (${numberText(exceeded.count)} in ${span(exceeded.perMs)})`,
    )
  const left = daysStopped.length - days.length
  return `It would have held locks back on ${days.join(', ')}${left > 0 ? ` and ${counted(left, 'more day')}` : ''}. See whether that was an attack, or a day like others.`
}

function tablesOf(locks: readonly ReportedLock[]): string {
  if (locks.length === 0) return '<p>Nobody.</p>'
  const folded = locks.slice(ROWS_OPEN, ROWS_MAX)
  const left = locks.length - ROWS_MAX
  return [
    `<p>${LEGEND}</p>`,
    tableOf(locks.slice(0, ROWS_OPEN)),
    folded.length === 0
      ? ''
      : `<details>\n<summary>${numberText(folded.length)} more</summary>\n${tableOf(folded)}\n</details>`,
    left > 0 ? `<p>${numberText(left)} more: <code>lockstep rehearse --json</code> gives all.</p>` : '',
  ].join('\n')
}

function tableOf(locks: readonly ReportedLock[]): string {
  const heads = LOCK_COLUMNS.map(({ title }) => `<th scope="col">${title}</th>`)
  return `<div class="sized"><table class="locks">
<thead><tr>${heads.join('')}</tr></thead>
<tbody>
${locks.map(rowOf).join('\n')}
</tbody>
</table></div>`
}

/** In the order of LOCK_COLUMNS. */
function rowOf(lock: ReportedLock): string {
  const cells = [
    escapeHtml(lock.realm ?? ''),
    timeHtml(lock.fromMs),
    endText(lock, timeHtml),
    durationText(lock),
    escapeHtml(lock.serials.join(', ')),
    lock.isConfirmed ? 'said' : 'counted',
    escapeHtml(fateText(lock)),
  ]
  const row = isWritten(lock) ? '<tr>' : '<tr class="spared">'
  return `${row}<th scope="row">${escapeHtml(lock.login)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
}

function timeHtml(ms: number): string {
  return `<time>${localTime(ms)}</time>`
}

export function endText(lock: Pick<ReportedLock, 'toMs' | 'end'>, timeText = localTime): string {
  if (lock.toMs === null) return lock.end === 'unseen' ? 'ended unseen' : 'still'
  return `${lock.end === 'unseen' ? 'before ' : ''}${timeText(lock.toMs)}`
}

/** How long it lasted, about: `40 s`, `10 min`, `2.5 h`, `3 d`; '' while it lasts. */
export function durationText({ fromMs, toMs }: Pick<ReportedLock, 'fromMs' | 'toMs'>): string {
  if (toMs === null) return ''
  const s = Math.round((toMs - fromMs) / 1000)
  if (s < 60) return `${s} s`
  if (s < 3570) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Number((s / 3600).toFixed(1))} h` : `${Number((s / 86_400).toFixed(1))} d`
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

const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * Text from outside, safe in an element and an attribute. Characters that are invisible, or change the direction of the
 * text, become `?`.
 */
function escapeHtml(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- control characters are what it replaces
      .replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g, '?')
      .replace(/[&<>"']/g, (character) => ESCAPED[character] ?? '')
  )
}
