import type { AccountKey, DirectoryName, Login, Realm } from '../../core/names.ts'
import { reasonText, shownReason, type ReasonCode } from '../../core/reasons/reason.ts'
import type { Clock } from '../../ports/clock.ts'
import { accountsNamed, accountsOfLogin, realmsOnRecord } from './find-accounts.ts'
import { otherLockReport, type OtherLockReport } from '../accounts/other-locks.ts'
import { readLockProofs, type LockProof } from '../accounts/lock-proofs.ts'
import { reasonFromRow } from '../rows/reasons.ts'
import { changeFromRow, effectiveFromRow, ownedFromRow } from '../rows/rows.ts'
import { serialsOf } from '../accounts/serial-lookups.ts'
import type { AccountRow, ChangeRow, Database, EventRow, HoldTable, JournalRow } from '../schema/schema.ts'
import { IN_STEP, NO_HOLDS } from '../rows/literals.ts'
import { countLocking, countWaits, isKeptOpen, isWaiting, readCounts } from './report-counts.ts'
import {
  countUnknownEffects,
  readLockFindings,
  readVerifications,
  type VerificationReport,
} from './verification-reports.ts'

/** What the CLI shows: plain rows, times in milliseconds since 1970, everything bounded by a limit. */

export interface AccountReport {
  readonly key: string
  readonly directory: string
  readonly dn: string
  readonly login: string | null
  readonly realm: string | null
  readonly lockedByUs: boolean
  /**
   * Whether a lock is enforced. `unknown`: what decides about it may not be read. `probed`: likewise, and `proof`
   * is a trial in its directory in which a lock was enforced. Null: neither a lock nor a hold.
   */
  readonly effective: 'yes' | 'no' | 'unknown' | 'probed' | null
  readonly proof: LockProof | null
  /** Somebody else's lock there, beside ours or alone, or what may be one; null: none was observed. */
  readonly otherLock: OtherLockReport | null
  readonly standing: string
  readonly standingCode: string | null
  readonly standingReason: string
  readonly standingReasonCode: ReasonCode | null
  readonly standingReasonParams: object
  readonly holds: readonly ReturnType<typeof holdReport>[]
  /** Whether a lock of ours is there and enforced on every server; null: there is none. */
  readonly verification: VerificationReport | null
  readonly updatedMs: number
}

export interface AccountFilter {
  /** Only those with a hold or a lock of ours. */
  readonly held?: boolean
  /** Only those locked or to be locked: without protected ones, and those whose lock fewer people approved. */
  readonly approvals?: number
  readonly unsettled?: boolean
  /** Only those that `waits` counts. */
  readonly waitingDueMs?: number
  readonly after?: string
  readonly limit: number
}

export function openReports(db: Database, clock: Clock) {
  return {
    counts: (nowMs: number) => readCounts(db, nowMs),
    accounts: (filter: AccountFilter) => listAccounts(db, filter, clock.nowMs()),
    /** Accounts that a text names: an account key or id, a serial or a login. */
    find: async (text: string, limit: number) => withHolds(db, await accountsNamed(db, text, limit), clock.nowMs()),
    /**
     * Accounts of the users with this login in this realm.
     * @param directories those of the realm: an account there without a realm on record belongs to it as well
     */
    findLogin: async (login: Login, realm: Realm, directories: readonly DirectoryName[], limit: number) =>
      withHolds(db, await accountsOfLogin(db, { login, realm, directories }, limit), clock.nowMs()),
    /** Realms that an account on record is of. */
    realms: () => realmsOnRecord(db),
    /** How many of these accounts there are: see AccountFilter. */
    countLocking: (approvals: number) => countLocking(db, approvals),
    /** Locks of ours of which it is not known whether they are enforced, by directory. */
    unknownEffects: () => countUnknownEffects(db, clock.nowMs()),
    /** Locks with a problem, at most so many, and how many there are of each kind. */
    lockFindings: (limit: number) => readLockFindings(db, limit),
    /** Serials of the account by the events. */
    serialsOf: (key: AccountKey) => serialsOf(db, key),
    events: (filter: { key?: AccountKey; state?: string; sinceMs?: number; limit: number }) => listEvents(db, filter),
    changes: (filter: { key?: AccountKey; sinceMs?: number; untilMs?: number; state?: string; limit: number }) =>
      listChanges(db, filter),
    journal: (filter: { subject?: string; fromSeq?: number; limit: number }) => listJournal(db, filter),
    /** What was tried and failed, and all that was due at that time; 0 leaves out the latter. */
    waits: (dueMs: number) => countWaits(db, dueMs),
  }
}

async function listAccounts(db: Database, filter: AccountFilter, nowMs: number): Promise<AccountReport[]> {
  let query = db
    .selectFrom('account')
    .selectAll()
    .where('key', '>', filter.after ?? '')
    .orderBy('key')
    .limit(filter.limit)
  if (filter.held === true)
    query = query.where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
  const { approvals } = filter
  if (approvals !== undefined) query = query.where((account) => account.not(isKeptOpen(account, approvals)))
  if (filter.unsettled === true) query = query.where('standing', '<>', IN_STEP)
  const { waitingDueMs } = filter
  if (waitingDueMs !== undefined) query = query.where((account) => isWaiting(account, waitingDueMs))
  return withHolds(db, await query.execute(), nowMs)
}

