import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ResolvedEvent } from '../../../src/core/events/event.ts'
import { foldEvents } from '../../../src/core/account/fold.ts'
import type { AccountKey } from '../../../src/core/names.ts'
import { compactStream, redundantLocks } from '../../../src/core/account/stream.ts'
import { ALICE, BOB, eventOf, S1, S2, streams } from '../arbitrary.ts'

const OPTIONS = { nowUs: 1_000_000, lockTtlUs: null }

function fold(events: readonly ResolvedEvent[], key: AccountKey = ALICE) {
  const { serials, gone, holds } = foldEvents(key, events, OPTIONS)
  return { serials, gone, holds: holds.map((hold) => hold.name as string) }
}

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length <= 1) return [[...items]]
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))
}

test('privacyIDEA’s word that a token is not an account’s leaves it to its owner, and lets him take it over', () => {
  const stays = eventOf('register', 2, { serial: S1, accountKey: BOB })
  const leaves = eventOf('unregister', 3, { serial: S1, accountKey: ALICE, source: 'privacyidea' })
  for (const events of [
    [stays, leaves],
    [leaves, stays],
  ]) {
    expect(fold(events, ALICE)).toMatchObject({ serials: [], gone: [S1] })
    expect(foldEvents(BOB, events, OPTIONS)).toMatchObject({ serials: [S1], movedFrom: { [S1]: [ALICE] } })
  }
})

describe('that somebody took a lock away', () => {
  const isOver = (...events: readonly ResolvedEvent[]): boolean =>
    foldEvents(ALICE, events, OPTIONS).isRemovalOver === true
  const [lock, removal] = [eventOf('lock', 2, { serial: S1 }), eventOf('directory-unlock', 3)]

  test('lasts while something would still hold the account', () => {
    expect(isOver(lock)).toBe(false)
    expect(isOver(lock, removal)).toBe(false)
    expect(isOver(lock, eventOf('lock', 1, { serial: S2 }), removal, eventOf('unlock', 4, { serial: S2 }))).toBe(false)
  })

  test('is over when the token can be used again or is gone, and when a person unlocks', () => {
    expect(isOver(lock, removal, eventOf('unlock', 4, { serial: S1 }))).toBe(true)
    expect(isOver(lock, removal, eventOf('unregister', 4, { serial: S1 }))).toBe(true)
    expect(isOver(lock, removal, eventOf('release', 4))).toBe(true)
  })

  test('is about the newest one alone', () => {
    const before = [eventOf('hold', 0), eventOf('directory-unlock', 1)]
    expect(isOver(...before, lock, removal)).toBe(false)
    expect(isOver(...before, lock, removal, eventOf('unlock', 4, { serial: S1 }))).toBe(true)
  })
})

