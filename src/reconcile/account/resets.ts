import type { DesiredState } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'

/** Fail counters that are to be reset in privacyIDEA because of what happened to an account. */

/**
 * By policy a hold that ended by itself is no longer one in privacyIDEA either. A turn that reads privacyIDEA has just
 * done so: where the token is full even then, it is tried again at the next look.
 */
export async function resetExpired(claim: Claim, { expired = [] }: DesiredState, ports: Ports): Promise<void> {
  if (ports.snapshot === null || ports.policy.resetsTokenOnTtl !== true || claim.isHinted || expired.length === 0)
    return
  const { snapshots: snapshot } = ports.snapshot
  const recorded = await snapshot.tokensOf(expired)
  const full = expired.filter((serial) => recorded.get(serial)?.isLocked === true)
  if (full.length > 0) await snapshot.wantReset(claim.key, full)
}

/** By policy an unlock in the directory is one in privacyIDEA as well. */
export async function wantReset(claim: Claim, desired: DesiredState, ports: Ports): Promise<void> {
  if (ports.snapshot === null || ports.policy.onForeignUnlock !== 'reset-token') return
  const serials = desired.holds.flatMap((hold) => (hold.serial === null ? [] : [hold.serial]))
  await ports.snapshot.snapshots.wantReset(claim.key, serials)
}