/** A lock that was not read since this is on record is as unknown as one that cannot be judged. */
function effectOf(row: AccountRow, proofs: ReadonlyMap<string, LockProof>): Pick<AccountReport, 'effective' | 'proof'> {
  const effective = effectiveFromRow(row.effective) ?? (row.owned_lock === null ? null : 'unknown')
  const proof = effective === 'unknown' ? (proofs.get(row.directory) ?? null) : null
  return { effective: proof === null ? effective : 'probed', proof }
}

async function withHolds(db: Database, rows: readonly AccountRow[], nowMs: number): Promise<AccountReport[]> {
  const held = rows.filter((row) => row.hold_count > 0).map((row) => row.key)
  const holds =
    held.length === 0 ? [] : await db.selectFrom('hold').selectAll().where('account_key', 'in', held).execute()
  const proofs = await readLockProofs(db, nowMs)
  const verifications = await readVerifications(db, rows)
  return rows.map((row) => ({
    key: row.key,
    directory: row.directory,
    dn: row.dn,
    login: row.login,
    realm: row.realm,
    lockedByUs: ownedFromRow(row) !== null,
    ...effectOf(row, proofs),
    otherLock: otherLockReport(row),
    standing: row.standing,
    standingCode: row.standing_code,
    ...statusReasonOf(row),
    holds: holds.filter((hold) => hold.account_key === row.key).map(holdReport),
    verification: verifications.get(row.key) ?? null,
    updatedMs: Number(row.updated_ms),
  }))
}

function holdReport({ name, kind, serial, since_us, until_us, reason, actor }: HoldTable) {
  return {
    name,
    kind,
    serial,
    sinceMs: Math.floor(Number(since_us) / 1000),
    untilMs: until_us === null ? null : Math.ceil(Number(until_us) / 1000),
    ...shownReason(reasonFromRow(reason)),
    actor,
  }
}

function statusReasonOf(
  row: AccountRow,
): Pick<AccountReport, 'standingReason' | 'standingReasonCode' | 'standingReasonParams'> {
  const { reason, reasonCode, reasonParams } = shownReason(reasonFromRow(row.standing_reason))
  return { standingReason: reason, standingReasonCode: reasonCode, standingReasonParams: reasonParams }
}

async function listEvents(
  db: Database,
  filter: { key?: AccountKey; state?: string; sinceMs?: number; limit: number },
): Promise<EventReport[]> {
  let query = db.selectFrom('event').selectAll().orderBy('taken_at_us', 'desc').limit(filter.limit)
  if (filter.key !== undefined) query = query.where('account_key', '=', filter.key)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state as EventRow['state'])
  if (filter.sinceMs !== undefined) query = query.where('received_ms', '>=', filter.sinceMs)
  return (await query.execute()).map(eventReport)
}

export type EventReport = ReturnType<typeof eventReport>

function eventReport(row: EventRow) {
  const why = reasonFromRow(row.why)
  return {
    id: row.id,
    kind: row.kind,
    serial: row.serial,
    login: row.login,
    realm: row.realm,
    actor: row.actor,
    source: row.source,
    ...shownReason(reasonFromRow(row.reason)),
    takenMs: Math.floor(Number(row.taken_at_us) / 1000),
    receivedMs: Number(row.received_ms),
    state: row.state,
    account: row.account_key,
    whyCode: row.why_code ?? (why === null || why.code === 'plain-text' ? null : why.code),
    whyParams: why === null || why.code === 'plain-text' ? {} : why.params,
    why: reasonText(why),
    attempts: row.attempts,
    nextTryMs: row.next_try_ms === null ? null : Number(row.next_try_ms),
  }
}

async function listChanges(
  db: Database,
  filter: { key?: AccountKey; sinceMs?: number; untilMs?: number; state?: string; limit: number },
): Promise<ChangeReport[]> {
  let query = db
    .selectFrom('change')
    .selectAll()
    .orderBy('planned_ms', 'desc')
    .orderBy('id', 'desc')
    .limit(filter.limit)
  if (filter.key !== undefined) query = query.where('account_key', '=', filter.key)
  if (filter.sinceMs !== undefined) query = query.where('planned_ms', '>=', filter.sinceMs)
  if (filter.untilMs !== undefined) query = query.where('planned_ms', '<=', filter.untilMs)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state as 'applied')
  return (await query.execute()).map(changeReport)
}

export type ChangeReport = ReturnType<typeof changeReport>

/** `holds`: those of a lock or an unlock; `ends`: when those of a person were to end by themselves. */
function changeReport(row: ChangeRow) {
  const { id, account_key: account, kind, serial, dn, state } = row
  const { holds, ends = {}, reason, actor, plannedAtMs } = changeFromRow(row)
  const closedMs = row.closed_ms === null ? null : Number(row.closed_ms)
  const change = { id, account, kind, serial, dn, ...shownReason(reason), actor }
  return { ...change, plannedMs: plannedAtMs, state, closedMs, holds, ends }
}

async function listJournal(
  db: Database,
  filter: { subject?: string; fromSeq?: number; limit: number },
): Promise<JournalRow[]> {
  const forward = filter.fromSeq !== undefined
  let query = db
    .selectFrom('journal')
    .selectAll()
    .orderBy('seq', forward ? 'asc' : 'desc')
    .limit(filter.limit)
  if (filter.fromSeq !== undefined) query = query.where('seq', '>=', filter.fromSeq)
  if (filter.subject !== undefined) query = query.where('subject', '=', filter.subject)
  const rows = await query.execute()
  return forward ? rows : rows.toReversed()
}
