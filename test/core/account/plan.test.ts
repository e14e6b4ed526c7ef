import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChangeDraft } from '../../../src/core/account/change.ts'
import { asDn, holdNameOfSerial, parseHoldName } from '../../../src/core/names.ts'
import { MAY_ARRIVE_MS, nextLateLookMs, type LastWriter } from '../../../src/core/account/late.ts'
import { plan } from '../../../src/core/account/plan.ts'
import { ownedAfter, recoverChange } from '../../../src/core/account/recover.ts'
import { addSerial, removeSerial, serialsIn } from '../../../src/core/account/serial-values.ts'
import {
  type Modification,
  hasValue,
  NOTHING_OF_OURS,
  sameValues,
  type AttributeValue,
  type DesiredState,
  type Hold,
  type LockSlot,
  type ObservedState,
  type OtherLock,
  type OurRecord,
} from '../../../src/core/account/state.ts'
import { ALICE, BOB, S1, S2 } from '../arbitrary.ts'

const DN = asDn('uid=alice,ou=people,dc=example,dc=org')
const LOCKED = '000001010000Z'
const RESPECT = { onForeignUnlock: 'respect' } as const

const HOLD: Hold = {
  name: holdNameOfSerial(S1),
  kind: 'token',
  serial: S1,
  sinceUs: 1,
  untilUs: null,
  reason: { code: 'user-token-max-fail', params: {} },
  actor: '',
}
const NOTHING: DesiredState = {
  serials: [],
  gone: [],
  movedFrom: {},
  holds: [],
  nextExpiryUs: null,
  heldAtUs: 0,
  heldKnownUs: 0,
}
const HELD: DesiredState = { ...NOTHING, holds: [HOLD] }

