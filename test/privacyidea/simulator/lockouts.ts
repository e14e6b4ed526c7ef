/** Users who are kept out, and the policies that keep them out. */

export interface Lockout {
  readonly userId: string
  readonly untilMs: number
  readonly lockedAtMs: number
  readonly cause: 'MANUAL' | 'POLICY'
}

interface LockPolicy {
  readonly types: readonly string[]
  readonly threshold: number
  readonly durationS: number | null
}

export class Lockouts {
  readonly #rows = new Map<string, Lockout>()
  readonly #policies: LockPolicy[] = []
  readonly #counts = new Map<string, number>()

  set(userId: string, durationS: number | null, cause: Lockout['cause']): Lockout {
    const untilMs = durationS === null ? Infinity : Date.now() + durationS * 1000
    const lockout = { userId, untilMs, lockedAtMs: Date.now(), cause }
    this.#rows.set(userId, lockout)
    return lockout
  }

  release(userId: string): boolean {
    this.#counts.delete(userId)
    return this.#rows.delete(userId)
  }

  isOut(userId: string): boolean {
    return (this.#rows.get(userId)?.untilMs ?? 0) > Date.now()
  }

  addPolicy(policy: LockPolicy): number {
    return this.#policies.push(policy)
  }

  /** A failure of a user; where it is the one too many, he is locked out. */
  count(type: string, userId: string): void {
    for (const { types, threshold, durationS } of this.#policies) {
      if (!types.includes(type)) continue
      const count = (this.#counts.get(userId) ?? 0) + 1
      this.#counts.set(userId, count)
      if (count === threshold) this.set(userId, durationS, 'POLICY')
    }
  }

  /** Rows that have ended stay, and are shown where `states` is not given. */
  all(): readonly Lockout[] {
    return [...this.#rows.values()]
  }
}
