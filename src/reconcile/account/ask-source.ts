import { toAppError, type AppError } from '../../core/error.ts'
import type { Claim } from '../../ports/store/store.ts'
import { verdictOn } from '../guards.ts'
import type { Ports } from '../ports.ts'
import { readSnapshot, type Read, type Resets } from '../source/snapshot.ts'

/** `unread`: privacyIDEA could not be read, and the account is driven to what was known before. */
export interface SourceAnswer extends Read {
  readonly unread: AppError | null
}

const NOT_ASKED: SourceAnswer = { unread: null, resetWaits: false, lossesAgainAtMs: null }

/** Reads what privacyIDEA says of the owner, where something hinted at news. Fails with `lease-lost` alone. */
export async function askSource(claim: Claim, isRetired: boolean, ports: Ports): Promise<SourceAnswer> {
  // What is to be released is so whatever privacyIDEA says, and where it is gone.
  if (!claim.isHinted || ports.snapshot === null || isRetired) return NOT_ASKED
  try {
    return { unread: null, ...(await readSnapshot(claim, ports.snapshot, await resetsOf(claim, ports))) }
  } catch (thrown) {
    const unread = toAppError(thrown)
    if (unread.code === 'lease-lost') throw unread
    return { ...NOT_ASKED, unread }
  }
}

/** What the guards say of a write to privacyIDEA. */
async function resetsOf(claim: Claim, ports: Ports): Promise<Resets> {
  const verdict = await verdictOn(null, claim, ports)
  if (verdict.kind === 'go') return 'made'
  return verdict.kind === 'paused' && !verdict.isDryRun ? 'wait' : 'dropped'
}
