import { healthGravity, healthOf, type Failing, type HealthReason, type LiveSigns } from './health.ts'

/**
 * The health file: the state of Lockstep as the daemon, or the last drain, found it. Everybody may read it, so that it
 * holds numbers and codes alone: no login, no serial, no path, no name of a server.
 */
export interface HealthReport {
  readonly version: 1
  /** RFC 3339. */
  readonly written: string
  /** It is valid for so long; after that the process that wrote it is gone, or hangs. */
  readonly validSeconds: number
  /** `serving`: a daemon. `stopped`: it was. `drained`: by the last drain, where no daemon is. */
  readonly state: 'serving' | 'stopped' | 'drained'
  readonly pid: number
  /** Of the process ids; '' where the system does not provide it. */
  readonly pidNamespace: string
  /** Which store it is about: some digits of the digest of its path. */
  readonly store: string
  readonly health: 'ok' | 'attention' | 'down'
  readonly reasons: readonly ReportedReason[]
  readonly intake: Failing | null
  readonly writes: Failing | null
  readonly numbers: HealthNumbers
}

interface ReportedReason {
  readonly code: string
  readonly gravity: 'critical' | 'warning'
  /** What of its parameters is a number or a code. */
  readonly params: Readonly<Record<string, number | string>>
}

/** Spans in seconds, sizes in bytes; null: not known, or there is none. */
export interface HealthNumbers {
  readonly locked: number
  readonly held: number
  readonly queueDue: number
  readonly eventsWaiting: number
  readonly accountsPending: number
  readonly review: number
  readonly spoolFiles: number
  readonly spoolOldestSeconds: number
  /** On the fullest of the disks that store, LDIF folders and spool lie on. */
  readonly freeBytes: number | null
  readonly lastFailedIntakeSeconds: number | null
  readonly lastFailedWriteSeconds: number | null
  readonly sourceReadSeconds: number | null
}

/** Parameters that are codes; every other text may be a name. */
const CODES = new Set(['code', 'kind', 'is', 'of'])

export function reported(reasons: readonly HealthReason[]): ReportedReason[] {
  return reasons.map((reason) => ({
    code: reason.code,
    gravity: healthGravity(reason),
    params: Object.fromEntries(
      Object.entries(reason.params).filter(([name, value]) => typeof value === 'number' || CODES.has(name)),
    ) as Readonly<Record<string, number | string>>,
  }))
}

export type NewReport = Pick<HealthReport, 'state' | 'pid' | 'pidNamespace' | 'store' | 'validSeconds' | 'numbers'>

export function healthReport(
  base: NewReport,
  reasons: readonly HealthReason[],
  live: LiveSigns,
  nowMs: number,
): HealthReport {
  return {
    version: 1,
    written: new Date(nowMs).toISOString(),
    ...base,
    health: healthOf(reasons),
    reasons: reported(reasons),
    intake: live.intake,
    writes: live.store,
  }
}

/** Null where the text is not such a report. */
export function parseHealthReport(text: string): HealthReport | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1) return null
    const report = value as HealthReport
    const isWhole = Number.isFinite(Date.parse(report.written)) && Array.isArray(report.reasons)
    return isWhole && typeof report.numbers === 'object' ? report : null
  } catch {
    return null
  }
}

/** The signs that only the serving process can observe, by its last report; null: none, or too long ago. */
export function liveSignsOf(report: HealthReport | null, nowMs: number): LiveSigns | null {
  if (report === null || report.state !== 'serving' || !isTrusted(report, nowMs)) return null
  const isStoreGone = report.reasons.some(({ code }) => code === 'store-gone')
  return { intake: report.intake, store: report.writes, isStoreGone }
}

export function reportAgeMs({ written }: HealthReport, nowMs: number): number {
  return nowMs - Date.parse(written)
}

/** A report from the future is by a clock that was set, and counts as little as an old one. */
export function isTrusted(report: HealthReport, nowMs: number): boolean {
  return Math.abs(reportAgeMs(report, nowMs)) <= report.validSeconds * 1000
}
