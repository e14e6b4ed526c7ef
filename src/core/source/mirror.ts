import type { Serial } from '../names.ts'
import { otherLockOf } from '../account/slot.ts'
import type { ObservedState } from '../account/state.ts'
import type { Token, UserOfSource } from './token.ts'

/**
 * The other direction (`policy.mirrorDirectoryLocks`): an account that somebody else locked in the directory is locked
 * in privacyIDEA too, by a lockout of its user or by disabling their tokens, and released when the directory releases
 * it. Pure: the record and the observed state decide each step. Before a call to privacyIDEA the record has `open`
 * (the outcome is not known), after it `set`; `left` means that somebody reverted it there, which is respected until
 * the directory's lock has gone.
 */

/** A lock in the directory that is not ours and is enforced. */
export interface ForeignLock {
  /** When it ends by itself, in microseconds since 1970; null: not by itself. */
  readonly untilUs: number | null
}

/**
 * Also beside a lock of ours: ours locks the user out of the directory alone. A lock of our own form that is not
 * on record is somebody else's too, where it has an effect.
 */
export function foreignLockOf({ lock }: Pick<ObservedState, 'lock'>, isOurs: boolean): ForeignLock | null {
  const other = otherLockOf(lock, isOurs)
  return other?.is === 'locked' ? { untilUs: other.untilUs } : null
}

export type MirrorState = 'open' | 'set' | 'left'

/** A lockout of ours. Its length in seconds, odd on purpose, distinguishes it from an administrator's. */
export interface MirroredLockout {
  readonly kind: 'lockout'
  readonly user: UserOfSource
  readonly state: MirrorState
  readonly durationS: number
  /** In microseconds since 1970. */
  readonly untilUs: number
}

/** A token that we disabled. */
export interface MirroredToken {
  readonly kind: 'token'
  readonly serial: Serial
  readonly state: MirrorState
}

export type Mirrored = MirroredLockout | MirroredToken

/**
 * | directory | record | privacyIDEA locks the user out | step |
 * | --------- | ------ | ------------------------------ | ---- |
 * | locked | none | no | set |
 * | locked | none | yes, by others | nothing |
 * | locked | open, set | by ours | confirm; set anew where its end does not fit |
 * | locked | open, set | by others | forget: it was replaced |
 * | locked | open, or set and over by itself | no | set |
 * | locked | set | no | leave: somebody released it |
 * | locked | left | any | nothing |
 * | open | none | any | nothing |
 * | open | open, set | by ours | release |
 * | open | any | otherwise | forget |
 */
export type LockoutStep = 'nothing' | 'set' | 'confirm' | 'leave' | 'release' | 'forget'

/** An end that is that close is over: privacyIDEA counts in whole seconds. */
const OVER_US = 5_000_000
/** A lockout ends by itself so long after the directory's lock at most, should nobody release it. */
const LATE_MAX_US = 600_000_000
/** 10 years: long for any lock, and an end that every database can hold. */
const FOR_GOOD_S = 315_360_000
const FOR_GOOD_ODD_S = 1_000_000
const LATE_S = 30
const LATE_ODD_S = 30

export function lockoutStep(
  foreign: ForeignLock | null,
  recorded: MirroredLockout | null,
  standing: 'ours' | 'others' | 'none',
  nowUs: number,
): LockoutStep {
  if (recorded === null) return foreign !== null && standing === 'none' ? 'set' : 'nothing'
  if (foreign === null) return standing === 'ours' && recorded.state !== 'left' ? 'release' : 'forget'
  if (recorded.state === 'left') return 'nothing'
  if (standing === 'others') return 'forget'
  if (standing === 'ours') return !isFitting(recorded, foreign, nowUs) ? 'set' : stepOf(recorded)
  return recorded.state === 'open' || recorded.untilUs <= nowUs + OVER_US ? 'set' : 'leave'
}

function stepOf({ state }: MirroredLockout): LockoutStep {
  return state === 'open' ? 'confirm' : 'nothing'
}

function isFitting({ durationS, untilUs }: MirroredLockout, foreign: ForeignLock, nowUs: number): boolean {
  if (foreign.untilUs === null) return durationS >= FOR_GOOD_S && untilUs > nowUs + OVER_US
  return untilUs >= foreign.untilUs && untilUs <= foreign.untilUs + LATE_MAX_US
}

/** @param random in [0, 1) */
export function lockoutDurationS(foreign: ForeignLock, nowUs: number, random: number): number {
  if (foreign.untilUs === null) return FOR_GOOD_S + Math.floor(random * FOR_GOOD_ODD_S)
  const leftS = Math.max(0, Math.ceil((foreign.untilUs - nowUs) / 1_000_000))
  return leftS + LATE_S + Math.floor(random * LATE_ODD_S)
}

/** Times are kept in whole seconds there, so that the length may be one off. */
export function isOurLockout(
  found: { readonly durationS: number | null; readonly cause: 'policy' | 'manual' },
  recorded: Pick<MirroredLockout, 'durationS'>,
): boolean {
  return found.cause === 'manual' && found.durationS !== null && Math.abs(found.durationS - recorded.durationS) <= 1
}

/**
 * | directory | record | the token | step |
 * | --------- | ------ | --------- | ---- |
 * | locked | none, open | can be used | disable |
 * | locked | none | disabled, revoked, not enrolled | nothing |
 * | locked | open | disabled | confirm |
 * | locked | set | disabled | nothing |
 * | locked | set | enabled | leave: somebody enabled it |
 * | locked | left | any | nothing |
 * | open | open, set | disabled | enable |
 * | open | any | otherwise, or gone | forget |
 *
 * A token that moved to another user counts as one whose directory is open.
 */
export type TokenStep = 'nothing' | 'disable' | 'confirm' | 'leave' | 'enable' | 'forget'

export function tokenStep(
  isLocked: boolean,
  state: MirrorState | null,
  token: Pick<Token, 'isActive' | 'isRevoked' | 'isEnrolled'> | null,
): TokenStep {
  if (token === null) return state === null ? 'nothing' : 'forget'
  const isDisabled = !token.isActive && !token.isRevoked
  if (!isLocked) {
    if (state === null) return 'nothing'
    return isDisabled && state !== 'left' ? 'enable' : 'forget'
  }
  if (state === null) return token.isActive && !token.isRevoked && token.isEnrolled ? 'disable' : 'nothing'
  if (state === 'left') return 'nothing'
  if (token.isRevoked) return 'forget'
  if (isDisabled) return state === 'open' ? 'confirm' : 'nothing'
  return state === 'open' ? 'disable' : 'leave'
}
