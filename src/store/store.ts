import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { Kysely } from 'kysely'
import type { Clock } from '../ports/clock.ts'
import type { BreakerSettings } from '../core/guards/breaker.ts'
import type { LockBackoff } from '../core/settings/settings.ts'
import type { LossBreakerSettings } from '../core/guards/loss-breaker.ts'
import { systemBootClock, type BootClock } from './engine/boot-clock.ts'
import { Breaker } from './guards/breaker.ts'
import { LossBreaker } from './decisions/loss-breaker.ts'
import { openLosses } from './decisions/losses.ts'
import { openAccountLog } from './journal/account-log.ts'
import { openAuthorship } from './source/authorship.ts'
import { openDesired } from './accounts/desired.ts'
import { openDirectoryForms } from './servers/directory-forms.ts'
import { openDrains } from './servers/drains.ts'
import { openIdentities } from './servers/identities.ts'
import { openInbox } from './events/inbox.ts'
import { JournalArchive } from './journal/journal-archive.ts'
import { checkHead } from './engine/journal.ts'
import { openMirror } from './accounts/mirror.ts'
import { openLockProofs } from './accounts/lock-proofs.ts'
import { migrate } from './schema/migrations.ts'
import { openMailReports } from './mail/mail-reports.ts'
import { openNotifications } from './mail/notifications.ts'
import { openOutbox } from './mail/outbox.ts'
import { ProcessLock } from './engine/process-lock.ts'
import { ownerOfThisProcess } from './engine/process-owner.ts'
import { openQueue } from './accounts/queue.ts'
import { openResyncRecord } from './source/resync.ts'
import { openReports } from './reports/reports.ts'
import { noteRecordAge } from './events/record-age.ts'
import { openRecords } from './accounts/records.ts'
import { openRestore } from './events/restore.ts'
import type { Database, Tables } from './schema/schema.ts'
import { openEvidence } from './events/evidence.ts'
import { openFindings } from './guards/findings.ts'
import { openReviews } from './decisions/reviews.ts'
import { openGuards, openSwitches } from './decisions/switches.ts'
import { openServerStates } from './servers/server-states.ts'
import { NodeSqliteDialect, openSqliteFile, WalSync } from './engine/sqlite-dialect.ts'
import { prepareStatements } from './engine/statements.ts'
import { StorePlace } from './engine/store-place.ts'
import { openMaintenance } from './events/maintenance.ts'
import { openRollouts } from './mail/rollouts.ts'
import { openRetirements, retirementLook } from './decisions/retirements.ts'
import { openRunningConfig } from './servers/running-config.ts'
import { openSourceIdentity } from './source/source-identity.ts'
import { openSourceState } from './source/source-state.ts'
import { openSnapshots } from './source/snapshots.ts'
import { countUnwritten } from './reports/unwritten.ts'
import { announcedLocks } from './source/unannounced-locks.ts'
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

/** The part of the configuration that the store decides by, and that may be set anew. */
export type StoreRules = Pick<StoreOptions, 'lockTtlMs' | 'lockBackoff' | 'breaker' | 'lossBreaker'>

export type Store = Awaited<ReturnType<typeof openStore>>

/** Opens the store, creates and migrates it where needed. Fails with `store-*`, `disk-full`, `file-not-permitted`. */
export async function openStore(options: StoreOptions) {
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
    /** From now on these count, while nothing is in work. */
    async use(rules: StoreRules) {
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
    announcedLocks: (nowMs: number) => announcedLocks(db, nowMs),
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
    /** Fails with `store-unavailable` or `store-gone` once nothing more can be written: the process has to end. */
    failed: writer.failed,
    /** Whether the file is still the one that was opened; see `failed`. Each write checks it itself. */
    look: () => writer.look(),
    /** How many accounts are pending since the disk did not take their files. */
    unwritten: () => countUnwritten(db),
    /** One listener for all writes of this process. */
    listen: (listener: WriteListener) => writer.listen(listener),
    async [Symbol.asyncDispose]() {
      await writer.close()
      log[Symbol.dispose]()
      await db.destroy()
    },
  }
}
