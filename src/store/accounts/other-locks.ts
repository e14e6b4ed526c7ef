import { directoryOf, type AccountKey } from '../../core/names.ts'
import { otherLockReason } from '../../core/source/mirror.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import { shownReason, type ReasonCode } from '../../core/reasons/reason.ts'
import type { OtherLock } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import { endFinding, raiseReason } from '../guards/findings.ts'
import { UNCLEAR } from '../rows/literals.ts'
import { otherLockFromRow } from '../rows/rows.ts'
import type { AccountRow } from '../schema/schema.ts'
import type { WriteScope } from '../engine/writer.ts'

/** Somebody else's lock at an account, for people. */
export interface OtherLockReport {
  /** `unknown`: whether it locks cannot be judged. */
  readonly is: OtherLock['is']
  readonly cause: OtherLock['cause']
  readonly attribute: string
  /** When it ends by itself, in milliseconds since 1970; null: not by itself, or not known. */
  readonly untilMs: number | null
  readonly reason: string
  readonly reasonCode: ReasonCode | null
  readonly reasonParams: object
}

export function otherLockReport(row: AccountRow): OtherLockReport | null {
  const other = otherLockFromRow(row.other_lock)
  if (other === null) return null
  const { is, cause, attribute, untilUs } = other
  const untilMs = untilUs === null ? null : Math.ceil(untilUs / 1000)
  return { is, cause, attribute, untilMs, ...shownReason(otherLockReason(other, row.owned_lock !== null)) }
}

/** Beyond it the number says enough. */
const COUNT_MAX = 10_000
const FIRST_MAX = 3

/** What may be somebody else's lock, and cannot be judged, is one finding a directory. */
export async function settleOtherLock(scope: WriteScope, claim: Claim, outcome: Outcome, nowMs: number): Promise<void> {
  const { otherLock = claim.stood.otherLock } = outcome
  if (isUnclear(otherLock) === isUnclear(claim.stood.otherLock)) return
  await reportUnclear(scope, claim.key, (otherLock ?? claim.stood.otherLock)?.attribute ?? '', nowMs)
}

function isUnclear(lock: OtherLock | null): boolean {
  return lock?.is === 'unknown'
}

async function reportUnclear(scope: WriteScope, key: AccountKey, attribute: string, nowMs: number): Promise<void> {
  const directory = directoryOf(key)
  const rows = await scope.trx
    .selectFrom('account')
    .select(['login', 'dn'])
    .where('directory', '=', directory)
    .where('other_lock_is', '=', UNCLEAR)
    .orderBy('key')
    .limit(COUNT_MAX)
    .execute()
  if (rows.length === 0) return endFinding(scope, 'other-locks-unclear', directory, nowMs)
  const first = rows.slice(0, FIRST_MAX).map(({ login, dn }) => login ?? dn)
  const params = { directory, attribute, accounts: rows.length, first }
  await raiseReason(scope, { subject: directory, reason: { code: 'other-locks-unclear', params } }, nowMs)
}
