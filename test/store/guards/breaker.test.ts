import { expect, test } from 'vitest'
import { appliedLimits, isLimitSet, type BreakerLimit, type BreakerSettings } from '../../../src/core/guards/breaker.ts'
import type { Change } from '../../../src/core/account/change.ts'
import { asDn, parseDirectoryName, parseRealm } from '../../../src/core/names.ts'
import { must } from '../../simulation/world.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { claimOf, lockEvent, openTestStore, START_MS, testKey, type TestStore } from '../test-store.ts'

/** What the breaker counts, without a directory. */

const HOUR = 3_600_000

function breaker(reset: BreakerSettings['reset'], ...limits: readonly Partial<BreakerLimit>[]): BreakerSettings {
  const all = limits.map((limit) => ({ of: 'all', only: [], max: { locks: 2 }, perMs: HOUR, ...limit }) as const)
  return { limits: all, reset, approvals: 1 }
}

async function open(opened: TestStore, settings: BreakerSettings): Promise<Store> {
  return openStore({ file: opened.file, clock: opened.clock, lockTtlMs: null, breaker: settings, willWrite: true })
}

async function note(store: Store, ...numbers: readonly number[]): Promise<void> {
  const accounts = numbers.map((number) => ({
    key: testKey(number),
    dn: asDn(`uid=u${number},ou=people,dc=example`),
    login: null,
    realm: parseRealm('r1'),
  }))
  await store.snapshots.markForRefresh(accounts)
}

let changes = 0
function lockOf(opened: TestStore, number: number): Change {
  const key = testKey(number)
  const dn = asDn(`uid=u${number},ou=people,dc=example`)
  const nothing = {
    serial: null,
    holds: [],
    forward: [],
    inverse: [],
    slots: [],
    reason: { code: 'no-hold-left', params: {} } as const,
    actor: '',
  }
  return { id: `change-${++changes}`, kind: 'lock', key, dn, ...nothing, plannedAtMs: opened.clock.nowMs() }
}

async function planned(store: Store, change: Change): ReturnType<Store['records']['plan']> {
  return store.records.plan(await claimOf(store, change.key, change.plannedAtMs), change)
}

/** Whether each of the locks may be written, one after the other. */
async function passes(opened: TestStore, store: Store, ...numbers: readonly number[]): Promise<boolean[]> {
  const passed = []
  for (const number of numbers) passed.push((await planned(store, lockOf(opened, number))) === null)
  return passed
}

test('a lock that was not written after all leaves its place to another, and so does one that is an hour old', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('auto', {}))
  await note(store, 1, 2, 3, 4)
  const change = lockOf(opened, 1)
  const claim = await claimOf(store, change.key)
  expect(await store.records.plan(claim, change)).toBeNull()
  expect(await passes(opened, store, 2)).toEqual([true])
  expect(await planned(store, lockOf(opened, 3))).toMatchObject({ againAtMs: START_MS + HOUR + 1 })
  await store.records.close(claim, change, 'not-applied', null)
  expect(await passes(opened, store, 3, 4)).toEqual([true, false])
  opened.clock.setMs(START_MS + HOUR + 1)
  expect(await passes(opened, store, 4)).toEqual([true])
})

test('two that are opened beside each other, and one that is opened later, count together', async () => {
  await using opened = await openTestStore()
  await using first = await open(opened, breaker('auto', {}))
  await using second = await open(opened, breaker('auto', {}))
  await note(first, 1, 2, 3)
  expect([await passes(opened, first, 1), await passes(opened, second, 2)]).toEqual([[true], [true]])
  expect(await passes(opened, first, 3)).toEqual([false])
  await using later = await open(opened, breaker('auto', {}))
  expect(await passes(opened, later, 3)).toEqual([false])
})

