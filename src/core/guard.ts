import type { ChangeDraft } from './change.ts'

/** What the guards look at, read when a change is about to be written. */
export interface GuardInput {
  readonly paused: boolean
  readonly dryRun: boolean
  /** Why the configuration forbids to lock this account, or null. */
  readonly protectedBy: string | null
  readonly breaker: { readonly locksMax: number; readonly perMs: number } | null
  /** Locks that were written within the breaker's window. */
  readonly recentLocks: number
  /** When the oldest of them leaves the window, in milliseconds since 1970. */
  readonly windowEndsAtMs: number
}

export type Verdict =
  | { readonly kind: 'go' }
  | {
      readonly kind: 'protected' | 'breaker' | 'paused' | 'dry-run'
      readonly reason: string
      /** When to ask again by itself, in milliseconds since 1970; null: when something happens. */
      readonly againAtMs: number | null
    }

/**
 * May this change be written? A protected account is never locked; the breaker and it stop locks only: what gives an
 * account back, and the serials, always flow. A pause and a dry run stop everything.
 */
export function guard(change: Pick<ChangeDraft, 'kind'>, input: GuardInput): Verdict {
  if (input.paused)
    return { kind: 'paused', reason: 'changes are paused (lockstep resume lets them go on)', againAtMs: null }
  if (change.kind === 'lock' && input.protectedBy !== null) {
    return { kind: 'protected', reason: `protected account, not locked: ${input.protectedBy}`, againAtMs: null }
  }
  if (input.dryRun) return { kind: 'dry-run', reason: `dry run: ${change.kind} was not written`, againAtMs: null }
  if (change.kind === 'lock' && input.breaker !== null && input.recentLocks >= input.breaker.locksMax) {
    const minutes = Math.ceil(input.breaker.perMs / 60_000)
    const reason = `breaker: ${input.recentLocks} locks within ${minutes} min reached guards.breaker.maxLocks; waits`
    return { kind: 'breaker', reason, againAtMs: input.windowEndsAtMs }
  }
  return { kind: 'go' }
}
