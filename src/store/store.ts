import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { Kysely } from 'kysely'
import type { Clock } from '../ports/clock.ts'
import type { MirrorPort } from '../ports/store/mirror.ts'
import type { IdentityPort } from '../ports/store/identity.ts'
import type { BreakerSettings } from '../core/guards/breaker.ts'
import type { LockBackoff } from '../core/settings/settings.ts'
import type { EvidencePort } from '../ports/store/evidence.ts'
import type { FindingPort } from '../ports/store/finding.ts'
import type { LossBreakerSettings } from '../core/guards/loss-breaker.ts'
import type { LossPort, ReviewPort } from '../ports/store/review.ts'
import { systemBootClock, type BootClock } from './engine/boot-clock.ts'
import { Breaker } from './guards/breaker.ts'
import { LossBreaker } from './guards/loss-breaker.ts'
import { openLosses } from './guards/losses.ts'
import type { RolloutPort } from '../ports/store/enrollment.ts'
import type { NotificationPort, OutboxPort } from '../ports/store/mail.ts'
import type { DesiredPort, GuardPort, InboxPort, QueuePort, RecordPort, SnapshotPort } from '../ports/store/store.ts'
import type { VerificationPort } from '../ports/store/verification.ts'
import type { AuthorshipPort } from '../ports/store/authorship.ts'
import type { SourceIdentityPort } from '../ports/store/source-identity.ts'
import { openAccountLog, type AccountLogPort } from './journal/account-log.ts'
import { openAuthorship } from './source/authorship.ts'
import { openDesired } from './accounts/desired.ts'
import { openDirectoryForms, type DirectoryFormPort } from './servers/directory-forms.ts'
import { openDrains, type DrainPort } from './servers/drains.ts'
import { openIdentities } from './servers/identities.ts'
import { openInbox } from './events/inbox.ts'
import { JournalArchive } from './journal/journal-archive.ts'
import { checkHead } from './engine/journal.ts'
import { openMirror } from './accounts/mirror.ts'
import { openLockProofs, type LockProofPort } from './accounts/lock-proofs.ts'
import { migrate } from './schema/migrations.ts'
import { openMailReports, type MailReportPort } from './mail/mail-reports.ts'
import { openNotifications } from './mail/notifications.ts'
import { openOutbox } from './mail/outbox.ts'
import { ProcessLock } from './engine/process-lock.ts'
import { ownerOfThisProcess } from './engine/process-owner.ts'
import { openQueue } from './accounts/queue.ts'
import type { ResyncRecordPort } from '../ports/store/resync.ts'
import type { UnplacedPort } from '../ports/store/unplaced.ts'
import { openResyncRecord } from './source/resync.ts'
import { openReports, type ReportPort } from './reports/reports.ts'
import { noteRecordAge } from './events/record-age.ts'
import { openRecords } from './accounts/records.ts'
import { openRestore, type RestorePort } from './events/restore.ts'
import type { Database, Tables } from './schema/schema.ts'
import { openEvidence } from './events/evidence.ts'
import { openFindings } from './guards/findings.ts'
import { openReviews } from './guards/reviews.ts'
import { openGuards, openSwitches, type SwitchPort } from './guards/switches.ts'
import { openServerStates, type ServerStatePort } from './servers/server-states.ts'
import { NodeSqliteDialect, openSqliteFile, WalSync } from './engine/sqlite-dialect.ts'
import { prepareStatements } from './engine/statements.ts'
import { StorePlace } from './engine/store-place.ts'
import { openMaintenance, type MaintenancePort } from './accounts/maintenance.ts'
import { openRollouts } from './mail/rollouts.ts'
import { openRetirements, retirementLook, type RetirementPort } from './guards/retirements.ts'
import { openRunningConfig, type RunningConfigPort } from './servers/running-config.ts'
import { openSourceIdentity } from './source/source-identity.ts'
import { openSourceState, type SourceStatePort } from './source/source-state.ts'
import { openSnapshots } from './source/snapshots.ts'
import { countUnwritten } from './engine/unwritten.ts'
import { announcedLocks, type AnnouncedLocks } from './source/unannounced-locks.ts'
import { openUnplaced } from './source/unplaced.ts'
import { openVerifications } from './accounts/verifications.ts'
import { StoreWriter, type WriteListener } from './engine/store-writer.ts'

/** The store, opened: every port of it, over one connection and one group-committing writer. */

const LEASE_MS = 60_000
/** Longer than a mail server may take to answer (mail.timeout is at most 20 min). */
const MAIL_LEASE_MS = 1_500_000

export interface StoreOptions {
  readonly file: string
  readonly clock: Clock
  readonly lockTtlMs: number | null
  readonly lockBackoff?: LockBackoff | null
  /** Null or left out: no breaker. */
  readonly breaker?: BreakerSettings | null
  /** How long a claim of an account lasts unless it is renewed; the usual 60 s where it is left out. */
  readonly leaseMs?: number
  /** The machine's, where it is left out. */
  readonly boot?: BootClock
  /** Null or left out: losses are not counted. */
  readonly lossBreaker?: LossBreakerSettings | null
  /** False for commands that only read: they skip the check of the journal's end. */
  readonly willWrite: boolean
}

/** What of the configuration the store decides by, and may be set anew. */
export type StoreRules = Pick<StoreOptions, 'lockTtlMs' | 'lockBackoff' | 'breaker' | 'lossBreaker'>

