import { describe, expect, it } from 'vitest'
import { isOpen } from '../../src/core/account/state.ts'
import type { ChangeDraft } from '../../src/core/account/change.ts'
import { AppError, type ErrorCode } from '../../src/core/error.ts'
import {
  holdNameOfSerial,
  parseAccountId,
  parseLogin,
  parseSerial,
  accountKey,
  type AccountKey,
  type Login,
  type Serial,
} from '../../src/core/names.ts'
import { plan } from '../../src/core/account/plan.ts'
import { NOTHING_OF_OURS, type DesiredState, type ObservedState, type OurRecord } from '../../src/core/account/state.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import { nameOfDirectory } from './directory-settings.ts'

/** What the contract needs of a directory besides the port: what other people can do, and see. */
export interface World {
  readonly port: DirectoryPort
  readonly lock: LockExamples
  /** A login that nobody used yet, with an account. */
  newLogin(): Promise<Login>
  /** The values as they stand, in any order. */
  serialValues(login: Login): Promise<string[]>
  lockValues(login: Login): Promise<string[]>
  addSerialValue(login: Login, value: string): Promise<void>
  /** As an administrator; null: the attribute is cleared. */
  setLock(login: Login, value: string | null): Promise<void>
  /** The server itself locks the account, for a while or for good, and not as we do. */
  lockOtherwise(login: Login): Promise<void>
  /** How the DN of a login begins. */
  rdn(login: Login): string
  rename(login: Login, to: Login): Promise<void>
  remove(login: Login): Promise<void>
}

/** What stands in the lock's attribute, and what the server says to writers. */
export interface LockExamples {
  /** At a new account. */
  readonly untouched: readonly string[]
  readonly ours: string
  /** Locks nobody out, and must be put back by an unlock; and our lock in its place. */
  readonly harmless: string
  readonly oursOverHarmless: string
  /** What an administrator may make of our lock, so that it is no longer the value that was written. */
  readonly changed: string
  /** The server tells the slower one of two writers of the same change that it was too late. */
  readonly reportsTheLoser: boolean
  /** A write reaches the account, and no other, whatever its name is by then. */
  readonly writesById: boolean
}

export const LOCKED = '000001010000Z'
const PAST = '20260101000000Z'
const FUTURE = '29990101000000Z'

export const PPOLICY_LOCK: LockExamples = {
  untouched: [],
  ours: LOCKED,
  harmless: FUTURE,
  oursOverHarmless: LOCKED,
  changed: PAST,
  reportsTheLoser: true,
  writesById: false,
}
/** A lockout by the password policy overlay. */
export const PPOLICY_STAMP = PAST
const STALE_MAX_MS = 60_000

/** The accounts that a lock of anybody stands at, in the directory `corp`. */
export async function lockedIn(port: DirectoryPort): Promise<AccountKey[]> {
  const keys: AccountKey[] = []
  for await (const { key } of port.walkLocked(nameOfDirectory('corp'))) keys.push(key)
  return keys
}

export function loginOf(text: string): Login {
  const login = parseLogin(text)
  if (login === null) throw new RangeError(`"${text}" is no login`)
  return login
}

export function serialOf(text: string): Serial {
  const serial = parseSerial(text)
  if (serial === null) throw new RangeError(`"${text}" is no serial`)
  return serial
}

/** The code that a promise fails with; fails itself when it does not fail with an AppError. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await errorOf(promise)).code
}

/** What came of each, sorted: the code of its failure, or `done`. */
export async function codesOf(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const outcomes = promises.map(async (promise) => {
    const result = await promise.then(
      () => 'done',
      (error: unknown) => (error instanceof AppError ? error.code : String(error)),
    )
    return result
  })
  return (await Promise.all(outcomes)).toSorted()
}

export async function errorOf(promise: Promise<unknown>): Promise<AppError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome && outcome.error instanceof AppError) return outcome.error
  throw new Error(`an AppError was expected, not ${JSON.stringify(outcome)}`)
}

