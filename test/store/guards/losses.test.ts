import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BreakerSettings } from '../../../src/core/guards/breaker.ts'
import type { LossBreakerSettings } from '../../../src/core/guards/loss-breaker.ts'
import { lossesAllowed } from '../../../src/core/guards/loss-breaker.ts'
import { asDn, parseSerial, type Serial } from '../../../src/core/names.ts'
import type { Loss } from '../../../src/ports/store/store.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { must } from '../../simulation/world.ts'
import { openTestStore, START_MS, testKey, type TestStore } from '../test-store.ts'

/** What the breaker of losses counts, without a privacyIDEA. */

const MINUTE = 60_000
const SETTINGS: LossBreakerSettings = { maxLosses: 3, share: 1, perMs: 10 * MINUTE, reset: 'manual' }
const DECISION = { person: 'anna', reason: 'x' }

function open(opened: TestStore, change: Partial<LossBreakerSettings> | null = {}): Promise<Store> {
  const lossBreaker = change === null ? null : { ...SETTINGS, ...change }
  return openStore({ file: opened.file, clock: opened.clock, lockTtlMs: null, lossBreaker, willWrite: true })
}

const serialOf = (number: number): Serial => must(parseSerial(`S${number}`))
const lossOf = (number: number): Loss => ({ serial: serialOf(number), cause: 'not-listed' })

/** Each account with one token, as a reading lists it. */
async function list(store: Store, ...numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const [key, serial] = [testKey(number), serialOf(number)]
    await store.snapshots.markForRefresh([{ key, dn: asDn(`uid=u${number},dc=example`), login: null, realm: null }])
    const snapshot = { tokens: [{ serial, isLocked: false }], gone: [], lockout: 'unknown' as const }
    await store.snapshots.record(key, { user: null, snapshot, reset: [], events: [], hadLosses: true }, null)
  }
}

/** Whether each loss may be recorded, one after the other; those that may are. */
async function passes(store: Store, ...numbers: readonly number[]): Promise<boolean[]> {
  const passed: boolean[] = []
  for (const number of numbers) {
    const key = testKey(number)
    const { waiting, dismissed } = await store.snapshots.passLosses(key, [lossOf(number)], null)
    const stays = waiting.length + dismissed.length > 0
    passed.push(!stays)
    if (stays) continue
    const snapshot = { tokens: [], gone: [serialOf(number)], lockout: 'unknown' as const }
    await store.snapshots.record(key, { user: null, snapshot, reset: [], events: [], hadLosses: true }, null)
  }
  return passed
}

test('two processes that find losses at the same time count together, and so does one that starts later', async () => {
  await using opened = await openTestStore()
  await using first = await open(opened)
  await using second = await open(opened)
  const numbers = Array.from({ length: 40 }, (_, at) => at)
  await list(first, ...numbers)
  const asked = numbers.map((number) => {
    return (number % 2 === 0 ? first : second).snapshots.passLosses(testKey(number), [lossOf(number)], null)
  })
  const passed = (await Promise.all(asked)).filter(({ waiting }) => waiting.length === 0)
  expect(passed).toHaveLength(SETTINGS.maxLosses)
  await using later = await open(opened)
  await list(later, 50)
  expect(await passes(later, 50)).toEqual([false])
})

test('a reading that died between the count and its record is not counted twice', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3, 4)
  for (let tries = 0; tries < 5; tries++) {
    expect(await store.snapshots.passLosses(testKey(1), [lossOf(1)], null)).toMatchObject({
      waiting: [],
      dismissed: [],
    })
  }
  expect(await passes(store, 1, 2, 3, 4)).toEqual([true, true, true, false])
})

test('a loss that was counted passes once more after a crash, although the limit is reached meanwhile', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3)
  await store.snapshots.passLosses(testKey(1), [lossOf(1)], null)
  expect(await passes(store, 2, 3)).toEqual([true, true])
  expect(await passes(store, 1)).toEqual([true])
})

test('within no window more tokens pass than the limit allows, whatever comes in which order', async () => {
  const seed = process.env['LOCKSTEP_SEED'] === 'random' ? Date.now() : 20_261_130
  const step = fc.record({
    number: fc.integer({ min: 0, max: 11 }),
    afterMs: fc.constantFrom(0, 1_000, MINUTE, 9 * MINUTE, 11 * MINUTE),
    what: fc.constantFrom('lose', 'lose', 'lose', 'list', 'restart', 'dismiss'),
  })
  const run = async (steps: readonly { number: number; afterMs: number; what: string }[], reset: 'auto' | 'manual') => {
    await using opened = await openTestStore()
    let store = await open(opened, { reset })
    try {
      await list(store, ...Array.from({ length: 12 }, (_, at) => at))
      const listed = new Set(Array.from({ length: 12 }, (_, at) => at))
      let nowMs = START_MS
      const passed: { readonly ms: number; readonly number: number }[] = []
      for (const { number, afterMs, what } of steps) {
        opened.clock.setMs((nowMs += afterMs))
        if (what === 'restart') {
          await store[Symbol.asyncDispose]()
          store = await open(opened, { reset })
        } else if (what === 'list') {
          await list(store, number)
          listed.add(number)
        } else if (what === 'dismiss') await store.losses.dismiss([serialOf(number)], DECISION)
        else if (listed.has(number) && (await passes(store, number))[0] === true) {
          passed.push({ ms: nowMs, number })
          listed.delete(number)
        }
      }
      for (const { ms } of passed) {
        const within = passed.filter((each) => each.ms >= ms && each.ms < ms + SETTINGS.perMs)
        expect(new Set(within.map((each) => each.number)).size).toBeLessThanOrEqual(SETTINGS.maxLosses)
      }
      const openFindings = (await store.findings.open()).length
      expect(openFindings).toBe((await store.losses.counts()).waiting > 0 ? 1 : 0)
    } finally {
      await store[Symbol.asyncDispose]()
    }
  }
  const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom('auto', 'manual'), run)
  await fc.assert(property, { seed, numRuns: 15 })
})

