import { directoryOf, type AccountKey } from '../core/names.ts'
import type { Outcome, Standing } from '../core/outcome.ts'
import type { Claim } from '../ports/store.ts'
import type { Breaker } from './breaker.ts'
import { endFinding, raiseFinding } from './findings.ts'
import { IN_STEP } from './literals.ts'
import type { WriteScope } from './writer.ts'

/** While an account stands so, the lock that waits in the review queue is still wanted. */
const WAITS: readonly Standing[] = ['breaker', 'failed', 'paused', 'dry-run']

/** What follows for the review queue and the findings from where an account stands now. */
export async function settleGuards(
  scope: WriteScope,
  claim: Claim,
  outcome: Outcome,
  at: { nowMs: number; breaker: Breaker },
): Promise<void> {
  if (claim.isInReview && !WAITS.includes(outcome.standing)) await at.breaker.leave(scope, claim.key, at.nowMs)
  const isProtected = outcome.standing === 'protected'
  if (isProtected === (claim.stood.standing === 'protected')) return
  const directory = directoryOf(claim.key)
  if (isProtected) {
    const first = await dnOf(scope, claim.key)
    const reason = `accounts of directory ${directory} have holds and are not locked, since they are protected; the first: ${first}`
    await raiseFinding(scope, { kind: 'protected', subject: directory, reason }, at.nowMs)
  } else if (!(await isAnyProtected(scope, claim.key))) {
    await endFinding(scope, 'protected', directory, at.nowMs)
  }
}

async function dnOf({ trx }: WriteScope, key: AccountKey): Promise<string> {
  return (await trx.selectFrom('account').select('dn').where('key', '=', key).executeTakeFirst())?.dn ?? key
}

async function isAnyProtected({ trx }: WriteScope, key: AccountKey): Promise<boolean> {
  const row = await trx
    .selectFrom('account')
    .select('key')
    .where('standing', '<>', IN_STEP)
    .where('standing', '=', 'protected')
    .where('directory', '=', directoryOf(key))
    .where('key', '<>', key)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}