export interface Store extends AsyncDisposable {
  /** From now on these count, while nothing is in work. */
  use(rules: StoreRules): Promise<void>
  readonly db: Database
  readonly inbox: InboxPort
  readonly queue: QueuePort
  readonly records: RecordPort
  readonly desired: DesiredPort
  readonly guards: GuardPort
  readonly switches: SwitchPort
  readonly reviews: ReviewPort
  readonly losses: LossPort
  readonly findings: FindingPort
  readonly reports: ReportPort
  readonly maintenance: MaintenancePort
  readonly processLock: ProcessLock
  readonly drains: DrainPort
  readonly forms: DirectoryFormPort
  readonly retirements: RetirementPort
  readonly running: RunningConfigPort
  readonly accountLog: AccountLogPort
  announcedLocks(nowMs: number): Promise<AnnouncedLocks>
  readonly lockProofs: LockProofPort
  readonly archive: JournalArchive
  readonly restore: RestorePort
  readonly evidence: EvidencePort
  readonly snapshots: SnapshotPort
  readonly resync: ResyncRecordPort
  readonly unplaced: UnplacedPort
  readonly identities: IdentityPort
  readonly authorship: AuthorshipPort
  readonly sourceIdentity: SourceIdentityPort
  readonly sourceState: SourceStatePort
  readonly mirror: MirrorPort
  readonly verification: VerificationPort
  readonly serverStates: ServerStatePort
  readonly notifications: NotificationPort
  readonly outbox: OutboxPort
  readonly mails: MailReportPort
  readonly rollouts: RolloutPort
  /** Fails with `store-unavailable` or `store-gone` once nothing more can be written: the process has to end. */
  readonly failed: Promise<never>
  /** Whether the file is still the one that was opened; see `failed`. Each write looks by itself. */
  look(): void
  /** How many accounts wait since the disk did not take their files. */
  unwritten(): Promise<number>
  /** One listener for all writes of this process. */
  listen(listener: WriteListener): void
}

/** Opens the store, creates and migrates it where needed. Fails with `store-*`, `disk-full`, `file-not-permitted`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { clock, file } = options
  const db: Database = new Kysely<Tables>({ dialect: new NodeSqliteDialect(openSqliteFile(file), file) })
  try {
    await migrate(db, clock.nowMs())
    if (options.willWrite) await checkHead(db)
    if (options.willWrite) await noteRecordAge(db, clock.nowMs())
  } catch (thrown) {
    await db.destroy()
    throw thrown
  }
  const log = new WalSync(file)
  const place = new StorePlace(file)
  const writer = new StoreWriter(
    db,
    prepareStatements(db),
    () => log.sync(),
    () => place.lost(),
  )
  const owner = ownerOfThisProcess()
  const breaker = new Breaker(options.breaker ?? null)
  const lossBreaker = new LossBreaker(options.lossBreaker ?? null, breaker.approvals)
  const desiredBy = { lockTtlMs: options.lockTtlMs, lockBackoff: options.lockBackoff ?? null }
  const retirementOf = retirementLook(db)
  const boot = options.boot ?? systemBootClock
  const leases = { owner, boot, leaseMs: options.leaseMs ?? LEASE_MS }
  return {
    db,
    async use(rules) {
      Object.assign(desiredBy, { lockTtlMs: rules.lockTtlMs, lockBackoff: rules.lockBackoff ?? null })
      await writer.run((scope) => breaker.use(scope, rules.breaker ?? null, clock.nowMs()))
      await lossBreaker.use(writer, rules.lossBreaker ?? null, breaker.approvals, clock.nowMs())
    },
    inbox: openInbox(db, writer, clock, leases),
    queue: openQueue(db, writer, leases),
    records: openRecords(writer, clock, breaker),
    desired: openDesired(db, writer, desiredBy, retirementOf),
    guards: openGuards(db, retirementOf),
    switches: openSwitches(db, writer, clock),
    reviews: openReviews(db, writer, clock, breaker),
    losses: openLosses(db, writer, clock, lossBreaker),
    findings: openFindings(db, writer, clock),
    reports: openReports(db, clock),
    maintenance: openMaintenance(db, writer, clock),
    processLock: new ProcessLock(db, writer, clock, leases),
    drains: openDrains(db, writer, clock),
    forms: openDirectoryForms(db, writer),
    retirements: openRetirements(db, writer, clock),
    running: openRunningConfig(db, writer, clock, owner),
    accountLog: openAccountLog(db, writer),
    announcedLocks: (nowMs) => announcedLocks(db, nowMs),
    lockProofs: openLockProofs(db, writer, clock),
    archive: new JournalArchive(db, writer, clock, join(dirname(file), 'journal-archive')),
    restore: openRestore(db, writer, clock),
    snapshots: openSnapshots(db, writer, clock, lossBreaker),
    evidence: openEvidence(db, writer, clock),
    resync: openResyncRecord(db, writer, clock),
    unplaced: openUnplaced(db, writer, clock),
    identities: openIdentities(db, writer, clock),
    authorship: openAuthorship(db, writer, clock),
    sourceIdentity: openSourceIdentity(db, writer, clock),
    sourceState: openSourceState(db, writer, clock),
    mirror: openMirror(db, writer, clock),
    verification: openVerifications(db, writer, clock),
    serverStates: openServerStates(db, writer, clock),
    notifications: openNotifications(db, writer, clock, randomUUID),
    outbox: openOutbox(db, writer, clock, { owner, boot, leaseMs: MAIL_LEASE_MS }),
    mails: openMailReports(db, writer, clock),
    rollouts: openRollouts(db, writer, clock, owner),
    failed: writer.failed,
    look: () => writer.look(),
    unwritten: () => countUnwritten(db),
    listen: (listener) => writer.listen(listener),
    async [Symbol.asyncDispose]() {
      await writer.close()
      log[Symbol.dispose]()
      await db.destroy()
    },
  }
}
