import type { DesiredState, ObservedState } from './state.ts'

/**
 * What an account is driven to: one that is protected is open whatever holds it, so that a lock of ours from before is
 * given back. Its holds stay on record. Where nobody knows whether it is protected, what stands is left.
 */
export function underProtection(desired: DesiredState, observed: ObservedState): DesiredState {
  return observed.protectedBy === null ? desired : { ...desired, holds: [] }
}
