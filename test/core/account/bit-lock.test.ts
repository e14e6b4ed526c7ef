import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bitsGivenBack, bitsStand, integerOf, withBits } from '../../../src/core/account/bit.ts'
import type { ChangeDraft, EntryModification } from '../../../src/core/account/change.ts'
import { asDn, holdNameOfSerial } from '../../../src/core/names.ts'
import { plan, type Planned } from '../../../src/core/account/plan.ts'
import { ownedAfter, recoverChange } from '../../../src/core/account/recover.ts'
import { releaseOf } from '../../../src/core/account/slot.ts'
import {
  NOTHING_OF_OURS,
  type DesiredState,
  type ObservedState,
  type OurRecord,
} from '../../../src/core/account/state.ts'
import { ALICE, S1 } from '../arbitrary.ts'

/** A lock that is one bit of an integer, as Active Directory's `userAccountControl`. */

const DN = asDn('CN=alice,OU=people,DC=example,DC=org')
const ATTRIBUTE = 'userAccountControl'
const DISABLED = 2
const RESPECT = { onForeignUnlock: 'respect' } as const
const NOTHING: DesiredState = {
  serials: [],
  gone: [],
  movedFrom: {},
  holds: [],
  nextExpiryUs: null,
  heldAtUs: 0,
  heldKnownUs: 0,
}
const HOLD = {
  name: holdNameOfSerial(S1),
  kind: 'token',
  serial: S1,
  sinceUs: 1,
  untilUs: null,
  reason: { code: 'user-token-max-fail', params: {} } as const,
  actor: '',
} as const
const HELD: DesiredState = { ...NOTHING, holds: [HOLD] }

function observed(value: number, changes: Partial<ObservedState> = {}): ObservedState {
  const current = String(value | 0)
  const isSet = (value & DISABLED) !== 0
  const slot = {
    dn: DN,
    attribute: ATTRIBUTE,
    mode: 'bit' as const,
    current: [current],
    locked: [withBits(current, DISABLED)],
  }
  return {
    key: ALICE,
    dn: DN,
    serialAttribute: 'description',
    serialAttributeMultiValued: false,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: [],
    carriedElsewhere: {},
    lock: { state: isSet ? 'as-ours' : 'open', other: null, slots: [slot], effective: { is: 'yes' } },
    protectedBy: null,
    ...changes,
  }
}

/** Delete the old value, add the new one: null where the old one does not stand there. */
function written(value: number, entries: readonly EntryModification[]): number | null {
  const [remove, add, ...more] = entries.flatMap((entry) => entry.modifications)
  expect(more).toEqual([])
  expect([remove?.op, remove?.attribute, add?.op, add?.attribute]).toEqual(['delete', ATTRIBUTE, 'add', ATTRIBUTE])
  if (integerOf(remove?.values ?? []) !== (value | 0)) return null
  return integerOf(add?.values ?? [])
}

function changeOf(planned: Planned): ChangeDraft {
  if (planned.kind !== 'change') throw new Error(`no change: ${planned.kind}`)
  return planned.change
}

function locked(value: number): { now: number; record: OurRecord } {
  const change = changeOf(plan(HELD, observed(value), NOTHING_OF_OURS, RESPECT))
  const now = written(value, change.forward)
  if (now === null) throw new Error('refused')
  return { now, record: { lock: ownedAfter({ ...change, id: 'c', plannedAtMs: 0 }, NOTHING_OF_OURS) } }
}

const integer = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const open = integer.map((value) => value & ~DISABLED)
const others = integer.map((value) => value & ~DISABLED)