test('the smaller of number and share counts, a share is never less than five', () => {
  const allowed = (maxLosses: number, share: number, known: number): number =>
    lossesAllowed({ ...SETTINGS, maxLosses, share }, known)
  expect([allowed(20, 0.1, 8), allowed(20, 0.1, 120), allowed(20, 0.1, 10_000), allowed(3, 0.1, 8)]).toEqual([
    5, 12, 20, 3,
  ])
})

test('switched off, what waited is no longer known to be lost, and the finding has ended', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3, 4, 5)
  expect(await passes(store, 1, 2, 3, 4, 5)).toEqual([true, true, true, false, false])
  await using without = await open(opened, null)
  await without.use({ lockTtlMs: null, lossBreaker: null })
  expect(await without.losses.counts()).toMatchObject({ waiting: 0 })
  expect(await without.findings.open()).toEqual([])
  expect(await passes(without, 4, 5)).toEqual([true, true])
})

test('a serial that another account lost waits no more once it is listed there', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3, 4)
  expect(await passes(store, 1, 2, 3, 4)).toEqual([true, true, true, false])
  const snapshot = { tokens: [{ serial: serialOf(4), isLocked: false }], gone: [], lockout: 'unknown' as const }
  const register = {
    id: 'r',
    kind: 'register',
    serial: serialOf(4),
    login: null,
    realm: null,
    actor: '',
    takenAtUs: START_MS * 1000,
    source: 'privacyidea',
    reason: null,
    untilUs: null,
    accountKey: testKey(9),
    attributeSerials: [],
    pinnedHold: null,
  } as const
  await store.snapshots.record(testKey(9), { user: null, snapshot, reset: [], events: [register] }, null)
  expect([await store.losses.list({ limit: 10 }), await store.findings.open()]).toEqual([[], []])
})

test('a store of before has counted nothing, and holds nothing back', async () => {
  await using opened = await openTestStore()
  await list(opened.store, 1, 2)
  opened.toVersion(2)
  await using store = await open(opened)
  expect([await store.losses.counts(), opened.raw('select * from loss_count')]).toEqual([
    { waiting: 0, approved: 0, dismissed: 0, oldestMs: null },
    [],
  ])
})

const BREAKER: BreakerSettings = {
  limits: [{ of: 'all', only: [], max: { locks: 9 }, perMs: MINUTE }],
  reset: 'auto',
  approvals: 1,
}

function use(store: Store, approvals: number, change: Partial<LossBreakerSettings> = {}): Promise<void> {
  const lossBreaker = { ...SETTINGS, ...change }
  return store.use({ lockTtlMs: null, breaker: { ...BREAKER, approvals }, lossBreaker })
}

const stateOf = async (store: Store): Promise<unknown> =>
  (await store.losses.list({ limit: 10 })).map(({ state, approvedBy }) => [state, approvedBy])

test('a loss that one person approved waits again where two have to by now, and passes by the second', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3, 4, 5)
  expect(await passes(store, 1, 2, 3, 4)).toEqual([true, true, true, false])
  expect(await store.losses.approve([serialOf(4)], DECISION)).toMatchObject({ approved: 1 })
  expect(await store.findings.open()).toEqual([])
  await use(store, 2)
  expect(await stateOf(store)).toEqual([['waiting', ['anna']]])
  expect(await store.losses.counts()).toMatchObject({ waiting: 1, approved: 0 })
  expect((await store.findings.open()).map(({ kind }) => kind)).toEqual(['losses-held-back'])
  opened.clock.setMs(START_MS + 60 * MINUTE)
  expect(await passes(store, 4)).toEqual([false])
  expect(await stateOf(store)).toEqual([['waiting', ['anna']]])
  expect(await store.losses.approve([serialOf(4)], { person: 'ben', reason: 'x' })).toMatchObject({ approved: 1 })
  expect(await passes(store, 4)).toEqual([true])
})

test('a loss that one of two persons approved passes once one is enough', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await use(store, 2)
  await list(store, 1, 2, 3, 4)
  expect(await passes(store, 1, 2, 3, 4)).toEqual([true, true, true, false])
  expect(await store.losses.approve([serialOf(4)], DECISION)).toMatchObject({ approved: 0, short: 1 })
  expect(await passes(store, 4)).toEqual([false])
  await use(store, 1)
  expect(await stateOf(store)).toEqual([['approved', ['anna']]])
  expect(opened.raw('select account_key from queue where hinted = 1')).toContainEqual({ account_key: testKey(4) })
  expect(await passes(store, 4)).toEqual([true])
})

test('the finding of losses ends when its limit is set no more, and what waited is counted by the new one', async () => {
  await using opened = await openTestStore()
  await using store = await open(opened)
  await list(store, 1, 2, 3, 4, 5)
  expect(await passes(store, 1, 2, 3, 4, 5)).toEqual([true, true, true, false, false])
  await use(store, 1)
  expect(await store.findings.open()).toHaveLength(1)
  await use(store, 1, { maxLosses: 4 })
  expect(await store.findings.open()).toEqual([])
  expect(await passes(store, 4, 5)).toEqual([true, false])
  expect((await store.findings.open()).map(({ params }) => params)).toEqual([expect.objectContaining({ allowed: 4 })])
})
