import { backoffMs } from '../core/error.ts'
import type { RawName } from './spool-files.ts'

/**
 * What lies in `new` and could not be dealt with: looked at again after a while, so that it neither holds up the rest nor
 * keeps a processor busy.
 */

/** `unread`: may be an event. `stuck`: is on record, and can be neither moved nor removed. */
export type LeftKind = 'unread' | 'stuck'

/** Names at most; what is beyond them is tried at every listing. */
const LEFT_MAX = 100_000
/** Between two tries at most: what cannot be read may become readable, what is stuck takes a person. */
const AGAIN_MAX_MS = 60_000
const STUCK_AGAIN_MS = 60 * 60 * 1000

export interface LeftName {
  readonly name: RawName
  readonly kind: LeftKind
  readonly why: string
}

export interface Left {
  /** Whether its time has not come yet; notes that it is still there. */
  isPassedOver(name: RawName): boolean
  /** @returns whether it is the first time, so that it is told once */
  add(left: LeftName): boolean
  delete(name: RawName): void
  /** Forgets every name that was not asked for since the last call: it is gone. After a listing to the end only. */
  forgetUnseen(): void
  isAnyDue(): boolean
  isFull(): boolean
  unread(): LeftName[]
}

interface Entry extends LeftName {
  readonly tries: number
  /** By the clock that nobody sets. */
  readonly againMs: number
  seen: boolean
}

export function newLeft(random: () => number): Left {
  const entries = new Map<RawName, Entry>()
  return {
    isPassedOver(name) {
      const entry = entries.get(name)
      if (entry === undefined) return false
      entry.seen = true
      return entry.againMs > performance.now()
    },
    add(left) {
      const before = entries.get(left.name)
      if (before === undefined && entries.size >= LEFT_MAX) return false
      const tries = before?.kind === left.kind ? before.tries + 1 : 0
      const waitMs = left.kind === 'stuck' ? STUCK_AGAIN_MS : backoffMs(tries, random(), AGAIN_MAX_MS)
      entries.set(left.name, { ...left, tries, againMs: performance.now() + waitMs, seen: true })
      return tries === 0
    },
    delete: (name) => void entries.delete(name),
    forgetUnseen() {
      for (const [name, entry] of entries) {
        if (!entry.seen) entries.delete(name)
        entry.seen = false
      }
    },
    isAnyDue() {
      const nowMs = performance.now()
      for (const entry of entries.values()) if (entry.againMs <= nowMs) return true
      return false
    },
    isFull: () => entries.size >= LEFT_MAX,
    unread: () => [...entries.values()].filter((entry) => entry.kind === 'unread'),
  }
}
