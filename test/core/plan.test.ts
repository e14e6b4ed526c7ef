import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChangeDraft, Modification } from '../../src/core/change.ts'
import { asDn, holdNameOfSerial, parseHoldName } from '../../src/core/names.ts'
import { plan } from '../../src/core/plan.ts'
import { ownedAfter, recoverChange } from '../../src/core/recover.ts'
import { addSerial, removeSerial, serialsIn } from '../../src/core/serial-values.ts'
import {
  hasValue,
  NOTHING_OF_OURS,
  sameValues,
  type AttributeValue,
  type DesiredState,
  type Hold,
  type LockSlot,
  type ObservedState,
  type OurRecord,
} from '../../src/core/state.ts'
import { ALICE, BOB, S1, S2 } from './arbitrary.ts'

const DN = asDn('uid=alice,ou=people,dc=example,dc=org')
const LOCKED = '000001010000Z'
const RESPECT = { onForeignUnlock: 'respect' } as const

const HOLD: Hold = {
  name: holdNameOfSerial(S1),
  kind: 'token',
  serial: S1,
  sinceUs: 1,
  untilUs: null,
  reason: 'full',
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

function observed(current: readonly AttributeValue[], changes: Partial<ObservedState> = {}): ObservedState {
  const slot: LockSlot = { dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', current, locked: [LOCKED] }
  const state = sameValues(current, [LOCKED])
    ? 'as-ours'
    : current.length === 0 || current[0] === 'expired'
      ? 'open'
      : 'other'
  return {
    key: ALICE,
    dn: DN,
    serialAttribute: 'description',
    serialAttributeMultiValued: true,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: [],
    carriedElsewhere: {},
    lock: { state, otherUntilUs: null, slots: [slot], effective: { is: 'yes' } },
    protectedBy: null,
    ...changes,
  }
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
  ] as const)('%s', (_name, desired, seen, record, kind) => {
    expect(plan(desired, seen, record, RESPECT).kind).toBe(kind)
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
    expect(plan(HELD, weak, ours(), RESPECT)).toEqual({ kind: 'not-effective', reason: 'pwdLockout is FALSE' })
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
    return { ...observed([], { dn }), lock: { state, otherUntilUs: null, slots, effective: { is: 'yes' } } }
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
    expect(without.reason).toContain(`member at ${GROUP}`)
    const nothing = plan(NOTHING, now, owned('old'), { ...RESPECT, skipUnseen: true })
    expect(nothing).toMatchObject({ kind: 'forget', reason: expect.stringContaining(GROUP) })
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
    if (relabelled.kind !== 'relabel') return
    expect(changeOf(plan(HELD, stale, { lock: relabelled.lock }, RESPECT)).slots).toMatchObject([{ after: [renamed] }])
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

  test('a serial that another account carries is a conflict, except where it is known to have moved from', () => {
    const seen = observed([], { carriedElsewhere: { S1: [{ key: BOB, dn: asDn('uid=bob') }] } })
    expect(plan({ ...NOTHING, serials: [S1] }, seen, NOTHING_OF_OURS, RESPECT)).toMatchObject({
      kind: 'conflict',
      reason: expect.stringContaining('uid=bob'),
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
    const word = fc.stringMatching(/^[a-zA-Z:]{1,8}$/).filter((text) => !text.startsWith('privacyIDEA:'))
    fc.assert(
      fc.property(fc.boolean(), fc.uniqueArray(word, { maxLength: 4 }), (multiValued, words) => {
        const values = multiValued ? words : words.length === 0 ? [] : [words.join(' ')]
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
        (current, want, owns, there) => {
          const goal: DesiredState = {
            ...(want.held ? HELD : NOTHING),
            serials: want.serials,
            gone: want.gone ? [S1, S2].filter((serial) => !want.serials.includes(serial)) : [],
          }
          const isForeign = !owns && current.length > 0 && current[0] !== 'expired'
          let lock = current
          let serials: AttributeValue[] = there
          let record: OurRecord = owns ? ours() : NOTHING_OF_OURS
          let holds = goal.holds
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(10)
            const seen = observed(lock, { serialValues: serials })
            const planned = plan({ ...goal, holds }, seen, record, RESPECT)
            if (planned.kind === 'in-step' || planned.kind === 'foreign-lock') break
            if (planned.kind === 'forget') record = NOTHING_OF_OURS
            else if (planned.kind === 'foreign-unlock') holds = []
            else {
              const change = { ...changeOf(planned), id: 'c', plannedAtMs: 0 }
              const modifications = change.forward.flatMap((entry) => entry.modifications)
              if (change.serial === null) lock = apply(lock, modifications)
              else serials = apply(serials, modifications)
              const after = observed(lock, { serialValues: serials })
              expect(recoverChange(change, after, record, false).result).toBe('applied')
              expect(recoverChange(change, seen, record, false).result).toBe('not-applied')
              record = { lock: ownedAfter(change, record) }
            }
          }
          if (isForeign) expect(lock).toEqual(current)
          if (holds.length === 0 && record.lock === null && !isForeign)
            expect(sameValues(lock, [LOCKED]) && !owns).toBe(false)
          expect(serialsIn('privacyIDEA:{serial}', true, serials)).toEqual(expect.arrayContaining(want.serials))
        },
      ),
      { numRuns: 5_000 },
    )
  })
})