describe('what the events say', () => {
  test('a registered token is carried and a lock of it holds the account', () => {
    const events = [eventOf('register', 1, { serial: S1 }), eventOf('lock', 2, { serial: S1 })]
    expect(fold(events)).toEqual({ serials: ['S1'], gone: [], holds: ['S1'] })
  })

  test('a lock without a serial is the hold of the only token', () => {
    expect(fold([eventOf('register', 1, { serial: S1 }), eventOf('lock', 2)]).holds).toEqual(['S1'])
    expect(fold([eventOf('lock', 2, { attributeSerials: [S2] })]).holds).toEqual(['S2'])
  })

  test('a lock without a serial is the account’s own hold when it has several tokens or none', () => {
    const two = [eventOf('register', 1, { serial: S1 }), eventOf('register', 2, { serial: S2 }), eventOf('lock', 3)]
    expect(fold(two).holds).toEqual([expect.stringMatching(/^account\.[0-9a-f]{16}$/)])
    expect(fold([eventOf('lock', 3)]).holds).toEqual([expect.stringMatching(/^account\./)])
  })

  test('the unlock of any of its serials ends the account’s own hold', () => {
    const two = [eventOf('register', 1, { serial: S1 }), eventOf('register', 2, { serial: S2 }), eventOf('lock', 3)]
    expect(fold([...two, eventOf('unlock', 4, { serial: S2, login: null })]).holds).toEqual([])
  })

  describe('a token that is enrolled anew', () => {
    const enrolled = eventOf('register', 1, { serial: S1, isSoleSerial: true })
    const locked = eventOf('lock', 2, { serial: S1 })
    const anew = eventOf('register', 3, { serial: S1, isSoleSerial: true })

    test('is no longer full: its hold ends, whatever the order of arrival and however often it is told', () => {
      for (const order of permutations([enrolled, locked, anew, anew])) expect(fold(order).holds).toEqual([])
    })

    test('locks again when it is full again, also where the registration is told once more afterwards', () => {
      const again = eventOf('lock', 4, { serial: S1 })
      for (const order of permutations([enrolled, locked, anew, again, anew])) expect(fold(order).holds).toEqual(['S1'])
    })

    test('ends no hold by its first registration, nor by one that another account’s token has', () => {
      expect(fold([locked, anew]).holds).toEqual(['S1'])
      expect(fold([enrolled, locked, eventOf('lock', 2, { id: 'm', serial: S2 }), anew]).holds).toEqual(['S2'])
    })

    test('is known to be an old one where it stood at the account before', () => {
      expect(fold([locked, { ...anew, attributeSerials: [S1] }]).holds).toEqual([])
    })

    test('may be any of several that a registration names: none of their holds ends', () => {
      const [one, other] = [eventOf('register', 3, { serial: S1 }), eventOf('register', 4, { serial: S2 })]
      expect(fold([enrolled, locked, one, other]).holds).toEqual(['S1'])
    })

    test('leaves a person’s hold and privacyIDEA’s lockout', () => {
      const others = [eventOf('hold', 2, { id: 'a' }), eventOf('lockout', 2, { id: 'b' })]
      expect(fold([enrolled, locked, ...others, anew]).holds).toHaveLength(2)
    })
  })

  test('the unlock of one serial leaves the hold of another', () => {
    const events = [
      eventOf('lock', 1, { serial: S1 }),
      eventOf('lock', 2, { serial: S2 }),
      eventOf('unlock', 3, { serial: S1 }),
    ]
    expect(fold(events).holds).toEqual(['S2'])
  })

  test('an unlock of the user ends all token holds and leaves a person’s hold', () => {
    const events = [
      eventOf('hold', 1),
      eventOf('lock', 2, { serial: S1 }),
      eventOf('lock', 3, { serial: S2 }),
      eventOf('unlock', 4),
    ]
    expect(fold(events).holds).toEqual([expect.stringMatching(/^manual\./)])
  })

  test('an unregistered token takes its hold along, and the account’s own one with the last token', () => {
    const own = [eventOf('register', 1, { serial: S1 }), eventOf('register', 2, { serial: S2 }), eventOf('lock', 3)]
    const one = [...own, eventOf('unregister', 4, { serial: S1, login: null })]
    expect(fold(one)).toMatchObject({ serials: ['S2'], gone: ['S1'], holds: [expect.stringMatching(/^account\./)] })
    expect(fold([...one, eventOf('unregister', 5, { serial: S2, login: null })])).toEqual({
      serials: [],
      gone: ['S1', 'S2'],
      holds: [],
    })
  })

  test('a newer assignment moves a serial and ends its hold at the old owner', () => {
    const events = [
      eventOf('register', 1, { serial: S1 }),
      eventOf('lock', 2, { serial: S1 }),
      eventOf('register', 3, { serial: S1, accountKey: BOB }),
    ]
    expect(fold(events)).toEqual({ serials: [], gone: ['S1'], holds: [] })
    expect(fold(events, BOB)).toEqual({ serials: ['S1'], gone: [], holds: [] })
    expect(foldEvents(BOB, events, OPTIONS).movedFrom).toEqual({ S1: [ALICE] })
  })

  test('a lock that somebody took away in the directory stays away until privacyIDEA locks again', () => {
    const events = [eventOf('lock', 1, { serial: S1 }), eventOf('directory-unlock', 2)]
    expect(fold(events).holds).toEqual([])
    expect(fold([...events, eventOf('lock', 3, { serial: S1 })]).holds).toEqual(['S1'])
  })

  test('a timed hold ends at its time, and says when', () => {
    const events = [eventOf('hold', 1, { untilUs: 500 })]
    expect(foldEvents(ALICE, events, { nowUs: 499, lockTtlUs: null }).nextExpiryUs).toBe(500)
    expect(foldEvents(ALICE, events, { nowUs: 500, lockTtlUs: null }).holds).toEqual([])
    const locked = [eventOf('lock', 1, { serial: S1 }), eventOf('lock', 100, { serial: S1 })]
    expect(foldEvents(ALICE, locked, { nowUs: 140, lockTtlUs: 50 }).nextExpiryUs).toBe(150)
    expect(foldEvents(ALICE, locked, { nowUs: 150, lockTtlUs: 50 }).holds).toEqual([])
  })

  test('every order of arrival, with repeats, gives the same state', () => {
    const day = [
      eventOf('register', 1, { serial: S1 }),
      eventOf('lock', 2),
      eventOf('unlock', 3, { serial: S1, login: null }),
      eventOf('register', 4, { serial: S2 }),
      eventOf('lock', 5, { serial: S2 }),
      eventOf('unregister', 6, { serial: S1, login: null }),
    ]
    const expected = fold(day)
    expect(expected).toEqual({ serials: ['S2'], gone: ['S1'], holds: ['S2'] })
    const orders = permutations(day)
    expect(orders).toHaveLength(720)
    for (const order of orders) expect(fold(order)).toEqual(expected)
  })

  test('property: the order in which events arrive means nothing', () => {
    fc.assert(
      fc.property(
        streams.chain((events) =>
          fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })),
        ),
        ([events, shuffled]) => {
          expect(fold(shuffled)).toEqual(fold(events))
          expect(fold(shuffled, BOB)).toEqual(fold(events, BOB))
        },
      ),
      { numRuns: 5_000 },
    )
  })

  test('property: dropping redundant locks changes nothing, also for an event that comes late', () => {
    fc.assert(
      fc.property(streams, fc.nat(), (events, pick) => {
        const late = events[pick % Math.max(1, events.length)]
        const early = events.filter((event) => event !== late || event.kind === 'lock')
        const dropped = new Set(redundantLocks(early))
        const kept = early.filter((event) => !dropped.has(event.id))
        const all = late === undefined || kept.includes(late) ? kept : [...kept, late]
        const full = late === undefined || early.includes(late) ? early : [...early, late]
        for (const key of [ALICE, BOB]) expect(fold(all, key).holds).toEqual(fold(full, key).holds)
      }),
      { numRuns: 20_000 },
    )
  })

  test('property: what compaction keeps says the same, now and after newer events', () => {
    fc.assert(
      fc.property(streams, fc.integer({ min: 1_000, max: 1_014 }), (events, horizonUs) => {
        const { drop, pin } = compactStream(ALICE, events, horizonUs)
        const pinned = new Map(pin.map((each) => [each.id, each.hold]))
        const kept = events
          .filter((event) => !drop.includes(event.id))
          .map((event) => ({ ...event, pinnedHold: pinned.get(event.id) ?? null }))
        const before = fold(events)
        const after = fold(kept)
        expect(after.serials).toEqual(before.serials)
        expect(after.holds).toEqual(before.holds)
      }),
      { numRuns: 5_000 },
    )
  })
})
