import { backoffMs } from '../core/error.ts'
import type { RawName } from './spool-files.ts'

/**
 * Files in `new` that could not be processed. They are tried again after a while, so that they neither block the rest
 * nor keep a processor busy.
 */

/** `unread`: may be an event. `stuck`: on record, and can be neither moved nor removed. */
export type LeftKind = 'unread' | 'stuck'

/** Names at most; further ones are tried at every listing. */
const LEFT_MAX = 100_000
/** Between two tries at most: an unread file may become readable, a stuck one needs an administrator. */
const AGAIN_MAX_MS = 60_000
const STUCK_AGAIN_MS = 60 * 60 * 1000

export interface LeftName {
  readonly name: RawName
  readonly kind: LeftKind
  readonly why: string
}

export interface Left {
  /** Whether its next retry is not due yet; also notes that the file is still there. */
  isPassedOver(name: RawName): boolean
  /** @returns whether it is the first time, so that it is reported once */
  add(left: LeftName): boolean
  delete(name: RawName): void
  /**
   * Removes every name that was not asked for since the last call: the file is gone. Only after a listing to the end.
   */
  forgetUnseen(): void
  isAnyDue(): boolean
  isFull(): boolean
  unread(): LeftName[]
}

interface Entry extends LeftName {
  readonly tries: number
  /** By the monotonic clock. */
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