test('a share is measured by the accounts that were known before the window, not by those that an attack names', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('auto', { of: 'directory', max: { share: 0.1 } }))
  const known = Array.from({ length: 60 }, (_, at) => at)
  await note(store, ...known)
  opened.clock.setMs(START_MS + 2 * HOUR)
  const named = Array.from({ length: 200 }, (_, at) => 100 + at)
  await note(store, ...named)
  const passed = await passes(opened, store, ...named)
  expect(passed.filter((each) => each)).toHaveLength(6)
  expect((await store.findings.open()).map(({ kind, subject }) => [kind, subject])).toEqual([
    ['breaker', 'directory corp 10 %/3600000'],
  ])
})

test('closed by hand it lets nothing pass when its window is over, and counts from nothing when it is resumed', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('manual', {}))
  await note(store, 1, 2, 3, 4)
  expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
  opened.clock.setMs(START_MS + 5 * HOUR)
  expect(await planned(store, lockOf(opened, 4))).toMatchObject({ againAtMs: null })
  expect(await store.reviews.resume({ person: 'anna', reason: 'x' })).toBe(2)
  expect(await passes(opened, store, 3, 4)).toEqual([true, true])
  expect(await store.findings.open()).toEqual([])
})

test('an approved lock passes a limit that was reached, and takes nobody’s place', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('auto', { perMs: HOUR }, { of: 'realm', max: { locks: 1 } }))
  await note(store, 1, 2)
  expect(await passes(opened, store, 1, 2)).toEqual([true, false])
  const word = { person: 'anna', reason: 'x' }
  expect(await store.reviews.approve([testKey(2)], word)).toMatchObject({ approved: [testKey(2)] })
  expect(await passes(opened, store, 2)).toEqual([true])
  expect(opened.raw('select counted from lock_count order by counted')).toEqual([
    { counted: 'all' },
    { counted: 'realm r1' },
  ])
})

test('when the limits changed, what waits is told under the one that holds it back now', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('auto', {}))
  await note(store, 1, 2, 3, 4, 5)
  expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
  await using changed = await open(opened, breaker('auto', { max: { locks: 1 } }))
  expect(await passes(opened, changed, 3)).toEqual([false])
  expect((await changed.findings.open()).map(({ subject }) => subject)).toEqual(['all 1/3600000'])
})

test('a limit that is reached again and again within minutes is told once, and again when it was quiet in between', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('auto', { perMs: 24 * HOUR }))
  await note(store, 1, 2, 3)
  await passes(opened, store, 1, 2)
  const word = { person: 'anna', reason: 'x' }
  const reachedAndRejected = async (): Promise<number> => {
    expect(await passes(opened, store, 3)).toEqual([false])
    const told = await store.findings.untold()
    await store.findings.reported(told)
    const event = {
      ...lockEvent(++changes),
      kind: 'release',
      accountKey: testKey(3),
      attributeSerials: [],
      pinnedHold: null,
    } as const
    expect(await store.reviews.reject([event], word)).toEqual([testKey(3)])
    expect(await store.findings.open()).toEqual([])
    return told.length
  }
  expect(await reachedAndRejected()).toBe(1)
  opened.clock.setMs(START_MS + 60_000)
  expect(await reachedAndRejected()).toBe(0)
  opened.clock.setMs(START_MS + HOUR)
  expect(await reachedAndRejected()).toBe(1)
})

const DECISION = { person: 'anna', reason: 'x' }

function use(store: Store, settings: BreakerSettings | null): Promise<void> {
  return store.use({ lockTtlMs: null, breaker: settings })
}

const reviewsOf = async (store: Store): Promise<unknown> =>
  (await store.reviews.list({ limit: 10 })).map(({ state, approvedBy }) => [state, approvedBy])

test('a lock that one person approved waits again where two have to by now, and passes by the second', async () => {
  await using opened = await openTestStore()
  const one = breaker('auto', {})
  await using store = await open(opened, one)
  await note(store, 1, 2, 3)
  expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
  expect(await store.reviews.approve([testKey(3)], DECISION)).toMatchObject({ approved: [testKey(3)] })
  await use(store, { ...one, approvals: 2 })
  expect(await reviewsOf(store)).toEqual([['waiting', ['anna']]])
  expect(await store.reviews.counts()).toMatchObject({ waiting: 1, approved: 0 })
  expect(await passes(opened, store, 3)).toEqual([false])
  expect(await store.reviews.approve([testKey(3)], DECISION)).toMatchObject({ again: [testKey(3)] })
  expect(await store.reviews.approve([testKey(3)], { ...DECISION, person: 'ben' })).toMatchObject({
    approved: [testKey(3)],
  })
  expect(await passes(opened, store, 3)).toEqual([true])
})