const ENDED: OtherLock = { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', untilUs: null }
const UNCLEAR: OtherLock = { ...ENDED, is: 'unknown' }
const STAMPED: OtherLock = { ...ENDED, cause: 'too-many-failures', attribute: 'pwdAccountLockedTime' }

function observed(current: readonly AttributeValue[], changes: Partial<ObservedState> = {}): ObservedState {
  const slot: LockSlot = { dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', current, locked: [LOCKED] }
  const state = sameValues(current, [LOCKED]) ? 'as-ours' : 'open'
  const other = state === 'as-ours' || current.length === 0 || current[0] === 'expired' ? null : STAMPED
  return {
    key: ALICE,
    dn: DN,
    serialAttribute: 'description',
    serialAttributeMultiValued: true,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: [],
    carriedElsewhere: {},
    lock: { state, other, slots: [slot], effective: { is: 'yes' } },
    protectedBy: null,
    ...changes,
  }
}

/** With a lock of somebody else's in another attribute as well. */
function beside(current: readonly AttributeValue[], other: OtherLock = ENDED): ObservedState {
  const seen = observed(current)
  return { ...seen, lock: { ...seen.lock, other } }
}

function ours(before: readonly AttributeValue[] = []): OurRecord {
  return {
    lock: {
      slots: [{ dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', before, after: [LOCKED] }],
      dn: DN,
      holds: [HOLD.name],
    },
  }
}

function changeOf(planned: ReturnType<typeof plan>): ChangeDraft {
  if (planned.kind !== 'change') throw new Error(`planned ${planned.kind}`)
  return planned.change
}

/** Applies modifications as a server does (RFC 4511, 4.6); throws where one cannot be applied. */
function apply(values: readonly AttributeValue[], modifications: readonly Modification[]): AttributeValue[] {
  let now = [...values]
  for (const { op, values: given } of modifications) {
    if (op === 'add') {
      if (given.some((value) => hasValue(now, value))) throw new Error('attributeOrValueExists')
      now.push(...given)
    } else if (op === 'delete') {
      if (given.some((value) => !hasValue(now, value))) throw new Error('noSuchAttribute')
      now = now.filter((value) => !hasValue(given, value))
    } else now = [...given]
  }
  return now
}

describe('the plan of a lock', () => {
  test.each([
    ['no hold, open, nothing ours', NOTHING, observed([]), NOTHING_OF_OURS, 'in-step'],
    ['no hold, open, locked by us', NOTHING, observed([]), ours(), 'forget'],
    ['no hold, as ours, locked by us', NOTHING, observed([LOCKED]), ours(), 'change'],
    ['no hold, as ours, not by us', NOTHING, observed([LOCKED]), NOTHING_OF_OURS, 'in-step'],
    ['no hold, otherwise locked, was ours', NOTHING, observed(['20260101000000Z']), ours(), 'forget'],
    ['no hold, otherwise locked, not by us', NOTHING, observed(['20260101000000Z']), NOTHING_OF_OURS, 'in-step'],
    ['a hold, open, nothing ours', HELD, observed([]), NOTHING_OF_OURS, 'change'],
    ['a hold, open, was locked by us', HELD, observed([]), ours(), 'foreign-unlock'],
    ['a hold, as ours, locked by us', HELD, observed([LOCKED]), ours(), 'in-step'],
    ['a hold, as ours, not by us', HELD, observed([LOCKED]), NOTHING_OF_OURS, 'foreign-lock'],
    ['a hold, otherwise locked, not by us', HELD, observed(['20260101000000Z']), NOTHING_OF_OURS, 'foreign-lock'],
    ['a hold, otherwise locked, was ours', HELD, observed(['20260101000000Z']), ours(), 'forget'],
    ['no hold, theirs elsewhere, nothing ours', NOTHING, beside([]), NOTHING_OF_OURS, 'in-step'],
    ['no hold, theirs elsewhere, was ours', NOTHING, beside([]), ours(), 'forget'],
    ['no hold, ours and theirs', NOTHING, beside([LOCKED]), ours(), 'change'],
    ['no hold, as ours and theirs, not by us', NOTHING, beside([LOCKED]), NOTHING_OF_OURS, 'in-step'],
    ['a hold, theirs elsewhere, nothing ours', HELD, beside([]), NOTHING_OF_OURS, 'foreign-lock'],
    ['a hold, theirs elsewhere, was ours', HELD, beside([]), ours(), 'forget'],
    ['a hold, ours and theirs', HELD, beside([LOCKED]), ours(), 'foreign-lock'],
    ['a hold, as ours and theirs, not by us', HELD, beside([LOCKED]), NOTHING_OF_OURS, 'foreign-lock'],
    ['a hold, what may be theirs, nothing ours', HELD, beside([], UNCLEAR), NOTHING_OF_OURS, 'change'],
    ['a hold, ours and what may be theirs', HELD, beside([LOCKED], UNCLEAR), ours(), 'in-step'],
  ] as const)('%s', (_name, desired, seen, record, kind) => {
    expect(plan(desired, seen, record, RESPECT).kind).toBe(kind)
  })

  test('theirs beside ours is named with its end, and ours goes without touching it', () => {
    const seen = beside([LOCKED], { ...ENDED, untilUs: 7 })
    const planned = plan(HELD, seen, ours(), RESPECT)
    expect(planned).toMatchObject({
      kind: 'foreign-lock',
      untilUs: 7,
      reason: { code: 'locked-by-others', params: { besides: true } },
    })
    expect(planned).toMatchObject({ reason: { params: { attribute: 'pwdEndTime' } } })
    const unlock = changeOf(plan(NOTHING, seen, ours(), RESPECT))
    expect(unlock.forward.flatMap(({ modifications }) => modifications.map(({ attribute }) => attribute))).toEqual([
      'pwdAccountLockedTime',
    ])
  })

  test('that ours would keep nobody out is said before theirs', () => {
    const seen = beside([LOCKED])
    const weak = { ...seen, lock: { ...seen.lock, effective: { is: 'no' as const, reason: 'pwdLockout is FALSE' } } }
    expect(plan(HELD, weak, ours(), RESPECT).kind).toBe('not-effective')
  })

  test('the lock is written only where nothing stands, and taken away only where it is still ours', () => {
    const lock = changeOf(plan(HELD, observed([]), NOTHING_OF_OURS, RESPECT))
    expect(lock.forward[0]?.modifications).toEqual([{ op: 'add', attribute: 'pwdAccountLockedTime', values: [LOCKED] }])
    expect(lock.inverse[0]?.modifications).toEqual([
      { op: 'delete', attribute: 'pwdAccountLockedTime', values: [LOCKED] },
    ])
    const unlock = changeOf(plan(NOTHING, observed([LOCKED]), ours(), RESPECT))
    expect(unlock.forward).toEqual(lock.inverse)
    expect(unlock.holds).toEqual([HOLD.name])
  })

  test('what stood there before comes back', () => {
    const lock = changeOf(plan(HELD, observed(['expired']), NOTHING_OF_OURS, RESPECT))
    const locked = apply(['expired'], lock.forward[0]?.modifications ?? [])
    expect(locked).toEqual([LOCKED])
    expect(apply(locked, lock.inverse[0]?.modifications ?? [])).toEqual(['expired'])
  })

  test('by policy a lock that was taken away is written again', () => {
    expect(changeOf(plan(HELD, observed([]), ours(), { onForeignUnlock: 'relock' })).kind).toBe('lock')
  })

  test('a further hold gets its file, and a renamed account too', () => {
    const second: Hold = {
      ...HOLD,
      name: parseHoldName('manual.0123456789abcdef') ?? HOLD.name,
      kind: 'manual',
      serial: null,
    }
    const planned = plan({ ...HELD, holds: [HOLD, second] }, observed([LOCKED]), ours(), RESPECT)
    expect(planned).toMatchObject({ kind: 'relabel', lock: { holds: [HOLD.name, second.name] } })
    const renamed = asDn('uid=alicia,ou=people,dc=example,dc=org')
    const seen = observed([LOCKED], { dn: renamed })
    const moved = { ...seen, lock: { ...seen.lock, slots: seen.lock.slots.map((slot) => ({ ...slot, dn: renamed })) } }
    expect(plan(HELD, moved, ours(), RESPECT)).toMatchObject({ kind: 'relabel', lock: { dn: renamed } })
  })

  test('the end of a person’s hold stands in its file, also of a lock from before it did; that of a token’s does not', () => {
    const manual: Hold = {
      ...HOLD,
      name: parseHoldName('manual.0123456789abcdef') ?? HOLD.name,
      kind: 'manual',
      serial: null,
      untilUs: 77,
    }
    const held = { ...HELD, holds: [manual] }
    const { ends } = changeOf(plan(held, observed([]), NOTHING_OF_OURS, RESPECT))
    expect(ends).toEqual({ [manual.name]: 77 })
    const { lock } = ours()
    if (lock === null) throw new Error('not locked by us')
    const old = { lock: { ...lock, holds: [manual.name] } }
    const planned = plan(held, observed([LOCKED]), old, RESPECT)
    expect(planned).toMatchObject({ kind: 'relabel', lock: { ends: { [manual.name]: 77 } } })
    if (planned.kind !== 'relabel') throw new Error('no relabelling')
    expect(plan(held, observed([LOCKED]), { lock: planned.lock }, RESPECT)).toEqual({ kind: 'in-step' })
    const token = { ...HELD, holds: [{ ...HOLD, untilUs: 77 }] }
    expect(plan(token, observed([LOCKED]), ours(), RESPECT)).toEqual({ kind: 'in-step' })
  })

  test('a lock that would not keep anybody out is said so', () => {
    const seen = observed([LOCKED])
    const weak = { ...seen, lock: { ...seen.lock, effective: { is: 'no' as const, reason: 'pwdLockout is FALSE' } } }
    expect(plan(HELD, weak, ours(), RESPECT)).toEqual({
      kind: 'not-effective',
      reason: { code: 'lock-not-effective', params: { said: 'pwdLockout is FALSE' } },
    })
  })
})

describe('a lock of several places', () => {
  const GROUP = asDn('cn=locked,ou=groups,dc=example,dc=org')
  const member = (current: readonly string[], locked: string): LockSlot => {
    return { dn: GROUP, attribute: 'member', mode: 'value', current, locked: [locked] }
  }
  const seen = (slots: readonly LockSlot[], dn = DN): ObservedState => {
    const state = slots.every((slot) => slot.locked.every((value) => hasValue(slot.current, value)))
      ? 'as-ours'
      : 'open'
    return { ...observed([], { dn }), lock: { state, other: null, slots, effective: { is: 'yes' } } }
  }
  const owned = (...values: string[]): OurRecord => ({
    lock: {
      slots: values.map((value) => ({ dn: GROUP, attribute: 'member', mode: 'value', before: [], after: [value] })),
      dn: DN,
      holds: [HOLD.name],
    },
  })

  test('values of one attribute are written in one step and owned one by one', () => {
    const lock = changeOf(
      plan(HELD, seen([member(['a'], 'a'), member(['a'], 'b'), member(['a'], 'c')]), NOTHING_OF_OURS, RESPECT),
    )
    expect(lock.forward).toEqual([
      { dn: GROUP, modifications: [{ op: 'add', attribute: 'member', values: ['b', 'c'] }] },
    ])
    expect(lock.slots.map((slot) => slot.after)).toEqual([['b'], ['c']])
  })

  test('what is left of a lock that somebody took away in part is still ours, and is given back', () => {
    const part = seen([member(['b'], 'a'), member(['b'], 'b')])
    const planned = plan(HELD, part, owned('a', 'b'), RESPECT)
    expect(planned).toEqual({ kind: 'foreign-unlock', left: owned('b').lock })
    const unlock = changeOf(plan(NOTHING, part, owned('b'), RESPECT))
    expect(unlock.forward).toEqual([
      { dn: GROUP, modifications: [{ op: 'delete', attribute: 'member', values: ['b'] }] },
    ])
    // A hold that came since locks what is open, and what was left stays ours.
    const anew = changeOf(plan(HELD, part, owned('b'), RESPECT))
    const record = ownedAfter({ ...anew, id: 'c', plannedAtMs: 0 }, owned('b'))
    expect(record?.slots.map((slot) => slot.after)).toEqual([['b'], ['a']])
  })

  test('places that the configuration no longer names are no unlock by others, and are given back with the rest', () => {
    const now = seen([member([], 'new')])
    const lock = changeOf(plan(HELD, now, owned('old'), RESPECT))
    expect(lock).toMatchObject({ kind: 'lock', slots: [{ after: ['new'] }] })
    const both = { lock: ownedAfter({ ...lock, id: 'c', plannedAtMs: 0 }, owned('old')) }
    const locked = seen([member(['new'], 'new')])
    expect(plan(HELD, locked, both, RESPECT).kind).toBe('in-step')
    const release = changeOf(plan(NOTHING, locked, both, RESPECT)).forward
    expect(release).toEqual([
      { dn: GROUP, modifications: [{ op: 'delete', attribute: 'member', values: ['old', 'new'] }] },
    ])
    // Refused, since somebody took the old one out: the rest is given back all the same.
    const without = changeOf(plan(NOTHING, locked, both, { ...RESPECT, skipUnseen: true }))
    expect(without.forward).toEqual([
      { dn: GROUP, modifications: [{ op: 'delete', attribute: 'member', values: ['new'] }] },
    ])
    expect(without.reason).toEqual({ code: 'unlocked-in-part', params: { places: [`member at ${GROUP}`] } })
    const nothing = plan(NOTHING, now, owned('old'), { ...RESPECT, skipUnseen: true })
    expect(nothing).toMatchObject({
      kind: 'forget',
      reason: { code: 'lock-gone', params: { places: [expect.stringContaining(GROUP)] } },
    })
  })

  test('a renamed account whose name is the value is not unlocked by the renaming', () => {
    const renamed = asDn('uid=alicia,ou=people,dc=example,dc=org')
    const followed = seen([member([renamed], renamed)], renamed)
    expect(plan(HELD, followed, owned(DN), RESPECT)).toMatchObject({
      kind: 'relabel',
      lock: { ...owned(renamed).lock, dn: renamed },
    })
    const stale = seen([member([], renamed)], renamed)
    const relabelled = plan(HELD, stale, owned(DN), RESPECT)
    expect(relabelled).toMatchObject({ kind: 'relabel', lock: { ...owned(DN).lock, dn: renamed } })
    const { lock } = relabelled as Extract<typeof relabelled, { kind: 'relabel' }>
    expect(changeOf(plan(HELD, stale, { lock }, RESPECT)).slots).toMatchObject([{ after: [renamed] }])
  })
})

test('a change that a crash left open is found again on an account that was renamed since', () => {
  const renamed = asDn('uid=alicia,ou=people,dc=example,dc=org')
  const lock = { ...changeOf(plan(HELD, observed([]), NOTHING_OF_OURS, RESPECT)), id: 'c', plannedAtMs: 0 }
  const unlock = { ...changeOf(plan(NOTHING, observed([LOCKED]), ours(), RESPECT)), id: 'c', plannedAtMs: 0 }
  const seen = observed([LOCKED], { dn: renamed })
  const moved = { ...seen, lock: { ...seen.lock, slots: seen.lock.slots.map((slot) => ({ ...slot, dn: renamed })) } }
  expect(recoverChange(lock, moved, NOTHING_OF_OURS, false)).toEqual({ result: 'applied', owned: ours().lock })
  expect(recoverChange(unlock, moved, ours(), false)).toEqual({ result: 'not-applied', owned: ours().lock })
})

describe('the plan of the serials', () => {
  test('a missing serial is added beside what stands there', () => {
    const change = changeOf(
      plan({ ...NOTHING, serials: [S1] }, observed([], { serialValues: ['Room 7'] }), NOTHING_OF_OURS, RESPECT),
    )
    expect(change).toMatchObject({ kind: 'register', serial: 'S1' })
    expect(change.forward[0]?.modifications).toEqual([
      { op: 'add', attribute: 'description', values: ['privacyIDEA:S1'] },
    ])
  })

  test('a serial that stands there in a spelling which the server holds equal is there', () => {
    for (const value of ['PRIVACYIDEA:s1', ' privacyidea:S1 ', 'PrivacyIDEA:S1']) {
      const seen = observed([], { serialValues: [value] })
      expect(plan({ ...NOTHING, serials: [S1] }, seen, NOTHING_OF_OURS, RESPECT)).toEqual({ kind: 'in-step' })
    }
  })

  test('a value that would be too long is not written, and is said so; one that just fits is', () => {
    const seen = (length: number) =>
      observed([], { serialAttributeMultiValued: false, serialValues: ['x'.repeat(length)], serialLengthMax: 40 })
    const want = { ...NOTHING, serials: [S1] }
    // A blank, `privacyIDEA:` and the serial.
    expect(plan(want, seen(40 - 15), NOTHING_OF_OURS, RESPECT).kind).toBe('change')
    const planned = plan(want, seen(40 - 14), NOTHING_OF_OURS, RESPECT)
    expect(planned).toMatchObject({
      kind: 'conflict',
      code: 'value-too-long',
      reason: { code: 'serial-too-long', params: { length: 41, max: 40 } },
    })
  })

  test('a serial that another account carries is a conflict, except where it is known to have moved from', () => {
    const seen = observed([], { carriedElsewhere: { S1: [{ key: BOB, dn: asDn('uid=bob') }] } })
    expect(plan({ ...NOTHING, serials: [S1] }, seen, NOTHING_OF_OURS, RESPECT)).toMatchObject({
      kind: 'conflict',
      reason: { code: 'serial-carried-elsewhere', params: { at: ['uid=bob'] } },
    })
    expect(plan({ ...NOTHING, serials: [S1], movedFrom: { S1: [BOB] } }, seen, NOTHING_OF_OURS, RESPECT).kind).toBe(
      'change',
    )
  })

  test('a serial that is gone is taken out and strangers’ values stay', () => {
    const seen = observed([], { serialValues: ['privacyIDEA:S1', 'privacyIDEA:S2', 'S1'] })
    const change = changeOf(plan({ ...NOTHING, gone: [S1] }, seen, NOTHING_OF_OURS, RESPECT))
    expect(change.forward[0]?.modifications).toEqual([
      { op: 'delete', attribute: 'description', values: ['privacyIDEA:S1'] },
    ])
  })

  test('property: in one value or in several, adding and removing a serial leaves the rest byte for byte', () => {
    const text = fc.stringMatching(/^[a-zA-Z: \t\r\n]{1,12}$/).filter((each) => !each.includes('privacyIDEA:'))
    const word = text.filter((each) => each.trim() !== '')
    fc.assert(
      fc.property(fc.boolean(), fc.uniqueArray(word, { maxLength: 4 }), (multiValued, words) => {
        const values = multiValued ? words : words.length === 0 ? [] : [words.join('')]
        const place = { attribute: 'description', multiValued, format: 'privacyIDEA:{serial}', values }
        const added = addSerial(place, S1)
        const after = apply(values, added?.forward ?? [])
        expect(serialsIn(place.format, multiValued, after)).toEqual([S1])
        expect(addSerial({ ...place, values: after }, S1)).toBeNull()
        expect(sameValues(apply(after, added?.inverse ?? []), values)).toBe(true)
        const removed = removeSerial({ ...place, values: after }, S1)
        expect(sameValues(apply(after, removed?.forward ?? []), values)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('property: any mix of states', () => {
  const values = fc.constantFrom<AttributeValue[]>([], [LOCKED], ['expired'], ['20260101000000Z'])
  const desired = fc.record({ held: fc.boolean(), serials: fc.subarray([S1, S2]), gone: fc.boolean() })

  test('a plan, carried out, leaves an empty plan, and never touches a lock that is not ours', () => {
    fc.assert(
      fc.property(
        values,
        desired,
        fc.boolean(),
        fc.subarray(['privacyIDEA:S1', 'privacyIDEA:S2', 'x']),
        fc.constantFrom<OtherLock | null>(null, ENDED, UNCLEAR),
        (current, want, owns, there, other) => {
          const looked = (values: readonly AttributeValue[], serialValues: readonly AttributeValue[]) => {
            const found = observed(values, { serialValues })
            return { ...found, lock: { ...found.lock, other: other ?? found.lock.other } }
          }
          const goal: DesiredState = {
            ...(want.held ? HELD : NOTHING),
            serials: want.serials,
            gone: want.gone ? [S1, S2].filter((serial) => !want.serials.includes(serial)) : [],
          }
          const isStamp = current[0] !== 'expired' && current[0] !== LOCKED && current.length > 0
          const isForeign = !owns && (isStamp ? other === null || other.is === 'locked' : current[0] === LOCKED)
          let lock = current
          let serials: AttributeValue[] = there
          let record: OurRecord = owns ? ours() : NOTHING_OF_OURS
          let holds = goal.holds
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(10)
            const seen = looked(lock, serials)
            const planned = plan({ ...goal, holds }, seen, record, RESPECT)
            if (planned.kind === 'in-step' || planned.kind === 'foreign-lock') break
            if (planned.kind === 'forget') record = NOTHING_OF_OURS
            else if (planned.kind === 'foreign-unlock') holds = []
            else {
              const change = { ...changeOf(planned), id: 'c', plannedAtMs: 0 }
              const modifications = change.forward.flatMap((entry) => entry.modifications)
              if (change.serial === null) lock = apply(lock, modifications)
              else serials = apply(serials, modifications)
              const after = looked(lock, serials)
              expect(recoverChange(change, after, record, false).result).toBe('applied')
              expect(recoverChange(change, seen, record, false).result).toBe('not-applied')
              record = { lock: ownedAfter(change, record) }
            }
          }
          if (isForeign) expect(lock).toEqual(current)
          // Theirs elsewhere keeps the user out: nothing of ours is written beside it.
          if (other?.is === 'locked' && !owns) expect(lock).toEqual(current)
          if (holds.length === 0 && record.lock === null && !isForeign)
            expect(sameValues(lock, [LOCKED]) && !owns).toBe(false)
          expect(serialsIn('privacyIDEA:{serial}', true, serials)).toEqual(expect.arrayContaining(want.serials))
        },
      ),
      { numRuns: 5_000 },
    )
  })
})

describe('writes that come late', () => {
  const LATE_MS = 1_000
  const lateOf = (planned: ReturnType<typeof plan>, isOthers = false) => {
    return { change: { ...changeOf(planned), id: 'late-1', plannedAtMs: 0 }, untilMs: LATE_MS, isOthers }
  }
  const LOCK = lateOf(plan(HELD, observed([]), NOTHING_OF_OURS, RESPECT))
  const UNLOCK = lateOf(plan(NOTHING, observed([LOCKED]), ours(), RESPECT))
  const options = (each: typeof LOCK, writer?: LastWriter) => {
    return { ...RESPECT, late: { changes: [each], writers: new Map(writer === undefined ? [] : [[DN, writer]]) } }
  }

  test.each([
    ['us', 'arrived', 'arrived'],
    [undefined, 'arrived', 'arrived'],
    ['policy', 'others', 'arrived'],
    ['others', 'others', 'foreign-unlock'],
  ] as const)(
    'who wrote to the entry last, %s: a lock that stands is %s, one that is gone is %s',
    (writer, lock, unlock) => {
      expect(plan(NOTHING, observed([LOCKED]), NOTHING_OF_OURS, options(LOCK, writer)).kind).toBe(lock)
      expect(plan(HELD, observed([LOCKED]), NOTHING_OF_OURS, options(LOCK, writer)).kind).toBe(lock)
      expect(plan(HELD, observed([]), ours(), options(UNLOCK, writer)).kind).toBe(unlock)
    },
  )

  test('a lock that counts as somebody else’s stays so, whoever writes to the entry later', () => {
    const theirs = options({ ...LOCK, isOthers: true }, 'us')
    expect(plan(NOTHING, observed([LOCKED]), NOTHING_OF_OURS, theirs).kind).toBe('in-step')
    expect(plan(HELD, observed([LOCKED]), NOTHING_OF_OURS, theirs).kind).toBe('foreign-lock')
  })

  test('what is on record as ours, and what another value locks, is no late lock', () => {
    expect(plan(HELD, observed([LOCKED]), ours(), options(LOCK, 'us')).kind).toBe('in-step')
    expect(plan(NOTHING, observed(['20200101000000Z']), NOTHING_OF_OURS, options(LOCK, 'us')).kind).toBe('in-step')
  })

  test('property: what arrived is on record, so that it is found once, and the account ends as it should', () => {
    const holds = fc.constantFrom(NOTHING, HELD)
    const writers = fc.constantFrom<LastWriter | undefined>('us', undefined)
    fc.assert(
      fc.property(holds, fc.boolean(), fc.boolean(), writers, (desired, isLate, isOurs, writer) => {
        const stands = observed(isLate ? [LOCKED] : [])
        const record = isOurs ? ours() : NOTHING_OF_OURS
        const each = isLate ? LOCK : UNLOCK
        const planned = plan(desired, stands, record, options(each, writer))
        expect(planned.kind === 'arrived').toBe(isLate !== isOurs)
        if (planned.kind !== 'arrived') return
        const then = plan(
          desired,
          stands,
          { lock: planned.lock },
          { ...RESPECT, late: { changes: [], writers: new Map() } },
        )
        const change = then.kind === 'change' ? then.change.kind : then.kind
        expect(change).toBe(isLate ? (desired === HELD ? 'in-step' : 'unlock') : desired === HELD ? 'lock' : 'in-step')
      }),
    )
  })

  test('a person adopts what stands as we would write it, and nothing else', () => {
    const adopts = { ...RESPECT, adopts: true }
    const { lock } = observed([LOCKED])
    const known = observed([LOCKED], {
      lock: { ...lock, slots: lock.slots.map((slot) => ({ ...slot, unlocked: [] })) },
    })
    const planned = plan(NOTHING, known, NOTHING_OF_OURS, adopts)
    expect(planned).toMatchObject({ kind: 'adopt', change: null, lock: { slots: [{ before: [], after: [LOCKED] }] } })
    const owned = planned.kind === 'adopt' ? planned.lock : null
    expect(changeOf(plan(NOTHING, known, { lock: owned }, adopts)).kind).toBe('unlock')
    // What stood there before is not known, or it is another lock.
    expect(plan(NOTHING, observed([LOCKED]), NOTHING_OF_OURS, adopts).kind).toBe('in-step')
    expect(plan(NOTHING, observed(['20200101000000Z']), NOTHING_OF_OURS, adopts).kind).toBe('in-step')
    const late = plan(NOTHING, observed([LOCKED]), NOTHING_OF_OURS, {
      ...options({ ...LOCK, isOthers: true }),
      adopts: true,
    })
    expect(late).toMatchObject({ kind: 'adopt', change: 'late-1' })
    // What an unlock left: as it was recorded then. The unlock itself did not happen.
    const unlock = { ...changeOf(plan(NOTHING, observed([LOCKED]), ours(), RESPECT)), id: 'late-2', plannedAtMs: 0 }
    const adoptLeft = (isOthers: boolean) => {
      const changes = [{ change: unlock, untilMs: MAY_ARRIVE_MS, isOthers }]
      return plan(NOTHING, observed([LOCKED]), NOTHING_OF_OURS, { ...adopts, late: { changes, writers: new Map() } })
    }
    expect(adoptLeft(true)).toMatchObject({ kind: 'adopt', change: null, lock: { slots: ours().lock?.slots } })
    expect(adoptLeft(false).kind).toBe('in-step')
  })

  test('an account is looked at several times within half an hour, and while a lock may be ours', () => {
    const look = (nowMs: number, isOthers = false) => nextLateLookMs([{ untilMs: MAY_ARRIVE_MS, isOthers }], nowMs)
    expect([0, 5_000, 30_000, 120_000, 600_000].map((nowMs) => look(nowMs))).toEqual([
      5_000, 30_000, 120_000, 600_000, 1_800_000,
    ])
    expect(look(MAY_ARRIVE_MS)).toBe(null)
    expect(look(MAY_ARRIVE_MS, true)).toBe(MAY_ARRIVE_MS + 3_600_000)
  })
})

test('a lock that the breaker holds back is left out of the plan, and the serials are not', () => {
  const without = { ...RESPECT, withoutLock: true }
  expect(plan(HELD, observed([]), NOTHING_OF_OURS, RESPECT)).toMatchObject({ change: { kind: 'lock' } })
  expect(plan(HELD, observed([]), NOTHING_OF_OURS, without)).toEqual({ kind: 'in-step' })
  const withSerial = { ...HELD, serials: [S1] }
  expect(plan(withSerial, observed([]), NOTHING_OF_OURS, without)).toMatchObject({ change: { kind: 'register' } })
})
