import type { DesiredState, ObservedState } from './state.ts'

/**
 * What an account is driven to: one that is protected is open whatever holds it, so that a lock of ours from before is
 * given back. Its holds stay on record; where none is left, what ended the last one is why it is open. Where nobody knows whether it is protected, what stands is left.
 */
export function underProtection(desired: DesiredState, observed: ObservedState): DesiredState {
  const { protectedBy } = observed
  if (protectedBy === null || desired.holds.length === 0) return desired
  const reason = { code: 'account-protected', params: { rule: protectedBy } } as const
  return { ...desired, holds: [], ended: { reason, actor: '' } }
}
