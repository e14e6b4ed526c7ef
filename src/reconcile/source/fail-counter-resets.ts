import { toAppError } from '../../core/error.ts'
import type { AccountKey, Serial } from '../../core/names.ts'
import type { PolicySettings } from '../../core/settings/settings.ts'
import type { DesiredState } from '../../core/account/state.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { FindingPort } from '../../ports/store/finding.ts'
import type { Claim, SnapshotPort } from '../../ports/store/store.ts'

/**
 * Mode `api`: fail counters that are reset in privacyIDEA because of what happened to an account. A reset is ordered here,
 * by policy, or by a person (`operations/accounts/manual-action.ts`): `SnapshotPort.wantReset` puts it on record and marks the account. The
 * next reading of its owner (`snapshot.ts`) carries it out.
 */

interface OrderingPorts {
  /** Null: mode `events`. */
  readonly snapshot: { readonly snapshots: Pick<SnapshotPort, 'tokensOf' | 'wantReset'> } | null
  readonly policy: Pick<PolicySettings, 'onForeignUnlock'> & { readonly resetsTokenOnTtl?: boolean }
}

/**
 * By policy a hold that ended by itself is no longer one in privacyIDEA either. A turn that reads privacyIDEA has just
 * done so: where the token is full even then, it is tried again at the next look.
 */
export async function resetExpired(claim: Claim, { expired = [] }: DesiredState, ports: OrderingPorts): Promise<void> {
  if (ports.snapshot === null || ports.policy.resetsTokenOnTtl !== true || claim.isHinted || expired.length === 0)
    return
  const { snapshots } = ports.snapshot
  const recorded = await snapshots.tokensOf(expired)
  const full = expired.filter((serial) => recorded.get(serial)?.isLocked === true)
  if (full.length > 0) await snapshots.wantReset(claim.key, full)
}

/** By policy an unlock in the directory is one in privacyIDEA as well. */
export async function wantReset(claim: Claim, desired: DesiredState, ports: OrderingPorts): Promise<void> {
  if (ports.snapshot === null || ports.policy.onForeignUnlock !== 'reset-token') return
  const serials = desired.holds.flatMap((hold) => (hold.serial === null ? [] : [hold.serial]))
  await ports.snapshot.snapshots.wantReset(claim.key, serials)
}

/**
 * Carries out the resets that are due, before the tokens are read; one that is not any more there needs no reset. What privacyIDEA does not let us
 * do is left out: trying it again would hold up all else about the account, for ever.
 * @returns the serials that it refuses
 */
export async function resetTokens(
  serials: readonly Serial[],
  { source }: { readonly source: Pick<PrivacyIdeaPort, 'resetFailCounter'> },
): Promise<readonly Serial[]> {
  const refused: Serial[] = []
  for (const serial of serials) {
    try {
      await source.resetFailCounter(serial)
    } catch (thrown) {
      const { code } = toAppError(thrown)
      if (code === 'source-not-permitted') refused.push(serial)
      else if (code !== 'unknown-serial') throw thrown
    }
  }
  return refused
}

/** What privacyIDEA refuses is a finding until it no longer does. */
export async function noteResets(
  key: AccountKey,
  serials: readonly Serial[],
  { findings }: { readonly findings: Pick<FindingPort, 'raise' | 'end'> },
): Promise<void> {
  if (serials.length === 0) await findings.end('reset-refused', key)
  else await findings.raise({ subject: key, reason: { code: 'reset-refused', params: { serials } } })
}