test('a lock that one of two persons approved passes once one is enough', async () => {
  await using opened = await openTestStore()
  const one = breaker('auto', {})
  await using store = await open(opened, { ...one, approvals: 2 })
  await note(store, 1, 2, 3)
  expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
  expect(await store.reviews.approve([testKey(3)], DECISION)).toMatchObject({ short: [testKey(3)] })
  expect(await passes(opened, store, 3)).toEqual([false])
  await use(store, one)
  expect(await reviewsOf(store)).toEqual([['approved', ['anna']]])
  expect(await passes(opened, store, 3)).toEqual([true])
})

async function rejected(store: Store, number: number): Promise<void> {
  const accountKey = testKey(number)
  const event = {
    ...lockEvent(++changes),
    kind: 'release',
    accountKey,
    attributeSerials: [],
    pinnedHold: null,
  } as const
  expect(await store.reviews.reject([event], DECISION)).toEqual([accountKey])
}

const found = async (store: Store): Promise<string[]> => (await store.findings.open()).map(({ subject }) => subject)

test('what was found of a limit ends when it is set no more, or when nothing waits and no person has to say so', async () => {
  const changesOf: readonly (BreakerSettings | null)[] = [
    null,
    breaker('auto', { max: { locks: 50 } }),
    breaker('manual', { max: { locks: 50 } }),
    breaker('manual', { of: 'directory' }),
    breaker('auto', {}),
  ]
  for (const change of changesOf) {
    await using opened = await openTestStore()
    await using store = await open(opened, breaker('manual', {}))
    await note(store, 1, 2, 3)
    expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
    await rejected(store, 3)
    expect(await found(store)).toEqual(['all 2/3600000'])
    await use(store, change)
    expect(await found(store)).toEqual([])
  }
})

test('a limit that a person has to open stays closed when others are changed, and what waits keeps its finding', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened, breaker('manual', {}))
  await note(store, 1, 2, 3, 4)
  expect(await passes(opened, store, 1, 2, 3)).toEqual([true, true, false])
  await use(store, breaker('manual', {}, { of: 'realm', max: { locks: 9 } }))
  expect(await found(store)).toEqual(['all 2/3600000'])
  await use(store, breaker('auto', {}))
  const [finding] = await store.findings.open()
  expect(finding?.params).toMatchObject({ until: 'review-or-room' })
  await rejected(store, 3)
  expect(await found(store)).toEqual([])
})

test('the id of a limit is that of the limits that make it, and of no others', () => {
  const subject = { directory: must(parseDirectoryName('corp')), realm: parseRealm('r1'), dn: asDn('uid=a,ou=X,dc=e') }
  const limits = breaker(
    'auto',
    {},
    { max: { share: 0.1 } },
    { of: 'directory', only: ['corp'] },
    { of: 'realm' },
    { of: 'ou' },
    { of: 'ou', only: ['OU=x,dc=e'] },
    { of: 'ou', max: { share: 0.125 } },
  ).limits
  for (const limit of limits) {
    const one = { ...breaker('auto'), limits: [limit] }
    const [applied] = appliedLimits(one, subject)
    const id = must(applied?.id ?? null)
    expect([isLimitSet(one, id), isLimitSet(breaker('auto', { max: { locks: 3 } }), id)]).toEqual([true, false])
    expect(isLimitSet({ ...one, limits: [{ ...limit, perMs: 1 }] }, id)).toBe(false)
  }
  expect(isLimitSet(breaker('auto', { of: 'directory', only: ['leg'] }), 'directory corp 2/3600000')).toBe(false)
})
