import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { Kysely } from 'kysely'
import type { Clock } from '../ports/clock.ts'
import type { MirrorPort } from '../ports/mirror.ts'
import type { IdentityPort } from '../ports/identity.ts'
import type { BreakerSettings } from '../core/breaker.ts'
import type { LockBackoff } from '../core/settings.ts'
import type { FindingPort } from '../ports/finding.ts'
import type { ReviewPort } from '../ports/review.ts'
import { Breaker } from './breaker.ts'
import type { RolloutPort } from '../ports/enrolment.ts'
import type { NewsPort, OutboxPort } from '../ports/mail.ts'
import type { DesiredPort, GuardPort, InboxPort, QueuePort, RecordPort, TruthPort } from '../ports/store.ts'
import type { VerificationPort } from '../ports/verification.ts'
import { openDesired } from './desired.ts'
import { openDrains, type DrainPort } from './drains.ts'
import { openIdentities } from './identities.ts'
import { openInbox } from './inbox.ts'
import { JournalArchive } from './journal-archive.ts'
import { checkHead } from './journal.ts'
import { openMirror } from './mirror.ts'
import { openLockProofs, type LockProofPort } from './lock-proofs.ts'
import { migrate } from './migrations.ts'
import { openMailReports, type MailReportPort } from './mail-reports.ts'
import { openNews } from './news.ts'
import { openOutbox } from './outbox.ts'
import { ownerOfThisProcess, ProcessLock } from './process-lock.ts'
import { openQueue } from './queue.ts'
import type { ResyncRecordPort } from '../ports/resync.ts'
import { openResyncRecord } from './resync.ts'
import { openReports, type ReportPort } from './reports.ts'
import { openRecords } from './records.ts'
import { openRestore, type RestorePort } from './restore.ts'
import type { Database, Tables } from './schema.ts'
import { openFindings } from './findings.ts'
import { openReviews } from './reviews.ts'
import { openGuards, openSwitches, type SwitchPort } from './switches.ts'
import { openServerStates, type ServerStatePort } from './server-states.ts'
import { NodeSqliteDialect, openSqliteFile, WalSync } from './sqlite-dialect.ts'
import { prepareStatements } from './statements.ts'
import { openUpkeep, type UpkeepPort } from './upkeep.ts'
import { openRollouts } from './rollouts.ts'
import { openSourceState, type SourceStatePort } from './source-state.ts'
import { openTruth } from './truth.ts'
import { openVerifications } from './verifications.ts'
import { Writer } from './writer.ts'

/** The store, opened: every port of it, over one connection and one group-committing writer. */

export const LEASE_MS = 60_000
/** Longer than a mail server may take to answer (mail.timeout is at most 20 min). */
const MAIL_LEASE_MS = 1_500_000

export interface StoreOptions {
  readonly file: string
  readonly clock: Clock
  readonly lockTtlMs: number | null
  readonly lockBackoff?: LockBackoff | null
  /** Null or left out: no breaker. */
  readonly breaker?: BreakerSettings | null
  /** False for commands that only read: they skip the check of the journal's end. */
  readonly willWrite: boolean
}

export interface Store extends AsyncDisposable {
  readonly db: Database
  readonly inbox: InboxPort
  readonly queue: QueuePort
  readonly records: RecordPort
  readonly desired: DesiredPort
  readonly guards: GuardPort
  readonly switches: SwitchPort
  readonly reviews: ReviewPort
  readonly findings: FindingPort
  readonly reports: ReportPort
  readonly upkeep: UpkeepPort
  readonly processLock: ProcessLock
  readonly drains: DrainPort
  readonly lockProofs: LockProofPort
  readonly archive: JournalArchive
  readonly restore: RestorePort
  readonly truth: TruthPort
  readonly resync: ResyncRecordPort
  readonly identities: IdentityPort
  readonly sourceState: SourceStatePort
  readonly mirror: MirrorPort
  readonly verification: VerificationPort
  readonly serverStates: ServerStatePort
  readonly news: NewsPort
  readonly outbox: OutboxPort
  readonly mails: MailReportPort
  readonly rollouts: RolloutPort
  /** Fails with `store-unavailable` once nothing more can be written: the process has to end. */
  readonly failed: Promise<never>
}

/** Opens the store, creates and migrates it where needed. Fails with `store-*`, `disk-full`, `file-not-permitted`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { clock, file } = options
  const db: Database = new Kysely<Tables>({ dialect: new NodeSqliteDialect(openSqliteFile(file), file) })
  try {
    await migrate(db, clock.nowMs())
    if (options.willWrite) await checkHead(db)
  } catch (thrown) {
    await db.destroy()
    throw thrown
  }
  const log = new WalSync(file)
  const writer = new Writer(db, prepareStatements(db), () => log.sync())
  const owner = ownerOfThisProcess()
  const breaker = new Breaker(options.breaker ?? null)
  const leases = { owner, leaseMs: LEASE_MS }
  return {
    db,
    inbox: openInbox(db, writer, clock, leases),
    queue: openQueue(db, writer, clock, leases),
    records: openRecords(writer, clock, owner, breaker),
    desired: openDesired(db, writer, { lockTtlMs: options.lockTtlMs, lockBackoff: options.lockBackoff ?? null }),
    guards: openGuards(db),
    switches: openSwitches(db, writer, clock),
    reviews: openReviews(db, writer, clock, breaker),
    findings: openFindings(db, writer, clock),
    reports: openReports(db, clock),
    upkeep: openUpkeep(db, writer, clock),
    processLock: new ProcessLock(db, writer, clock, owner),
    drains: openDrains(db, writer, clock),
    lockProofs: openLockProofs(db, writer, clock),
    archive: new JournalArchive(db, writer, clock, join(dirname(file), 'journal-archive')),
    restore: openRestore(db, writer, clock),
    truth: openTruth(db, writer, clock),
    resync: openResyncRecord(db, writer, clock),
    identities: openIdentities(db, writer, clock),
    sourceState: openSourceState(db, writer, clock),
    mirror: openMirror(db, writer, clock),
    verification: openVerifications(db, writer, clock),
    serverStates: openServerStates(db, writer, clock),
    news: openNews(db, writer, clock, randomUUID),
    outbox: openOutbox(db, writer, clock, { owner, leaseMs: MAIL_LEASE_MS }),
    mails: openMailReports(db, writer, clock),
    rollouts: openRollouts(db, writer, clock, owner),
    failed: writer.failed,
    async [Symbol.asyncDispose]() {
      await writer.close()
      log[Symbol.dispose]()
      await db.destroy()
    },
  }
}
