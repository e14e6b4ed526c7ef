import { isTrusted, reportAgeMs, type HealthNumbers, type HealthReport } from './health-file.ts'
import { age } from '../format/age.ts'

/**
 * The health file as the output of a monitoring plugin (Monitoring Plugins, "Development Guidelines"): one line,
 * performance data behind a bar, and 0, 1, 2 or 3 as the exit code.
 */
export interface PluginResult {
  readonly exit: 0 | 1 | 2 | 3
  readonly line: string
}

const WORDS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const
const REASONS_SHOWN_MAX = 6

/**
 * @param isGone the process that wrote it does not run any more; null: nothing shows that
 * @param mistake why the configuration cannot be loaded now, beside a daemon that continues with its old one; null: it
 *   can
 */
export function pluginResult(
  report: HealthReport,
  nowMs: number,
  isGone: boolean | null,
  mistake: string | null = null,
): PluginResult {
  const ageMs = reportAgeMs(report, nowMs)
  const perf = performanceData(report.numbers, ageMs)
  if (report.state === 'stopped') {
    const isStoreGone = report.reasons.some(({ code }) => code === 'store-gone')
    return result(
      2,
      `no daemon: it ${isStoreGone ? 'ended' : 'was stopped'} ${age(ageMs)} ago${isStoreGone ? ', store-gone' : ''}`,
      perf,
    )
  }
  if (report.state === 'serving' && isGone === true) {
    return result(2, `no daemon: process ${report.pid} is gone, its last report is ${age(ageMs)} old`, perf)
  }
  if (ageMs < 0 && !isTrusted(report, nowMs)) {
    return result(3, `the last report is from the future (${report.written}): look at the clock`, perf)
  }
  if (!isTrusted(report, nowMs)) {
    const who = report.state === 'drained' ? 'no drain' : 'no daemon'
    return result(2, `${who}: the last report is ${age(ageMs)} old`, perf)
  }
  // A daemon that found the mistake itself reports less of it.
  const reasons = report.reasons.filter(({ code }) => mistake === null || code !== 'config-mistake')
  const ofConfig = mistake === null ? [] : [`config-mistake: ${mistake}`]
  if (reasons.length + ofConfig.length === 0) return result(0, `${report.numbers.locked} locked, nothing waits`, perf)
  const isCritical = report.health === 'down' || reasons.some(({ gravity }) => gravity === 'critical')
  const shown = reasons.slice(0, REASONS_SHOWN_MAX).map(({ code, params }) => `${code}${shownParams(params)}`)
  const more = reasons.length > REASONS_SHOWN_MAX ? ` and ${reasons.length - REASONS_SHOWN_MAX} more` : ''
  const all = [...shown, ...ofConfig].join(', ')
  return result(isCritical ? 2 : 1, `${all}${more} (lockstep status)`, perf)
}

/** Where there is no report. */
export function unknownResult(why: string): PluginResult {
  return result(3, why, '')
}

function result(exit: PluginResult['exit'], text: string, perf: string): PluginResult {
  // A bar would begin the performance data.
  const line = `LOCKSTEP ${WORDS[exit]} - ${text.replaceAll(/[|\r\n]+/g, ' ')}`
  return { exit, line: perf === '' ? line : `${line} | ${perf}` }
}

function shownParams(params: Readonly<Record<string, number | string>>): string {
  const shown = Object.entries(params).map(
    ([name, value]) => `${name}=${String(value).replaceAll(/[^A-Za-z0-9._-]/g, '_')}`,
  )
  return shown.length === 0 ? '' : ` (${shown.join(' ')})`
}

/** `label=value[unit];warn;crit;min;max`; what is not known is left out. */
function performanceData(numbers: HealthNumbers, ageMs: number): string {
  const rows: readonly (readonly [label: string, value: number | null, unit: string])[] = [
    ['report_age', Math.max(0, Math.round(ageMs / 1000)), 's'],
    ['locked', numbers.locked, ''],
    ['held', numbers.held, ''],
    ['queue_due', numbers.queueDue, ''],
    ['events_waiting', numbers.eventsWaiting, ''],
    ['accounts_pending', numbers.accountsPending, ''],
    ['review', numbers.review, ''],
    ['spool_files', numbers.spoolFiles, ''],
    ['spool_oldest', numbers.spoolOldestSeconds, 's'],
    ['disk_free', numbers.freeBytes, 'B'],
    ['source_read_age', numbers.sourceReadSeconds, 's'],
    ['last_failed_intake', numbers.lastFailedIntakeSeconds, 's'],
    ['last_failed_write', numbers.lastFailedWriteSeconds, 's'],
  ]
  return rows.flatMap(([label, value, unit]) => (value === null ? [] : [`${label}=${value}${unit};;;0`])).join(' ')
}