describe('a lock that is a bit of an integer', () => {
  test('locking sets the bit and no other', () => {
    fc.assert(
      fc.property(open, (value) => {
        expect(locked(value).now).toBe(value | DISABLED)
      }),
    )
    expect(locked(512).now).toBe(514)
    expect(locked(66048).now).toBe(66050)
  })

  test('a second plan is empty, also after others changed their bits and the files followed', () => {
    fc.assert(
      fc.property(open, others, (value, flips) => {
        const { now, record } = locked(value)
        expect(plan(HELD, observed(now), record, RESPECT)).toEqual({ kind: 'in-step' })
        const seen = observed(now ^ flips)
        const planned = plan(HELD, seen, record, RESPECT)
        if (flips === 0) expect(planned).toEqual({ kind: 'in-step' })
        if (flips === 0) return
        if (planned.kind !== 'relabel') throw new Error(`not followed: ${planned.kind}`)
        // The waiting file, applied by hand, gives back the bit alone.
        expect(written(now ^ flips, releaseOf(planned.lock.slots))).toBe((value ^ flips) | 0)
        expect(plan(HELD, seen, { lock: planned.lock }, RESPECT)).toEqual({ kind: 'in-step' })
      }),
    )
  })

  test('unlocking clears the bit and leaves what others changed, whether or not that was seen before', () => {
    fc.assert(
      fc.property(open, others, others, (value, seen, unseen) => {
        const { now, record } = locked(value)
        const followed = plan(HELD, observed(now ^ seen), record, RESPECT)
        const ours = followed.kind === 'relabel' ? { lock: followed.lock } : record
        const last = now ^ seen ^ unseen
        const change = changeOf(plan(NOTHING, observed(last), ours, RESPECT))
        expect(written(last, change.forward)).toBe((value ^ seen ^ unseen) | 0)
      }),
    )
  })

  test('a bit that somebody else set is neither claimed nor released', () => {
    fc.assert(
      fc.property(open, (value) => {
        expect(plan(HELD, observed(value | DISABLED), NOTHING_OF_OURS, RESPECT).kind).toBe('foreign-lock')
        expect(plan(NOTHING, observed(value | DISABLED), NOTHING_OF_OURS, RESPECT).kind).toBe('in-step')
      }),
    )
  })

  test('a bit that somebody else cleared is an unlock by them, whatever else they changed', () => {
    fc.assert(
      fc.property(open, others, (value, flips) => {
        const { now, record } = locked(value)
        const seen = observed((now ^ flips) & ~DISABLED)
        expect(plan(HELD, seen, record, RESPECT)).toEqual({ kind: 'foreign-unlock', left: null })
        expect(plan(NOTHING, seen, record, RESPECT).kind).toBe('forget')
        const again = changeOf(plan(HELD, seen, record, { onForeignUnlock: 'relock' }))
        expect(written((now ^ flips) & ~DISABLED, again.forward)).toBe((now ^ flips) | DISABLED)
      }),
    )
  })

  test('a change whose outcome is unknown is told by the bit alone', () => {
    fc.assert(
      fc.property(open, others, (value, flips) => {
        const lock = { ...changeOf(plan(HELD, observed(value), NOTHING_OF_OURS, RESPECT)), id: 'c', plannedAtMs: 0 }
        const result = (now: number) => recoverChange(lock, observed(now), NOTHING_OF_OURS, false).result
        expect(result((value ^ flips) | DISABLED)).toBe('applied')
        expect(result(value ^ flips)).toBe('not-applied')
      }),
    )
  })

  test('an unlock brings along what else keeps the user out, and only then', () => {
    const { now, record } = locked(512)
    const seen = observed(now)
    const onRelease = [{ op: 'replace' as const, attribute: 'lockoutTime', values: ['0'] }]
    const out = { ...seen, lock: { ...seen.lock, onRelease } }
    const change = changeOf(plan(NOTHING, out, record, RESPECT))
    expect(change.forward[0]?.modifications.at(-1)).toEqual(onRelease[0])
    expect(change.inverse.flatMap((entry) => entry.modifications).map((each) => each.attribute)).not.toContain(
      'lockoutTime',
    )
    expect(changeOf(plan(NOTHING, seen, record, RESPECT)).forward[0]?.modifications).toHaveLength(2)
  })
})

describe('integers of the directory', () => {
  test('are read within 32 bits, also those that are written without a sign', () => {
    expect(integerOf(['514'])).toBe(514)
    expect(integerOf(['-2147483648'])).toBe(-(2 ** 31))
    expect(integerOf(['2147483650'])).toBe(-(2 ** 31) + 2)
    for (const bad of [[], ['x'], [''], ['1', '2'], ['99999999999'], [Uint8Array.of(1)]])
      expect(integerOf(bad)).toBeNull()
  })

  test('no bits of ours stand where nothing was changed or no integer stands', () => {
    expect(bitsStand(['514'], ['514'], ['514'])).toBe(false)
    expect(bitsStand([], ['512'], ['514'])).toBe(false)
    expect(bitsGivenBack([], ['512'], ['514'])).toEqual(['512'])
  })
})