export function desired(change: Partial<DesiredState> = {}): DesiredState {
  return { serials: [], gone: [], movedFrom: {}, holds: [], nextExpiryUs: null, heldAtUs: 0, heldKnownUs: 0, ...change }
}

export function heldBy(serial: Serial): DesiredState {
  const hold = {
    name: holdNameOfSerial(serial),
    kind: 'token' as const,
    serial,
    sinceUs: 1,
    untilUs: null,
    reason: { code: 'user-token-max-fail', params: {} } as const,
    actor: '',
  }
  return desired({ holds: [hold] })
}

/** The change that is due; fails when the plan is another. */
export function changeFor(want: DesiredState, observed: ObservedState, ours: OurRecord = NOTHING_OF_OURS): ChangeDraft {
  const planned = plan(want, observed, ours, { onForeignUnlock: 'respect' })
  if (planned.kind !== 'change') throw new Error(`a change was expected, not ${JSON.stringify(planned)}`)
  return planned.change
}

function ownedBy(change: ChangeDraft): OurRecord {
  return { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
}

const S1 = serialOf('TOTP0001')
const S2 = serialOf('HOTP0002')

export function directoryContract(world: () => World): void {
  const find = async (login: Login): Promise<AccountKey> => (await world().port.findByLogin(login, null)).key
  const look = (key: AccountKey): Promise<ObservedState> => world().port.observe(key, [], 0)
  const lockNow = async (key: AccountKey): Promise<ChangeDraft> => {
    const change = changeFor(heldBy(S1), await look(key))
    await world().port.apply(change)
    return change
  }

  describe('finding an account', () => {
    it('finds the account of a login, with its serials', async () => {
      const login = await world().newLogin()
      await world().addSerialValue(login, `privacyIDEA:${S1}`)
      await world().addSerialValue(login, 'works on Tuesdays')
      const found = await world().port.findByLogin(login, null)
      expect(found.login).toBe(login)
      expect(found.serials).toEqual([S1])
      expect(found.key).toMatch(/^corp\/[0-9a-f-]{35,36}$/)
    })

    it('says unknown-user for a login that nobody has', async () => {
      expect(await codeOf(world().port.findByLogin(loginOf('nobody-at-all'), null))).toBe('unknown-user')
    })

    it('finds the accounts that carry a serial, and none for a serial that nobody carries', async () => {
      const serial = serialOf(`S-${await world().newLogin()}`)
      const [a, b] = [await world().newLogin(), await world().newLogin()]
      await world().addSerialValue(a, `privacyIDEA:${serial}`)
      await world().addSerialValue(b, `privacyIDEA:${serial}`)
      await world().addSerialValue(b, `privacyIDEA:${serial}X`)
      const found = await world().port.findBySerial(serial)
      expect(new Set(found.map((each) => each.login))).toEqual(new Set([a, b]))
      expect(await world().port.findBySerial(serialOf('NOBODYS-1'))).toEqual([])
    })
  })

  describe('observing an account', () => {
    it('says entry-not-found once the account was deleted', async () => {
      const login = await world().newLogin()
      const key = await find(login)
      await world().remove(login)
      expect(await codeOf(look(key))).toBe('entry-not-found')
    })

    it('says entry-not-found for an id that never was', async () => {
      const id = parseAccountId('ffffffff-ffff-4fff-8fff-ffffffffffff')
      if (id === null) throw new Error('an id')
      expect(await codeOf(look(accountKey(nameOfDirectory('corp'), id)))).toBe('entry-not-found')
    })

    it('follows an account that was renamed', async () => {
      const [login, other] = [await world().newLogin(), await world().newLogin()]
      const key = await find(login)
      await world().remove(other)
      await world().rename(login, other)
      expect((await look(key)).dn).toContain(`${world().rdn(other)},`)
    })

    it('takes another account under the old name for what it is', async () => {
      const [login, other, third] = [await world().newLogin(), await world().newLogin(), await world().newLogin()]
      const key = await find(login)
      await world().remove(third)
      await world().rename(login, third)
      await world().rename(other, login)
      expect((await look(key)).dn).toContain(`${world().rdn(third)},`)
    })

    it('names who else carries a serial', async () => {
      const [login, other] = [await world().newLogin(), await world().newLogin()]
      const serial = serialOf(`C-${login}`)
      await world().addSerialValue(other, `privacyIDEA:${serial}`)
      const key = await find(login)
      const observed = await world().port.observe(key, [serial, S2], STALE_MAX_MS)
      expect(observed.carriedElsewhere[serial]?.map((each) => each.key)).toEqual([await find(other)])
      expect(observed.carriedElsewhere[S2]).toEqual([])
      expect(observed.key).toBe(key)
    })

    it('may repeat a reading that is young enough, and never one that is too old', async () => {
      const login = await world().newLogin()
      const key = await find(login)
      await world().setLock(login, world().lock.ours)
      expect(isOpen((await world().port.observe(key, [], STALE_MAX_MS)).lock)).toBe(true)
      expect((await world().port.observe(key, [], 0)).lock.state).toBe('as-ours')
    })
  })

  describe('locking and unlocking', () => {
    it('locks an open account, and a second plan is empty', async () => {
      const login = await world().newLogin()
      const key = await find(login)
      const change = changeFor(heldBy(S1), await look(key))
      const after = await world().port.apply(change)
      expect(after.lock.state).toBe('as-ours')
      expect(after).toEqual(await look(key))
      expect(await world().lockValues(login)).toEqual([world().lock.ours])
      expect(plan(heldBy(S1), after, ownedBy(change), { onForeignUnlock: 'respect' }).kind).toBe('in-step')
    })

    it('gives the account back as it was', async () => {
      const login = await world().newLogin()
      const key = await find(login)
      const change = await lockNow(key)
      const back = changeFor(desired(), await look(key), ownedBy(change))
      expect(isOpen((await world().port.apply(back)).lock)).toBe(true)
      expect(await world().lockValues(login)).toEqual(world().lock.untouched)
    })

    it('puts back what stood there before, to the byte', async () => {
      const login = await world().newLogin()
      const { harmless, oursOverHarmless } = world().lock
      await world().setLock(login, harmless)
      const key = await find(login)
      const change = await lockNow(key)
      expect(await world().lockValues(login)).toEqual([oursOverHarmless])
      await world().port.apply(changeFor(desired(), await look(key), ownedBy(change)))
      expect(await world().lockValues(login)).toEqual([harmless])
    })

    it('recognises a lock that somebody else set, and leaves it alone', async () => {
      const login = await world().newLogin()
      await world().lockOtherwise(login)
      const observed = await look(await find(login))
      expect(observed.lock.other?.is).toBe('locked')
      const planned = plan(heldBy(S1), observed, NOTHING_OF_OURS, { onForeignUnlock: 'respect' })
      expect(planned.kind).toBe('foreign-lock')
    })

    it('refuses to unlock what somebody else changed since', async () => {
      const login = await world().newLogin()
      const key = await find(login)
      const change = await lockNow(key)
      const back = changeFor(desired(), await look(key), ownedBy(change))
      await world().setLock(login, world().lock.changed)
      expect(await codeOf(world().port.apply(back))).toBe('write-raced')
      expect(await world().lockValues(login)).toEqual([world().lock.changed])
    })

    it('locks once where two write the same lock, and tells the slower one where the server can', async () => {
      const login = await world().newLogin()
      const { reportsTheLoser, ours } = world().lock
      const change = changeFor(heldBy(S1), await look(await find(login)))
      const codes = await codesOf([world().port.apply(change), world().port.apply(change)])
      expect(codes).toEqual(['done', reportsTheLoser ? 'write-raced' : 'done'])
      expect(await codesOf([world().port.apply(change)])).toEqual([reportsTheLoser ? 'write-raced' : 'done'])
      expect(await world().lockValues(login)).toEqual([ours])
    })

    it('never writes to another account that has taken the name since', async () => {
      const [login, other, third] = [await world().newLogin(), await world().newLogin(), await world().newLogin()]
      const change = changeFor(heldBy(S1), await look(await find(login)))
      await world().remove(third)
      await world().rename(login, third)
      await world().rename(other, login)
      const { writesById, untouched, ours } = world().lock
      expect(await codesOf([world().port.apply(change)])).toEqual([writesById ? 'done' : 'write-raced'])
      expect(await world().lockValues(login)).toEqual(untouched)
      expect(await world().lockValues(third)).toEqual(writesById ? [ours] : untouched)
    })

    it('finds an account that was renamed, or says write-raced, and entry-not-found for one that is gone', async () => {
      const [login, other] = [await world().newLogin(), await world().newLogin()]
      const change = changeFor(heldBy(S1), await look(await find(login)))
      await world().remove(other)
      await world().rename(login, other)
      expect(await codesOf([world().port.apply(change)])).toEqual([world().lock.writesById ? 'done' : 'write-raced'])
      await world().remove(other)
      expect(await codeOf(world().port.apply(change))).toBe('entry-not-found')
    })
  })

  describe('serials', () => {
    it('adds a serial beside what stands there, and takes exactly that one out again', async () => {
      const login = await world().newLogin()
      await world().addSerialValue(login, 'works on Tuesdays')
      const key = await find(login)
      const register = desired({ serials: [S1, S2] })
      await world().port.apply(changeFor(register, await world().port.observe(key, [S1, S2], 0)))
      const after = await world().port.apply(changeFor(register, await look(key)))
      expect(await world().serialValues(login)).toEqual(
        [`privacyIDEA:${S1}`, `privacyIDEA:${S2}`, 'works on Tuesdays'].toSorted(),
      )
      await world().port.apply(changeFor(desired({ gone: [S1] }), after))
      expect(await world().serialValues(login)).toEqual([`privacyIDEA:${S2}`, 'works on Tuesdays'].toSorted())
    })

    it('tells a writer whose serial another one added before', async () => {
      const login = await world().newLogin()
      const change = changeFor(desired({ serials: [S1] }), await look(await find(login)))
      await world().addSerialValue(login, `privacyIDEA:${S1}`)
      expect(await codeOf(world().port.apply(change))).toBe('write-raced')
    })
  })

  it('walks over the accounts that carry a serial or a lock like ours, and over no other', async () => {
    const [duplicate, locked, foreign, plain] = await Promise.all([1, 2, 3, 4].map(() => world().newLogin()))
    if (!duplicate || !locked || !foreign || !plain) throw new Error('logins')
    await world().addSerialValue(duplicate, `privacyIDEA:${S1}`)
    await world().setLock(locked, world().lock.ours)
    await world().lockOtherwise(foreign)
    await world().addSerialValue(plain, 'works on Tuesdays')
    const keys = await Promise.all([duplicate, locked, foreign, plain].map(find))
    const walked: AccountKey[] = []
    for await (const observed of world().port.walkMarked(nameOfDirectory('corp'))) walked.push(observed.key)
    expect(keys.map((key) => walked.filter((each) => each === key).length)).toEqual([1, 1, 0, 0])
  })

  it('walks over the accounts that any lock stands at, whoever’s, and over no other', async () => {
    const [duplicate, locked, foreign] = await Promise.all([1, 2, 3].map(() => world().newLogin()))
    if (!duplicate || !locked || !foreign) throw new Error('logins')
    await world().addSerialValue(duplicate, `privacyIDEA:${S1}`)
    await world().setLock(locked, world().lock.ours)
    await world().lockOtherwise(foreign)
    const keys = await Promise.all([duplicate, locked, foreign].map(find))
    const walked = new Map<AccountKey, string>()
    for await (const { key, lock } of world().port.walkLocked(nameOfDirectory('corp')))
      walked.set(key, lock.other?.is ?? lock.state)
    expect(keys.map((key) => walked.get(key))).toEqual([undefined, 'as-ours', 'locked'])
  })
}
