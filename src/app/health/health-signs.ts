import {
  isServed,
  machineReasons,
  serviceReasons,
  type HealthReason,
  type LiveSigns,
  type MachineSigns,
  type Served,
} from '../../core/health/health.ts'
import { liveSignsOf, isTrusted, reportAgeMs } from '../../core/health/health-file.ts'
import { dryRunsOf, type Pause } from '../../core/guards/guard.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { Finding } from '../../ports/store/finding.ts'
import type { LastDrain } from '../../store/servers/drains.ts'
import type { MailCounts } from '../../store/mail/mail-reports.ts'
import type { DaemonRow } from '../../store/engine/process-lock.ts'
import type { StoreCounts } from '../../store/reports/report-counts.ts'
import type { ServersSeen } from '../../store/servers/server-states.ts'
import type { SweepState } from '../../store/source/source-state.ts'
import type { Store } from '../../store/store.ts'
import type { LockFinding, LockTrouble } from '../../store/reports/verification-reports.ts'
import { readHealthReport, storeMark } from './health-report.ts'
import { machineSigns } from './machine-signs.ts'
import { reviewCounts, type AllReviewCounts } from './review-counts.ts'

/** All inputs of the judgement of health, read once, and the judgement. */
export interface HealthSigns {
  readonly reasons: readonly HealthReason[]
  readonly isServed: boolean
  readonly machine: MachineSigns
  readonly daemon: DaemonRow | null
  readonly served: Served | null
  /** For a site that runs `lockstep drain` from cron in place of a daemon. Null: never. */
  readonly lastDrain: LastDrain | null
  readonly counts: StoreCounts
  readonly pauses: readonly Pause[]
  /** Locks and losses that the breakers hold back. */
  readonly review: AllReviewCounts
  /** The state of reading privacyIDEA, in mode `api`; null in mode `events`. */
  readonly privacyidea: { readonly scan: SweepState; readonly resync: SweepState } | null
  /** The outbox; null: no mail is configured. */
  readonly mail: MailCounts | null
  /** The last known status of the servers of the directories. */
  readonly servers: readonly ServersSeen[]
  /** Locks that do not stand or do not bite everywhere, or that somebody took away; the first of those in `lockTroubles`. */
  readonly lockFindings: readonly LockFinding[]
  readonly lockTroubles: readonly LockTrouble[]
  /** Findings of the guards, while they last. */
  readonly findings: readonly Finding[]
}

/** Findings about locks that are listed at most. */
const LOCKS_MAX = 20

/** @param live of the process that serves; null: the caller is another process, and that one's report is read */
export async function readHealth(settings: Settings, store: Store, live: LiveSigns | null): Promise<HealthSigns> {
  const nowMs = Date.now()
  const { sourceState, processLock } = store
  const daemon = await processLock.daemon()
  const served = daemon === null ? await processLock.served() : null
  const lastDrain = await store.drains.last()
  const { findings: lockFindings, troubles: lockTroubles } = await store.reports.lockFindings(LOCKS_MAX)
  const isDaemonAlive = daemon !== null
  const read = {
    isServed: isServed({ isDaemonAlive, served, lastDrain }),
    machine: machineSigns(settings),
    daemon,
    served,
    lastDrain,
    counts: await store.reports.counts(nowMs),
    pauses: await store.switches.pauses(),
    review: await reviewCounts(store),
    privacyidea:
      settings.privacyidea === null
        ? null
        : { scan: await sourceState.read('scan'), resync: await sourceState.read('resync') },
    mail: settings.mail === null ? null : await store.mails.counts(),
    servers: await seenServers(settings, store),
    lockFindings,
    lockTroubles,
    findings: await store.findings.open(),
  }
  const unwritten = read.counts.accountsUnsettled === 0 ? 0 : await store.unwritten()
  const reasons = [
    ...serviceReasons({ isDaemonAlive, served, lastDrain }, nowMs),
    ...(live === null && isDaemonAlive ? reportReasons(settings, daemon, nowMs) : []),
    ...machineReasons(read.machine, live ?? reportedSigns(settings, nowMs), nowMs, isDaemonAlive),
    ...(unwritten === 0 ? [] : [{ code: 'files-not-written', params: { accounts: unwritten } } as const]),
    ...recordReasons(read, nowMs),
  ]
  const dryRuns = dryRunsOf(settings.guards.dryRun).map((params) => ({ code: 'dry-run', params }) as const)
  const more = [...incompleteDrain(read, reasons), ...directoryReasons(read, nowMs), ...dryRuns]
  return { ...read, reasons: [...reasons, ...more] }
}

