import type { DesiredState, ObservedState } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'
import { missingSerials, settleDuplicates } from '../duplicate-serials.ts'

/** A reading that was made while the account was being found is young enough: compare and swap makes that safe. */
export const READING_AGE_MAX_MS = 1_000

interface Looking {
  readonly claim: Claim
  readonly desired: DesiredState
  readonly ports: Ports
}

/** Reads the account, and who else carries the serials that it lacks. */
export async function look(turn: Looking, maxAgeMs: number): Promise<ObservedState> {
  return withDuplicates(turn, await turn.ports.directory.observe(turn.claim.key, [], maxAgeMs))
}

export async function withDuplicates(
  { claim, desired, ports }: Looking,
  observed: ObservedState,
): Promise<ObservedState> {
  const missing = missingSerials(desired, observed)
  if (missing.length === 0) return observed
  return settleDuplicates(desired, await ports.directory.observe(claim.key, missing, READING_AGE_MAX_MS), ports)
}
