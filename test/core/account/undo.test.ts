import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareEvents, type ResolvedEvent } from '../../../src/core/events/event.ts'
import { foldEvents } from '../../../src/core/account/fold.ts'
import { parseDirectoryName, parseLogin, type AccountKey, type Serial } from '../../../src/core/names.ts'
import { undoing, ordersFor, type DoneChange, type UndoView } from '../../../src/core/account/undo.ts'
import { isCarriedOut, type UndoStep } from '../../../src/operations/accounts/undo.ts'
import { ALICE, BOB, eventOf, S1, streams } from '../arbitrary.ts'

const NOW_US = 1_000_000
const OPTIONS = { nowUs: NOW_US, lockTtlUs: null }
const LATER_US = 2_000_000

function view(events: readonly ResolvedEvent[], changes: Partial<UndoView> = {}): UndoView {
  const login = parseLogin('alice')
  const ownerElsewhere = (serial: Serial): AccountKey | null =>
    foldEvents(BOB, events, OPTIONS).serials.includes(serial) ? BOB : null
  return {
    key: ALICE,
    lockedByUs: false,
    retired: null,
    login,
    events,
    nowUs: NOW_US,
    lockTtlUs: null,
    ownerElsewhere,
    ...changes,
  }
}

function done(kind: string, changes: Partial<DoneChange> = {}): DoneChange {
  return { id: 'c1', kind, serial: null, holds: [], ends: {}, ...changes }
}

function said(change: DoneChange, seen: UndoView): ResolvedEvent[] {
  let ids = 0
  const saying = { actor: 'root', takenAtUs: LATER_US, newId: () => String(++ids) }
  return ordersFor(undoing(change, seen), change, seen, saying)
}

const holdsOf = (events: readonly ResolvedEvent[]): unknown =>
  foldEvents(ALICE, events, OPTIONS)
    .holds.map(({ name, kind, serial, untilUs }) => ({ name, kind, serial, untilUs }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))

describe('the undo of an unlock', () => {
  test('brings back the very holds that a release ended, whatever came before; a second time there is nothing to do', () => {
    fc.assert(
      fc.property(streams, (events) => {
        const { holds } = foldEvents(ALICE, events, OPTIONS)
        const released = [...events, eventOf('release', 500_000)]
        const change = done('unlock', { holds: holds.map(({ name }) => name) })
        const seen = view(released)
        const { holds: back, skipped } = undoing(change, seen)
        const after = [...released, ...said(change, seen)]
        // Those of a token that is gone or elsewhere stay away; all others are as they were.
        const before = holdsOf(events) as { name: string; serial: string | null }[]
        const isAway = (serial: string | null): boolean => {
          const newest = events
            .filter((event) => event.serial === serial && (event.kind === 'register' || event.kind === 'unregister'))
            .toSorted(compareEvents)
            .at(-1)
          return serial !== null && (newest?.kind === 'unregister' || newest?.accountKey === BOB)
        }
        expect(holdsOf(after)).toEqual(before.filter(({ serial }) => !isAway(serial)))
        expect(skipped === null).toBe(back.length > 0)
        expect(said(change, view(after))).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })

  test('keeps the end of a person’s hold, and leaves alone one whose end has come', () => {
    const name = 'manual.0123456789abcdef'
    const still = done('unlock', { holds: [name], ends: { [name]: NOW_US + 5 } })
    expect(said(still, view([]))).toMatchObject([{ kind: 'hold', pinnedHold: name, untilUs: NOW_US + 5 }])
    const over = done('unlock', { holds: [name], ends: { [name]: NOW_US } })
    expect(undoing(over, view([]))).toMatchObject({ holds: [], skipped: { code: 'hold-ended', params: {} } })
  })

  test('is left alone where the account is locked by us again', () => {
    expect(undoing(done('unlock', { holds: ['S1'] }), view([], { lockedByUs: true }))).toMatchObject({
      skipped: { code: 'locked-again', params: {} },
    })
  })
})

describe('the undo of a registration', () => {
  test('says what it ends: nothing, one hold of several, or the last one', () => {
    const registered = eventOf('register', 1, { serial: S1 })
    const locked = eventOf('lock', 2, { serial: S1 })
    const held = eventOf('hold', 3)
    const change = done('register', { serial: S1 })
    expect(undoing(change, view([registered]))).toMatchObject({ action: 'remove serial', holds: [] })
    expect(undoing(change, view([registered, locked, held]))).toMatchObject({
      action: 'remove serial, and end its hold',
      holds: [S1],
    })
    expect(undoing(change, view([registered, locked]))).toMatchObject({
      action: 'remove serial, and unlock',
      holds: [S1],
    })
  })
})

test.each(['lock', 'unlock', 'register', 'unregister'])(
  'the undo of %s is left alone in a retired directory',
  (kind) => {
    const retired = parseDirectoryName('corp')
    const change = done(kind, { serial: kind.endsWith('register') ? S1 : null, holds: ['S1'] })
    const events = [eventOf('register', 1, { serial: S1 }), eventOf('lock', 2, { serial: S1 })]
    expect(undoing(change, view(events, { retired, lockedByUs: kind === 'lock' })).skipped).toEqual({
      code: 'directory-retired',
      params: { directory: 'corp' },
    })
  },
)

describe('what an undo ordered is carried out', () => {
  const change = (kind: string, serial: string | null): UndoStep['change'] =>
    ({ account: 'corp/a', kind, serial }) as UndoStep['change']
  const removal = { action: 'remove serial, and end its hold', change: change('register', 'S1') } as const
  const notLocked = { lockedByUs: false, standing: 'protected' }

  test('although a hold is left that a guard keeps from locking', () => {
    expect(isCarriedOut(removal, notLocked, { isSettled: true, changes: [] })).toBe(true)
    const removed = { account: 'corp/a', kind: 'unregister', serial: 's1' }
    expect(
      isCarriedOut(removal, { lockedByUs: false, standing: 'breaker' }, { isSettled: true, changes: [removed] }),
    ).toBe(true)
  })

  test('but not while it was not looked at since, or its own write is held back', () => {
    expect(isCarriedOut(removal, notLocked, { isSettled: false, changes: [] })).toBe(false)
    expect(isCarriedOut(removal, { ...notLocked, standing: 'paused' }, { isSettled: true, changes: [] })).toBe(false)
    const locking = { action: 'lock', change: change('unlock', null) } as const
    expect(isCarriedOut(locking, notLocked, { isSettled: true, changes: [] })).toBe(false)
    const unlocking = { action: 'remove serial, and unlock', change: change('register', 'S1') } as const
    const still = { lockedByUs: true, standing: 'protected' }
    expect(isCarriedOut(unlocking, still, { isSettled: true, changes: [] })).toBe(false)
  })
})
