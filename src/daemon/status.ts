import { accessSync, constants, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { age } from '../core/age.ts'
import { directoryPhrase, dryRunText, type Pause } from '../core/guard.ts'
import type { Settings } from '../core/settings.ts'
import type { Finding } from '../ports/finding.ts'
import type { ReviewCounts } from '../ports/review.ts'
import { lockTrouble, serverTroubles } from './status-directories.ts'
import type { DaemonRow } from '../store/process-lock.ts'
import type { LastDrain } from '../store/drains.ts'
import type { MailCounts } from '../store/mail-reports.ts'
import type { AccountReport, StoreCounts } from '../store/reports.ts'
import type { ServersSeen } from '../store/server-states.ts'
import type { LockFinding } from '../store/verification-reports.ts'
import type { SweepState } from '../store/source-state.ts'
import type { Store } from '../store/store.ts'

/** How everything stands, in one look at the store; the directory is not asked. */

export interface Wait {
  readonly what: 'event' | 'account'
  readonly name: string
  readonly why: string
  /** When it is tried again, in milliseconds since 1970; null: by itself not before the next resync. */
  readonly againMs: number | null
  /** The error's code or the account's standing. */
  readonly code: string
}

export interface StatusReport {
  /** down: no daemon, and no recent drain. attention: something waits, failed, or does not lock. */
  readonly health: 'ok' | 'attention' | 'down'
  readonly healthReasons: readonly string[]
  /** What somebody should know, and what is no trouble by itself. */
  readonly notes: readonly string[]
  readonly mode: 'events' | 'api'
  /** How privacyIDEA is seen, in mode `api`; null in mode `events`. */
  readonly privacyidea: { readonly scan: SweepState; readonly resync: SweepState } | null
  /** Something is on dry run. */
  readonly dryRun: boolean
  /** What is, for people; null: nothing. */
  readonly dryRunOf: string | null
  /** That of all changes, else the first of one directory. */
  readonly paused: Pause | null
  readonly pauses: readonly Pause[]
  /** Locks that the breaker holds back. */
  readonly review: ReviewCounts
  /** What the guards found, while it lasts. */
  readonly findings: readonly Finding[]
  readonly daemon: DaemonRow | null
  /** For a site that runs `lockstep drain` from cron in place of a daemon. Null: never. */
  readonly lastDrain: LastDrain | null
  readonly counts: StoreCounts
  /** Files that wait in the spool; a number past 10,000 is cut there. */
  readonly spoolFiles: number
  readonly locked: readonly AccountReport[]
  readonly waits: readonly Wait[]
  /** How the servers of the directories were seen last. */
  readonly servers: readonly ServersSeen[]
  /** Locks that do not stand or do not bite everywhere, or that somebody took away; the first of `lockFindingCount`. */
  readonly lockFindings: readonly LockFinding[]
  readonly lockFindingCount: number
  /** The outbox; null: no mail is configured. */
  readonly mail: MailCounts | null
}

const LIST_MAX = 20

export async function readStatus(settings: Settings, store: Store): Promise<StatusReport> {
  const nowMs = Date.now()
  const counts = await store.reports.counts(nowMs)
  const daemon = await store.processLock.daemon()
  const lastDrain = await store.drains.last()
  const isServed = daemon !== null || lastDrain?.isRecent === true
  const pauses = await store.switches.pauses()
  const review = await store.reviews.counts()
  const dryRunOf = dryRunText(settings.guards.dryRun)
  const waits = await readWaits(store)
  const spoolFiles = countFiles(join(settings.intake.spool, 'new'))
  const { sourceState } = store
  const privacyidea =
    settings.privacyidea === null
      ? null
      : { scan: await sourceState.read('scan'), resync: await sourceState.read('resync') }
  const source = sourceTrouble(privacyidea?.scan ?? null, nowMs) ?? sourceTrouble(privacyidea?.resync ?? null, nowMs)
  const mail = settings.mail === null ? null : await store.mails.counts()
  const servers = await seenServers(settings, store)
  const { findings: lockFindings, count: lockFindingCount } = await store.reports.lockFindings(LIST_MAX)
  const spool = spoolTrouble(settings.intake.spool)
  const reasons = [
    ...reasonsOf({ isServed, daemon, lastDrain, counts, pauses, review, spool, source, mail }, nowMs),
    ...(isServed ? serverTroubles(servers, nowMs) : []),
    ...lockTrouble(lockFindings, lockFindingCount),
  ]
  return {
    health: !isServed ? 'down' : reasons.length > 0 ? 'attention' : 'ok',
    healthReasons: reasons,
    notes: [...(await readNotes(store)), ...sweepNotes(privacyidea), ...(await mirrorNotes(store)), ...mailNotes(mail)],
    mode: settings.privacyidea === null ? 'events' : 'api',
    privacyidea,
    dryRun: dryRunOf !== null,
    dryRunOf,
    paused: pauses[0] ?? null,
    pauses,
    review,
    findings: await store.findings.open(),
    daemon,
    lastDrain,
    counts,
    spoolFiles,
    locked:
      counts.accountsHeld + counts.accountsLockedByUs === 0
        ? []
        : await store.reports.accounts({ held: true, limit: LIST_MAX }),
    waits,
    servers,
    lockFindings,
    lockFindingCount,
    mail,
  }
}

/** A server that the configuration no longer names is nobody's trouble. */
async function seenServers({ directories }: Settings, store: Store): Promise<ServersSeen[]> {
  const seen = await store.serverStates.all()
  return directories.flatMap(({ name, urls }) => {
    const own = seen.find(({ directory }) => directory === name)
    return own === undefined ? [] : [{ ...own, servers: own.servers.filter(({ url }) => urls.includes(url)) }]
  })
}

function drainedLast(last: LastDrain | null, nowMs: number): string {
  if (last === null) return 'and no drain ever ran (lockstep serve, or lockstep drain from cron)'
  return `and the last drain ended ${age(nowMs - last.endedMs)} ago (lockstep serve, or lockstep drain from cron)`
}

interface Signs {
  readonly isServed: boolean
  readonly daemon: DaemonRow | null
  readonly lastDrain: LastDrain | null
  readonly counts: StoreCounts
  readonly pauses: readonly Pause[]
  readonly review: ReviewCounts
  readonly spool: string | null
  readonly source: string | null
  readonly mail: MailCounts | null
}

/** Why all is not well, the gravest first. */
function reasonsOf(signs: Signs, nowMs: number): string[] {
  const { isServed, daemon, lastDrain, counts, pauses, review, spool, source, mail } = signs
  const reasons: string[] = []
  if (!isServed) reasons.push(`no daemon serves this store, ${drainedLast(lastDrain, nowMs)}`)
  if (daemon === null && lastDrain?.isRecent === true && lastDrain.outcome === 'failed') {
    reasons.push(`the last drain failed: ${lastDrain.reason}`)
  }
  if (spool !== null) reasons.push(spool)
  if (source !== null) reasons.push(source)
  if (mail !== null && mail.failing !== null) {
    reasons.push(`mail could not be sent for ${age(nowMs - mail.failing.sinceMs)}: ${mail.failing.reason}`)
  }
  if (counts.eventsWaiting > 0) reasons.push(counted(counts.eventsWaiting, 'unresolved event'))
  if (counts.accountsUnsettled > 0) reasons.push(`${counted(counts.accountsUnsettled, 'account')} not in step`)
  if (review.waiting > 0) reasons.push(`${counted(review.waiting, 'lock')} held back by the breaker (lockstep review)`)
  for (const { directory } of pauses) reasons.push(`changes${directoryPhrase(directory)} are paused`)
  if (daemon === null && lastDrain?.isRecent === true && lastDrain.outcome === 'waiting' && reasons.length === 0) {
    reasons.push(`the last drain left something undone: ${lastDrain.reason}`)
  }
  return reasons
}

/** Nothing of privacyIDEA is seen, so nothing changes for what happens there. */
function sourceTrouble(sweep: SweepState | null, nowMs: number): string | null {
  if (sweep === null || sweep.failing === null) return null
  return `privacyIDEA could not be read for ${age(nowMs - sweep.failing.sinceMs)}: ${sweep.failing.reason}`
}

/** Mails that nobody will get are told for a day. */
function mailNotes(mail: MailCounts | null): string[] {
  if (mail === null || mail.lostLately === 0) return []
  return [
    `${counted(mail.lostLately, 'mail')} could not be delivered in the last day (lockstep mail list --state lost)`,
  ]
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Whoever may not write into the spool cannot take events out of it. A spool that is not there yet is made by `serve`. */
function spoolTrouble(spool: string): string | null {
  const folder = join(spool, 'new')
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return null
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    const why = code === 'EROFS' ? 'its file system is read-only' : 'no permission'
    return `no event can be taken from the spool ${spool}: ${why} (lockstep doctor says what to do)`
  }
}

async function readNotes(store: Store): Promise<string[]> {
  const unknown = await store.reports.unknownEffects()
  return unknown.map(({ directory, locks }) => {
    return `directory ${directory}: whether a lock keeps its user out is not known (${locks} now); lockstep doctor says what to do`
  })
}

function sweepNotes(source: StatusReport['privacyidea']): string[] {
  return [source?.scan.note, source?.resync.note].filter((note) => note !== undefined)
}

async function mirrorNotes(store: Store): Promise<string[]> {
  const count = await store.mirror.countAccounts()
  if (count === 0) return []
  return [
    `${counted(count, 'account')} locked by others in the directory, and so in privacyIDEA; lockstep show says how`,
  ]
}

async function readWaits(store: Store): Promise<Wait[]> {
  const events = await store.reports.events({ state: 'waiting', limit: LIST_MAX })
  const accounts = await store.reports.accounts({ unsettled: true, limit: LIST_MAX })
  return [
    ...events.map((event) => ({
      what: 'event' as const,
      name: `${event.kind} ${[event.serial, event.login].filter((each) => each !== null).join(' ')}`,
      why: event.why || 'not looked at yet',
      againMs: event.nextTryMs,
      code: event.whyCode ?? 'waiting',
    })),
    ...accounts.map((account) => ({
      what: 'account' as const,
      name: account.login ?? account.dn,
      why: `${account.standing}: ${account.standingReason}`,
      againMs: null,
      code: account.standingCode ?? account.standing,
    })),
  ]
}

function countFiles(folder: string): number {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter((each) => !each.isDirectory()).length
  } catch {
    return 0
  }
}
