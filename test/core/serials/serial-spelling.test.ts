import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ResolvedEvent } from '../../../src/core/events/event.ts'
import { foldEvents } from '../../../src/core/account/fold.ts'
import { parseHoldName, parseLogin, type AccountKey, type Serial } from '../../../src/core/names.ts'
import { plan } from '../../../src/core/account/plan.ts'
import { serialKey, spelledAmong } from '../../../src/core/serials/serial-key.ts'
import { oneSpelling } from '../../../src/core/serials/serial-spelling.ts'
import { addSerial, removeSerial } from '../../../src/core/account/serial-values.ts'
import { compactStream, redundantLocks } from '../../../src/core/account/stream.ts'
import { ALICE, BOB, eventOf, S1, S2, serialOf, streams } from '../arbitrary.ts'

const OPTIONS = { nowUs: 1_000_000, lockTtlUs: null }
const UPPER = serialOf('ALICE1')
const LOWER = serialOf('alice1')

function fold(events: readonly ResolvedEvent[], key: AccountKey = ALICE) {
  const { serials, gone, holds, twins } = foldEvents(key, events, OPTIONS)
  return { serials, gone, holds: holds.map((hold) => hold.name as string), twins }
}

/** Of a shim that handed over no user, as of an attempt by serial up to 3.13. */
function bySerial(kind: ResolvedEvent['kind'], takenAtUs: number, serial: Serial, accountKey = ALICE): ResolvedEvent {
  return eventOf(kind, takenAtUs, { serial, login: null, accountKey })
}

function ofBob(kind: ResolvedEvent['kind'], takenAtUs: number, serial: Serial): ResolvedEvent {
  return eventOf(kind, takenAtUs, { serial, login: parseLogin('bob'), accountKey: BOB })
}

test('a key folds the case of ASCII and nothing else, and a list is searched by it, the very spelling first', () => {
  expect(serialKey(serialOf('Ab-1_Z'))).toBe('ab-1_z')
  expect(spelledAmong([UPPER, LOWER], LOWER)).toBe(LOWER)
  expect(spelledAmong([UPPER], LOWER)).toBe(UPPER)
  expect(spelledAmong([UPPER], S1)).toBeNull()
})

describe('one token in several spellings', () => {
  const registered = eventOf('register', 1, { serial: UPPER })

  test('an attempt that spells the serial otherwise holds the account by the token’s own name', () => {
    expect(fold([registered, bySerial('lock', 2, LOWER)]).holds).toEqual(['ALICE1'])
  })

  test.each(['unlock', 'unregister'] as const)('the %s of the token ends what another spelling held', (kind) => {
    const events = [registered, bySerial('lock', 2, LOWER), eventOf(kind, 3, { serial: UPPER })]
    expect(fold(events).holds).toEqual([])
    expect(fold(events).twins).toEqual([])
  })

  test('without a registration too, and whichever spelling came first', () => {
    expect(fold([bySerial('lock', 2, LOWER), bySerial('unlock', 3, UPPER)]).holds).toEqual([])
    expect(fold([bySerial('lock', 2, UPPER), bySerial('unlock', 3, LOWER)]).holds).toEqual([])
  })

  test('a hold is named as the token stands at the account, where it was never registered', () => {
    expect(fold([eventOf('lock', 2, { serial: LOWER, attributeSerials: [UPPER] })]).holds).toEqual(['ALICE1'])
  })

  test('it moves to another account in another spelling once it was taken from the first', () => {
    const events = [registered, bySerial('unregister', 2, LOWER), ofBob('register', 3, LOWER)]
    expect(fold(events)).toEqual({ serials: [], gone: ['alice1'], holds: [], twins: [] })
    expect(fold(events, BOB)).toEqual({ serials: ['alice1'], gone: [], holds: [], twins: [] })
  })

  test('a hold that an old record pinned in another spelling ends as well', () => {
    const pinned = { ...eventOf('lock', 2), pinnedHold: parseHoldName('alice1') }
    expect(fold([registered, pinned]).holds).toEqual(['ALICE1'])
    expect(fold([registered, pinned, eventOf('unlock', 3, { serial: UPPER })]).holds).toEqual([])
  })

  test('property: one person’s tokens, spelled anyhow, come to the same', () => {
    fc.assert(
      fc.property(streams, fc.infiniteStream(fc.boolean()), (events, lower) => {
        const own = events.map((event) => ({ ...event, accountKey: ALICE, login: parseLogin('alice') }))
        const spell = (serial: Serial): Serial => (lower.next().value ? serialOf(serial.toLowerCase()) : serial)
        const spelled = own.map((event) => ({
          ...event,
          serial: event.serial === null ? null : spell(event.serial),
          attributeSerials: event.attributeSerials.map(spell),
        }))
        expect(folded(fold(spelled))).toEqual(folded(fold(own)))
      }),
      { numRuns: 5_000 },
    )
  })

  test('many spellings of one lock do not make the stream long', () => {
    const spellings = Array.from({ length: 64 }, (_, bits) =>
      serialOf(
        ['a', 'b', 'c', 'd', 'e', 'f'].map((letter, at) => ((bits >> at) & 1 ? letter.toUpperCase() : letter)).join(''),
      ),
    )
    const locks = spellings.map((serial, at) => bySerial('lock', at, serial))
    // One each of eight ways to write it, and the newest.
    expect(redundantLocks(locks)).toHaveLength(64 - 9)
  })
})

