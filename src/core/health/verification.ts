import { reasonText } from '../reasons/reason.ts'
import { rebased, statusOf, otherLockReason } from '../account/slot.ts'
import type { Wanted } from '../account/outcome.ts'
import type { Effectiveness, LockObservation, OwnedLock } from '../account/state.ts'
import type { Dn } from '../names.ts'

/**
 * Whether a lock of ours is in effect and enforced on every server of its directory, by the answer of each. Pure:
 * reconcile/verify.ts asks. The same for an unlock, which has to arrive everywhere as well.
 */

/** The answer of one server about one account. */
export interface ObservedAt {
  readonly url: string
  /** Why it could not be searched; null: it answered. */
  readonly failure: string | null
  /** Null where it did not answer, or does not have the account. */
  readonly found: { readonly dn: Dn; readonly lock: LockObservation } | null
}

export interface ServerVerdict {
  readonly url: string
  /** Whether what was written is there; `unknown`: it could not be asked. */
  readonly stands: 'yes' | 'no' | 'unknown'
  /** Whether a lock is enforced there; for an unlock as `stands`. */
  readonly effective: Effectiveness['is']
  /** It took what was written, or was observed with it since. */
  readonly hadIt: boolean
  /** Somebody else's lock there, in one sentence; left out where there is none. */
  readonly otherLock?: string
  /** Why it is not there or not enforced, or was not observed; else ''. */
  readonly reason: string
}

export type ProblemKind = 'not-effective' | 'missing' | 'still-locked' | 'removed'

/** Something to look at. */
export interface LockProblem {
  readonly kind: ProblemKind
  readonly reason: string
  readonly fix: string
}

export interface LockVerdict {
  /** On the server that took the write, or, where that cannot be asked, on any that does. */
  readonly written: 'yes' | 'no' | 'unknown'
  readonly effective: Effectiveness['is']
  /** Servers on which it is there and effective, of all that are configured. */
  readonly verified: number
  readonly servers: readonly ServerVerdict[]
  /** Servers that had it and no longer do: somebody removed it there. */
  readonly isUnlockedExternally: boolean
  /** Where it is missing: the caller decides whether that may still be the delay of replication. */
  readonly problem: LockProblem | null
}

export interface Expected {
  readonly wanted: Wanted
  /** What is ours; for `open` it is not looked at. */
  readonly owned: OwnedLock | null
  /** The server that took the write; null: not known. */
  readonly writer: string | null
  /** Servers that were observed with it before. */
  readonly holders: readonly string[]
}

export function judgeLock(expected: Expected, seen: readonly ObservedAt[]): LockVerdict {
  const servers = seen.map((each) => verdictOf(expected, each))
  const answered = servers.filter(({ stands }) => stands !== 'unknown')
  const status = answered.filter(({ stands }) => stands === 'yes')
  const atWriter = servers.find(({ url }) => url === expected.writer)?.stands ?? 'unknown'
  return {
    written: atWriter !== 'unknown' ? atWriter : status.length > 0 ? 'yes' : answered.length > 0 ? 'no' : 'unknown',
    effective: effectiveOf(status),
    verified: status.filter(({ effective }) => effective === 'yes').length,
    servers,
    isUnlockedExternally: answered.some(({ stands, hadIt }) => stands === 'no' && hadIt),
    problem: problemOf(expected, servers),
  }
}

function verdictOf({ wanted, owned, writer, holders }: Expected, { url, failure, found }: ObservedAt): ServerVerdict {
  const had = url === writer || holders.includes(url)
  if (failure !== null) return { url, stands: 'unknown', effective: 'unknown', hadIt: had, reason: failure }
  if (found === null) {
    if (wanted === 'open') return { url, stands: 'yes', effective: 'yes', hadIt: had, reason: '' }
    return { url, stands: 'no', effective: 'unknown', hadIt: had, reason: 'the account is not there' }
  }
  const { other } = found.lock
  const also = other === null ? {} : { otherLock: reasonText(otherLockReason(other, wanted === 'locked')) }
  const stands = wanted === 'open' ? found.lock.state !== 'as-ours' : owned !== null && standsAll(owned, found)
  if (!stands) {
    const reason = wanted === 'open' ? 'the lock is still there' : 'the lock does not stand there'
    return { url, stands: 'no', effective: 'unknown', hadIt: had, reason, ...also }
  }
  if (wanted === 'open') return { url, stands: 'yes', effective: 'yes', hadIt: true, reason: '', ...also }
  const { effective } = found.lock
  return {
    url,
    stands: 'yes',
    effective: effective.is,
    hadIt: true,
    reason: effective.is === 'yes' ? '' : effective.reason,
    ...also,
  }
}