/** The signs that only the daemon can see, from its report. */
function reportedSigns(settings: Settings, nowMs: number): LiveSigns | null {
  const report = readHealthReport(settings.health.file)
  return report?.store === storeMark(settings.store.file) ? liveSignsOf(report, nowMs) : null
}

/** A daemon without a report is an older version, or may not write there, which its log states. */
function reportReasons(settings: Settings, daemon: DaemonRow, nowMs: number): HealthReason[] {
  const report = readHealthReport(settings.health.file)
  const isOfDaemon = report?.store === storeMark(settings.store.file) && report.pid === daemon.pid
  if (!isOfDaemon || isTrusted(report, nowMs)) return []
  return [{ code: 'report-old', params: { ageMs: Math.abs(reportAgeMs(report, nowMs)) } }]
}

type Read = Omit<HealthSigns, 'reasons'>

/** Work on record that waits, failed or is held back. */
function recordReasons({ counts, privacyidea, mail, review, pauses }: Read, nowMs: number): HealthReason[] {
  const reasons: HealthReason[] = []
  const unread = privacyidea?.scan.failing ?? privacyidea?.resync.failing ?? null
  if (unread !== null) {
    reasons.push({ code: 'source-unread', params: { forMs: nowMs - unread.sinceMs, reason: unread.reason } })
  }
  const failing = mail?.failing ?? null
  if (failing !== null) {
    reasons.push({ code: 'mail-fails', params: { forMs: nowMs - failing.sinceMs, reason: failing.reason } })
  }
  const { eventsWaiting, accountsUnsettled } = counts
  if (eventsWaiting > 0) reasons.push({ code: 'events-waiting', params: { count: eventsWaiting } })
  if (accountsUnsettled > 0) reasons.push({ code: 'accounts-pending', params: { count: accountsUnsettled } })
  const { locks, losses } = review
  if (locks.waiting > 0) reasons.push({ code: 'locks-in-review', params: { count: locks.waiting } })
  if (losses.waiting > 0) reasons.push({ code: 'losses-in-review', params: { count: losses.waiting } })
  for (const { directory } of pauses) reasons.push({ code: 'paused', params: { directory } })
  return reasons
}

/** Work that it left undone is reported above while it is still undone. */
function incompleteDrain({ daemon, lastDrain }: Read, before: readonly HealthReason[]): HealthReason[] {
  if (daemon !== null || before.length > 0 || lastDrain?.isRecent !== true || lastDrain.outcome !== 'waiting') return []
  return [{ code: 'drain-incomplete', params: { reason: lastDrain.reason } }]
}

function directoryReasons(read: Read, nowMs: number): HealthReason[] {
  return [
    ...(read.isServed ? serverReasons(read.servers, nowMs) : []),
    ...read.lockTroubles.map((params) => ({ code: 'lock-trouble', params }) as const),
    ...findingReasons(read.findings),
  ]
}

function serverReasons(seen: readonly ServersSeen[], nowMs: number): HealthReason[] {
  return seen.flatMap(({ directory, servers }) => {
    const troubled = servers.filter(({ is }) => is !== 'up' && is !== 'untried')
    const isWhole = troubled.length === servers.length && troubled.every(({ is }) => is !== 'slow')
    return troubled.map(({ url, is, sinceMs }) => {
      return { code: 'server-trouble', params: { directory, url, is, forMs: nowMs - sinceMs, isWhole } } as const
    })
  })
}

/** Reported in full elsewhere; here only the number of each kind. */
function findingReasons(findings: readonly Finding[]): HealthReason[] {
  const counts = new Map<string, number>()
  for (const { kind, isAttention } of findings) if (isAttention) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return [...counts].map(([kind, count]) => ({ code: 'finding', params: { kind, count } }) as const)
}

/** Problems of a server that the configuration no longer names do not count. */
async function seenServers({ directories }: Settings, store: Store): Promise<ServersSeen[]> {
  const seen = await store.serverStates.all()
  return directories.flatMap(({ name, urls }) => {
    const own = seen.find(({ directory }) => directory === name)
    return own === undefined ? [] : [{ ...own, servers: own.servers.filter(({ url }) => urls.includes(url)) }]
  })
}
