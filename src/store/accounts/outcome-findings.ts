import { directoryOf, type AccountKey } from '../../core/names.ts'
import type { OtherLock } from '../../core/account/state.ts'
import type { Outcome, AccountStatus } from '../../core/account/outcome.ts'
import type { FindingKind } from '../../ports/store/finding.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Breaker } from '../guards/breaker.ts'
import { endFinding, isFindingOpen, raiseReason } from '../guards/findings.ts'
import { IN_STEP, NO_HOLDS, UNCLEAR } from '../rows/literals.ts'
import type { WriteScope } from '../engine/store-writer.ts'
import { countOf } from '../rows/queries.ts'

/** With these statuses the lock that is pending in the review queue is still wanted. */
const WAITS: readonly AccountStatus[] = ['breaker', 'failed', 'paused', 'dry-run']

/** Accounts with a hold that are no longer found: so many, and such a part of all with a hold, is no coincidence. */
const GONE_LEAST = 5
const GONE_SHARE = 0.1
const GONE_CODE = 'entry-not-found'

/** The effects of an account's new status on the review queue and the findings. */
export async function recordFindings(
  scope: WriteScope,
  claim: Claim,
  outcome: Outcome,
  at: { nowMs: number; breaker: Breaker },
): Promise<void> {
  const isWanted = outcome.isDirectoryInStep !== true && WAITS.includes(outcome.standing)
  if (claim.isInReview && !isWanted) await at.breaker.leave(scope, claim.key, at.nowMs)
  const isProtected = outcome.standing === 'protected'
  if (isProtected !== (claim.stood.standing === 'protected')) {
    if (isProtected) await raiseProtected(scope, claim.key, at.nowMs)
    else await endWhereLast(scope, claim.key, 'protected', { column: 'standing', value: 'protected' }, at.nowMs)
  }
  const isGone = outcome.errorCode === GONE_CODE
  if (isGone !== (claim.stood.code === GONE_CODE)) {
    if (isGone) await raiseGone(scope, claim.key, at.nowMs)
    else await endWhereLast(scope, claim.key, 'accounts-gone', { column: 'standing_code', value: GONE_CODE }, at.nowMs)
  }
  await findUnclear(scope, claim, outcome, at.nowMs)
}

async function raiseProtected(scope: WriteScope, key: AccountKey, nowMs: number): Promise<void> {
  const directory = directoryOf(key)
  if (await isFindingOpen(scope, 'protected', directory)) return
  const row = await scope.trx.selectFrom('account').select('dn').where('key', '=', key).executeTakeFirst()
  const params = { directory, first: row?.dn ?? key }
  await raiseReason(scope, { subject: directory, reason: { code: 'protected', params } }, nowMs)
}

/** A single deletion is not reported. A directory that suddenly shows none of them is the wrong one, or was emptied. */
async function raiseGone(scope: WriteScope, key: AccountKey, nowMs: number): Promise<void> {
  const directory = directoryOf(key)
  if (await isFindingOpen(scope, 'accounts-gone', directory)) return
  const count = { column: 'standing_code', value: GONE_CODE } as const
  const gone = await countStatus(scope, directory, count)
  if (gone < GONE_LEAST) return
  const held = await countHeld(scope, directory)
  if (gone < held * GONE_SHARE) return
  const params = { directory, gone, held }
  await raiseReason(scope, { subject: directory, reason: { code: 'accounts-gone', params } }, nowMs)
}

interface StandsSo {
  readonly column: 'standing' | 'standing_code'
  readonly value: string
}

/** The account no longer has that status; the last one of its directory ends the finding. */
async function endWhereLast(
  scope: WriteScope,
  key: AccountKey,
  kind: FindingKind,
  so: StandsSo,
  nowMs: number,
): Promise<void> {
  const directory = directoryOf(key)
  if ((await countStatus(scope, directory, so, 1)) > 0) return
  await endFinding(scope, kind, directory, nowMs)
}

async function countStatus(
  { trx }: WriteScope,
  directory: string,
  { column, value }: StandsSo,
  max: number = COUNT_MAX,
): Promise<number> {
  const rows = await trx
    .selectFrom('account')
    .select('key')
    .where('standing', '<>', IN_STEP)
    .where(column, '=', value)
    .where('directory', '=', directory)
    .limit(max)
    .execute()
  return rows.length
}

/** A count goes no further: beyond it the share alone is enough. */
const COUNT_MAX = 10_000

function countHeld({ trx }: WriteScope, directory: string): Promise<number> {
  const held = trx
    .selectFrom('account')
    .where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
  return countOf(held.where('directory', '=', directory))
}

const FIRST_MAX = 3

/** What may be somebody else's lock, and cannot be judged, is one finding a directory. */
async function findUnclear(scope: WriteScope, claim: Claim, outcome: Outcome, nowMs: number): Promise<void> {
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
