import type { TokenEventKind } from '../../../src/core/events/event.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/**
 * What the accounts must look like, told in a way of its own: a state for each user that every event changes at once.
 * A serial never changes its owner here, and a user without a serial is never locked by name alone.
 */

export interface UserModel {
  readonly login: string
  /** The serials that the user may ever have. */
  readonly pool: readonly string[]
  readonly serials: Set<string>
  /** Locked tokens. */
  readonly tokenHolds: Set<string>
  /** Locked by name, with several serials. */
  accountHold: boolean
  /** Serials that were ever registered: only these are named without their user. */
  readonly known: Set<string>
}

export interface ModelEvent {
  readonly kind: TokenEventKind
  readonly args: readonly string[]
}

export function newUser(login: string, tag: string): UserModel {
  const pool = ['A', 'B', 'C'].map((letter) => `${tag}${login}${letter}`)
  return { login, pool, serials: new Set(), tokenHolds: new Set(), accountHold: false, known: new Set() }
}

export function isLocked(user: UserModel): boolean {
  return user.accountHold || user.tokenHolds.size > 0
}

/** Chooses what happens next to a user, notes it in the model, and returns the shim's arguments. @param random in [0, 1) */
export function nextEvent(user: UserModel, random: () => number): ModelEvent {
  const choice = random()
  const serial = pick(user.pool, random)
  if (user.serials.size === 0 || choice < 0.15) return register(user, serial)
  if (choice < 0.55) return lock(user, pick([...user.serials], random), random())
  if (choice < 0.9) return unlock(user, pick([...user.serials], random), random())
  return unregister(user, pick([...user.serials], random), random())
}

/** Of a serial that the user has already it is a rollover: privacyIDEA cleared its counter. */
function register(user: UserModel, serial: string): ModelEvent {
  if (user.serials.has(serial)) user.tokenHolds.delete(serial)
  user.serials.add(serial)
  user.known.add(serial)
  return { kind: 'register', args: asAdmin(serial, user.login) }
}

function lock(user: UserModel, serial: string, shape: number): ModelEvent {
  if (shape < 0.3) {
    const [only] = user.serials
    if (user.accountHold || user.serials.size !== 1 || only === undefined) user.accountHold = true
    else user.tokenHolds.add(only)
    return { kind: 'lock', args: asNobody(null, user.login) }
  }
  user.tokenHolds.add(serial)
  return { kind: 'lock', args: asNobody(serial, shape < 0.6 ? null : user.login) }
}

function unlock(user: UserModel, serial: string, shape: number): ModelEvent {
  user.accountHold = false
  if (shape < 0.15) {
    user.tokenHolds.clear()
    return { kind: 'unlock', args: asAdmin(null, user.login) }
  }
  user.tokenHolds.delete(serial)
  return { kind: 'unlock', args: asAdmin(serial, shape < 0.6 ? null : user.login) }
}

function unregister(user: UserModel, serial: string, shape: number): ModelEvent {
  const named = shape < 0.2 ? [...user.serials] : [serial]
  for (const each of named) {
    user.serials.delete(each)
    user.tokenHolds.delete(each)
  }
  if (user.serials.size === 0) user.accountHold = false
  return { kind: 'unregister', args: asAdmin(named.join(','), shape < 0.6 ? null : user.login) }
}

function pick<Item>(items: readonly Item[], random: () => number): Item {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}

/** Mulberry32: the same seed gives the same numbers in [0, 1). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
