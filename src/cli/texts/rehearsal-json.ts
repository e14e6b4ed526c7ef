import { writtenDuration } from '../../core/format/duration.ts'
import { RATE_WINDOWS, type Peak } from '../../core/source/rehearsal-report.ts'
import type { RehearsalReport } from '../../operations/rehearsal/rehearse.ts'

/**
 * The report for programs. The audit log has privacyIDEA's local time without a zone: where the zone is known, times are
 * instants in UTC; else they are local times without a zone.
 */
export function rehearsalJson(report: RehearsalReport): object {
  const { locks, rates, breaker, zoneMs } = report
  const local = (ms: number): string => {
    const text = new Date(ms - (zoneMs ?? 0)).toISOString()
    return zoneMs === null ? text.replace(/Z$/, '') : text
  }
  const peak = ({ count, fromMs }: Peak): object => ({ count, from: fromMs === null ? null : local(fromMs) })
  return {
    version: report.version,
    since: local(report.sinceMs),
    until: local(report.untilMs),
    utcOffsetMinutes: zoneMs === null ? null : zoneMs / 60_000,
    rows: report.rows,
    locks: locks.map(({ fromMs, toMs, isConfirmed, ...lock }) => ({
      ...lock,
      from: local(fromMs),
      to: toMs === null ? null : local(toMs),
      seconds: toMs === null ? null : (toMs - fromMs) / 1000,
      confirmed: isConfirmed,
    })),
    rates: Object.fromEntries(RATE_WINDOWS.map(({ name }) => [name, peak(rates[name])])),
    lockedAtOnce: peak(report.lockedAtOnce),
    breaker: {
      maxLocks: breaker.locksMax,
      per: writtenDuration(breaker.perMs),
      limits: breaker.limits.map(({ locksMax, perMs }) => ({ maxLocks: locksMax, per: writtenDuration(perMs) })),
      usualMax: breaker.usualMax,
      stopped: breaker.daysStopped.map(({ dayMs, count, exceeded }) => ({
        day: new Date(dayMs).toISOString().slice(0, 10),
        count,
        exceeded: { count: exceeded.count, per: writtenDuration(exceeded.perMs) },
      })),
    },
    cannotTell: report.caveats,
  }
}
