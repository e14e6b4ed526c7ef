import { afterEach, expect, test } from 'vitest'
import type { BreakerSettings } from '../../../src/core/guards/breaker.ts'
import type { AccountKey } from '../../../src/core/names.ts'
import type { Settings } from '../../../src/core/settings/settings.ts'
import { detailsOf } from '../../../src/operations/accounts/details.ts'
import { openLog } from '../../../src/app/log.ts'
import { decide } from '../../../src/operations/accounts/review.ts'
import type { System } from '../../../src/app/system.ts'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import { ApiWorld, MAX_FAILURES } from '../source/api-world.ts'

/** An approval lets one lock be written, once. */

const USERS = 4
const LOCKS_MAX = 2

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

function breaker(approvals: number): BreakerSettings {
  return { limits: [{ of: 'all', only: [], max: { locks: LOCKS_MAX }, perMs: 3_600_000 }], reset: 'auto', approvals }
}

interface Site {
  readonly world: ApiWorld
  /** Its lock waits. */
  readonly held: AccountKey
  readonly token: SimToken
}

/** Everybody's token is full; two are locked, and two wait. */
async function site(approvals: number): Promise<Site> {
  const world = await ApiWorld.open({ breaker: breaker(approvals) })
  worlds.push(world)
  const keys = Array.from({ length: USERS }, (_, at) => world.addUser(`u${at}`))
  const tokens = keys.map((key, at) => world.addToken(`S${at}`, key))
  await world.resync()
  for (const token of tokens) token.failcount = MAX_FAILURES
  await world.scan()
  expect(world.locks()).toBe(LOCKS_MAX)
  const [review] = await world.store.reviews.list({ limit: USERS })
  const at = keys.findIndex((key) => key === review?.key)
  const [held, token] = [keys[at], tokens[at]]
  if (held === undefined || token === undefined) throw new Error('no lock waits')
  return { world, held, token }
}

async function approve({ world, held }: Site, person: string) {
  const result = await world.store.reviews.approve([held], { person, reason: 'seen it' })
  await world.settle()
  return { approved: result.approved.length, short: result.short.length, again: result.again.length }
}

function isLocked({ world, held }: Site): boolean {
  return world.directory.account(held).lockValues.length > 0
}

async function records({ world, held }: Site, kind: string): Promise<number> {
  const rows = await world.store.reports.journal({ limit: 1_000 })
  return rows.filter((row) => row.kind === kind && row.subject === held).length
}

async function changes({ world }: Site, key: AccountKey): Promise<number> {
  const all = await world.store.reports.changes({ sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER, limit: 1_000 })
  return all.filter(({ account, kind }) => account === key && kind === 'lock').length
}

test('who approved a lock, and why, is in the timeline of its account', async () => {
  const one = await site(2)
  await approve(one, 'anna')
  await approve(one, 'bert')
  const { matches } = await detailsOf(
    { directories: [], realms: {}, privacyidea: null } as unknown as Settings,
    one.world.store,
    one.held,
  )
  const details = matches[0]?.found
  const decided = details?.timeline.filter(({ what }) => what === 'lock approved')
  expect(decided).toMatchObject([{ actor: 'anna', details: 'seen it', reasonCode: 'manual' }, { actor: 'bert' }])
})

test('an approval that is given again after it was used does nothing', async () => {
  const one = await site(1)
  expect(await approve(one, 'anna')).toEqual({ approved: 1, short: 0, again: 0 })
  expect(isLocked(one)).toBe(true)
  for (const person of ['anna', 'bert']) {
    expect(await approve(one, person)).toEqual({ approved: 0, short: 0, again: 0 })
  }
  expect([await records(one, 'approved'), await changes(one, one.held)]).toEqual([1, 1])
})

test('an approval that was used does not let the account’s next lock pass', async () => {
  const one = await site(1)
  await approve(one, 'anna')
  one.token.failcount = 0
  await one.world.scan()
  expect(isLocked(one)).toBe(false)
  one.token.failcount = MAX_FAILURES
  await one.world.scan()
  expect(isLocked(one)).toBe(false)
  const [review] = await one.world.store.reviews.list({ limit: USERS, keys: [one.held] })
  expect(review).toMatchObject({ state: 'waiting', approvedBy: [] })
})

test('an approval of a lock that is no longer wanted does nothing, and does not count for a later one', async () => {
  const one = await site(2)
  expect(await approve(one, 'anna')).toEqual({ approved: 0, short: 1, again: 0 })
  one.token.failcount = 0
  await one.world.scan()
  expect(await approve(one, 'bert')).toEqual({ approved: 0, short: 0, again: 0 })
  one.token.failcount = MAX_FAILURES
  await one.world.scan()
  expect(await approve(one, 'bert')).toEqual({ approved: 0, short: 1, again: 0 })
  expect(isLocked(one)).toBe(false)
  expect(await approve(one, 'anna')).toEqual({ approved: 1, short: 0, again: 0 })
  expect([isLocked(one), await changes(one, one.held)]).toEqual([true, 1])
})

test('an order for many at once that does not say whether it means locks or losses decides neither, where both wait', async () => {
  const one = await site(1)
  const { store, clock } = one.world
  const waits = { loss: 'waiting', loss_ms: clock.nowMs(), loss_why: 'unlisted' } as const
  await store.db.updateTable('token').set(waits).where('account_key', '=', one.held).execute()
  const all = { keys: null, realm: null, directory: null, kind: null }
  const word = { person: 'anna', reason: 'a real attack' }
  const log = openLog({ write: () => true }, false)
  const order = decide({ store } as unknown as System, 'approve', all, word, log)
  await expect(order).rejects.toMatchObject({ code: 'usage', hint: expect.stringContaining('--kind lock') })
  expect(await store.reviews.counts()).toMatchObject({ waiting: USERS - LOCKS_MAX, approved: 0 })
  expect(await store.losses.counts()).toMatchObject({ waiting: 1, approved: 0 })
})