/** A place that the configuration no longer names was not read, and proves nothing. */
function standsAll(owned: OwnedLock, found: NonNullable<ObservedAt['found']>): boolean {
  return rebased(owned.slots, owned.dn, found).every((slot) => statusOf(slot, found) !== 'gone')
}

/** The worst that is known: one server that lets the user in is enough. */
function effectiveOf(status: readonly ServerVerdict[]): Effectiveness['is'] {
  if (status.some(({ effective }) => effective === 'no')) return 'no'
  return status.length > 0 && status.every(({ effective }) => effective === 'yes') ? 'yes' : 'unknown'
}

const EFFECT_FIX = 'Correct it on that server; lockstep doctor looks at each and prints what to change.'
const MISSING_FIX =
  'Look at the replication to that server; until it arrives its user is not locked out there. It is looked at again by itself.'
const STILL_FIX =
  'Look at the replication to that server; until it arrives its user is locked out there. It is looked at again by itself.'

function problemOf({ wanted }: Expected, servers: readonly ServerVerdict[]): LockProblem | null {
  const toothless = servers.find(({ stands, effective }) => stands === 'yes' && effective === 'no')
  if (toothless !== undefined) {
    const reason = `the lock does not keep its user out at ${toothless.url}: ${toothless.reason}`
    return { kind: 'not-effective', reason, fix: EFFECT_FIX }
  }
  const missing = servers.filter(({ stands }) => stands === 'no')
  // Where no server has it, it is not the replication that fails.
  if (missing.length === 0 || !servers.some(({ stands }) => stands === 'yes')) return null
  const urls = missing.map(({ url }) => url).join(' and ')
  return wanted === 'locked'
    ? { kind: 'missing', reason: `the lock does not stand at ${urls}`, fix: MISSING_FIX }
    : { kind: 'still-locked', reason: `the lock was removed and is still at ${urls}`, fix: STILL_FIX }
}

/** Replication between servers usually takes moments; what has not arrived after this is reported. */
const ARRIVES_WITHIN_MS = 60_000
const FIRST_AGAIN_MS = 250
const AGAIN_MAX_MS = 10_000
const DOUBLINGS_MAX = 10
/** The interval of checks for a reported problem, to observe its end. */
const REPORT_AGAIN_MS = 60_000
/** A server that could not be asked; the daemon checks at once when it observes its return. */
const UNSEEN_AGAIN_MS = 300_000

export interface NextLook {
  /** Milliseconds from now; null: not before the next full check. */
  readonly afterMs: number | null
  /** The problem is more than a delay. */
  readonly isReported: boolean
}

/**
 * When the next check is due.
 * @param ageMs since the write
 * @param tries checks before this one, since the write
 */
export function nextLook({ servers, problem }: LockVerdict, ageMs: number, tries: number): NextLook {
  const isIn = (stands: ServerVerdict['stands']): boolean => servers.some((each) => each.stands === stands)
  const isSoon = ageMs >= 0 && ageMs < ARRIVES_WITHIN_MS
  if (isIn('no') || isIn('unknown')) {
    const isReported = problem !== null && (problem.kind === 'not-effective' || !isSoon)
    if (isSoon)
      return { afterMs: Math.min(AGAIN_MAX_MS, FIRST_AGAIN_MS * 2 ** Math.min(tries, DOUBLINGS_MAX)), isReported }
    return { afterMs: isIn('no') ? REPORT_AGAIN_MS : UNSEEN_AGAIN_MS, isReported }
  }
  return { afterMs: problem === null ? null : REPORT_AGAIN_MS, isReported: problem !== null }
}