function folded({ serials, gone, holds }: ReturnType<typeof fold>) {
  const fold1 = (all: readonly string[]): string[] => all.map((each) => each.toLowerCase()).toSorted()
  return { serials: fold1(serials), gone: fold1(gone), holds: fold1(holds) }
}

describe('two tokens that differ by case only', () => {
  const alices = eventOf('register', 1, { serial: UPPER })
  const locked = eventOf('lock', 2, { serial: UPPER })
  const bobs = ofBob('register', 3, LOWER)

  test('whoever chooses another’s serial in another case neither takes it over nor ends its lock', () => {
    const events = [alices, locked, bobs]
    expect(fold(events)).toEqual({ serials: ['ALICE1'], gone: [], holds: ['ALICE1'], twins: ['ALICE1', 'alice1'] })
    expect(fold(events, BOB)).toMatchObject({ serials: ['alice1'], gone: [], holds: [] })
  })

  test.each(['unlock', 'unregister', 'lock'] as const)('the %s of the one leaves the other as it was', (kind) => {
    const events = [alices, locked, bobs, ofBob(kind, 4, LOWER)]
    expect(fold(events)).toMatchObject({ serials: ['ALICE1'], holds: ['ALICE1'] })
    expect(fold(events, BOB).holds).toEqual(kind === 'lock' ? ['alice1'] : [])
    // Without a user the account was found by the very spelling.
    expect(fold([alices, locked, bobs, bySerial(kind, 4, LOWER, BOB)])).toMatchObject({ holds: ['ALICE1'] })
  })

  test.each(['unlock', 'unregister', 'lock'] as const)(
    'so does the %s of one that was never registered, where it names its user',
    (kind) => {
      expect(fold([alices, locked, ofBob(kind, 4, LOWER)]).holds).toEqual(['ALICE1'])
    },
  )

  test('when one is deleted there is one again, in any spelling', () => {
    const events = [alices, locked, bobs, ofBob('unregister', 4, LOWER), bySerial('unlock', 5, UPPER)]
    expect(fold(events)).toMatchObject({ serials: ['ALICE1'], holds: [], twins: [] })
  })

  test('privacyIDEA’s API lists both with one owner: each has its own hold and its own end', () => {
    const api = { source: 'privacyidea', login: null } as const
    const events = [
      eventOf('register', 1, { ...api, serial: UPPER }),
      eventOf('register', 2, { ...api, serial: LOWER }),
      eventOf('lock', 3, { ...api, serial: UPPER }),
      eventOf('lock', 4, { ...api, serial: LOWER }),
    ]
    expect(fold(events)).toMatchObject({ holds: ['ALICE1', 'alice1'], twins: ['ALICE1', 'alice1'] })
    expect(redundantLocks(events)).toEqual([])
    const open = [...events, eventOf('unlock', 5, { ...api, serial: LOWER })]
    expect(fold(open).holds).toEqual(['ALICE1'])
    const deleted = [...open, eventOf('unregister', 6, { ...api, serial: LOWER })]
    expect(fold(deleted)).toMatchObject({ serials: ['ALICE1'], gone: ['alice1'], holds: ['ALICE1'], twins: [] })
  })

  test('property: two people’s tokens whose events name their users come to what tokens of unlike names come to', () => {
    const people = streams.map((events) =>
      events
        .filter(({ kind, serial }) => serial !== null || kind === 'release' || kind === 'hold')
        .map((event) => {
          const isBobs = event.serial === null ? event.accountKey === BOB : event.serial === S2
          const login = parseLogin(isBobs ? 'bob' : 'alice')
          return { ...event, accountKey: isBobs ? BOB : ALICE, login, attributeSerials: [] }
        }),
    )
    // What names nobody's token before it is anybody's says nothing about whose it is.
    const first = [eventOf('register', 1, { serial: S1 }), ofBob('register', 2, S2)]
    fc.assert(
      fc.property(people, (events) => {
        const kept = events.filter(({ kind }) => kind !== 'unregister')
        const unlike = [...first, ...kept]
        const alike = unlike.map((event) => ({ ...event, serial: event.serial === S2 ? serialOf('s1') : event.serial }))
        for (const key of [ALICE, BOB]) {
          const names = fold(alike, key).holds.map((name) => (name === 's1' ? 'S2' : name))
          expect(names).toEqual(fold(unlike, key).holds)
        }
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('whatever is mixed', () => {
  const mixed = streams.chain((events) =>
    fc.array(fc.constantFrom('S1', 's1', 'S2'), { minLength: 14, maxLength: 14 }).map((texts) =>
      events.map((event, at) => ({
        ...event,
        serial: event.serial === null ? null : serialOf(texts[at] ?? 'S1'),
        source: texts[(at + 7) % 14] === 'S2' ? ('privacyidea' as const) : event.source,
      })),
    ),
  )

  test('property: the order of arrival means nothing, and each token keeps one spelling', () => {
    fc.assert(
      fc.property(
        mixed.chain((events) =>
          fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })),
        ),
        ([events, shuffled]) => {
          for (const key of [ALICE, BOB]) expect(fold(shuffled, key)).toEqual(fold(events, key))
          const once = oneSpelling(events).events
          expect(oneSpelling(once).events.map(({ serial }) => serial)).toHaveLength(once.length)
        },
      ),
      { numRuns: 5_000 },
    )
  })

  test('property: dropping redundant locks changes no hold', () => {
    fc.assert(
      fc.property(mixed, (events) => {
        const dropped = new Set(redundantLocks(events))
        const kept = events.filter((event) => !dropped.has(event.id))
        for (const key of [ALICE, BOB]) {
          expect(folded(fold(kept, key)).holds).toEqual(folded(fold(events, key)).holds)
        }
      }),
      { numRuns: 20_000 },
    )
  })

  test('property: compaction changes neither serials nor holds', () => {
    fc.assert(
      fc.property(mixed, fc.integer({ min: 1_000, max: 1_014 }), (events, horizonUs) => {
        const { drop, pin } = compactStream(ALICE, events, horizonUs)
        const pinned = new Map(pin.map((each) => [each.id, each.hold]))
        const kept = events
          .filter((event) => !drop.includes(event.id))
          .map((event) => ({ ...event, pinnedHold: pinned.get(event.id) ?? null }))
        const { serials, holds } = fold(events)
        expect(fold(kept)).toMatchObject({ serials, holds })
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('values of the directory', () => {
  const place = { attribute: 'description', multiValued: true, format: 'privacyIDEA:{serial}' }

  test('what stands there in another case is there, and is taken out as it stands there', () => {
    const values = ['works on Tuesdays', 'privacyIDEA:alice1']
    expect(addSerial({ ...place, values }, UPPER)).toBeNull()
    expect(removeSerial({ ...place, values }, UPPER)?.forward).toEqual([
      { op: 'delete', attribute: 'description', values: ['privacyIDEA:alice1'] },
    ])
    const single = { ...place, multiValued: false, values: ['mine privacyIDEA:alice1 too'] }
    expect(addSerial(single, UPPER)).toBeNull()
    expect(removeSerial(single, UPPER)?.forward.at(-1)?.values).toEqual(['mine too'])
  })

  test('of two tokens each is looked for and taken out by itself', () => {
    const values = ['privacyIDEA:alice1']
    expect(removeSerial({ ...place, values, twins: [UPPER, LOWER] }, UPPER)).toBeNull()
    expect(removeSerial({ ...place, values, twins: [UPPER, LOWER] }, LOWER)).not.toBeNull()
  })
})

describe('the plan', () => {
  const desired = {
    serials: [UPPER],
    gone: [],
    movedFrom: {},
    holds: [],
    nextExpiryUs: null,
    heldAtUs: 0,
    heldKnownUs: 0,
  }
  const observed = {
    key: ALICE,
    dn: 'uid=alice' as never,
    serialAttribute: 'description',
    serialAttributeMultiValued: true,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: ['privacyIDEA:alice1'],
    carriedElsewhere: {},
    lock: { state: 'open', other: null, slots: [], effective: { is: 'yes' } },
    protectedBy: null,
  } as const
  const options = { onForeignUnlock: 'respect' } as const
  const planOf = (change: object, seen: object = {}) =>
    plan({ ...desired, ...change }, { ...observed, ...seen }, { lock: null }, options)

  test('a serial that stands there in another case is in step, also where the former spelling is gone', () => {
    expect(planOf({})).toMatchObject({ kind: 'in-step' })
    expect(planOf({ gone: [LOWER] })).toMatchObject({ kind: 'in-step' })
  })

  test('one that stands elsewhere in another case is a conflict, unless it is known to be another token', () => {
    const seen = {
      serialValues: [],
      carriedElsewhere: { [UPPER]: [{ key: BOB, dn: 'uid=bob' as never, spelled: LOWER }] },
    }
    expect(planOf({}, seen)).toMatchObject({ kind: 'conflict' })
    expect(planOf({ twins: [UPPER, LOWER] }, seen)).toMatchObject({ kind: 'change', change: { serial: UPPER } })
  })

  test('one that is gone is taken out under the spelling that stands there, for which its file is named', () => {
    expect(planOf({ serials: [], gone: [UPPER] })).toMatchObject({
      kind: 'change',
      change: { kind: 'unregister', serial: LOWER, holds: [LOWER] },
    })
  })
})
