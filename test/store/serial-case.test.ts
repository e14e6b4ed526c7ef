import { expect, test } from 'vitest'
import type { EventKind } from '../../src/core/events/event.ts'
import { asDn, parseLogin, parseSerial, type AccountKey, type Serial } from '../../src/core/names.ts'
import type { Store } from '../../src/store/store.ts'
import { lockEvent, openTestStore, START_MS, testKey, type TestStore } from './test-store.ts'

/** Rows in any spelling are found, whatever version wrote them, and by an index. */

const [ALICE, BOB] = [testKey(1), testKey(2)]

function serialOf(text: string): Serial {
  const serial = parseSerial(text)
  if (serial === null) throw new Error(`no serial: ${text}`)
  return serial
}

let count = 0

async function happens(store: Store, kind: EventKind, serial: string, key: AccountKey): Promise<void> {
  const login = parseLogin(key === ALICE ? 'alice' : 'bob')
  const event = { ...lockEvent(++count), kind, serial: serialOf(serial), login }
  await store.inbox.take([event], [])
  const [waiting] = (await store.inbox.due(START_MS, 10)).filter(({ id }) => id === event.id)
  if (waiting === undefined) throw new Error('it does not wait')
  const dn = asDn(`uid=${key},dc=example,dc=org`)
  await store.inbox.recordResolutions(
    [{ kind: 'resolved', event: waiting, key, dn, login, realm: null, attributeSerials: [] }],
    0,
  )
}

async function holdsOf(store: Store, key: AccountKey): Promise<string[]> {
  return (await store.desired.of(key, START_MS)).holds.map(({ name }) => name)
}

test('an event finds the account of its serial in any spelling, and marks every account that had one of them', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await happens(store, 'register', 'ALICE1', ALICE)
  expect(await store.inbox.accountOfSerial(serialOf('alice1'))).toMatchObject({ key: ALICE })
  await store.queue.claim(10, START_MS)
  await happens(store, 'register', 'Alice1', BOB)
  expect(opened.raw('select account_key from queue order by account_key')).toMatchObject([
    { account_key: ALICE },
    { account_key: BOB },
  ])
  expect(await store.inbox.accountOfSerial(serialOf('ALICE1'))).toMatchObject({ key: ALICE })
  expect(await store.inbox.accountOfSerial(serialOf('Alice1'))).toMatchObject({ key: BOB })
})

test('an event that waits for its serial wakes when another spelling of it finds its account', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  const event = { ...lockEvent(++count), serial: serialOf('alice1'), login: null }
  await store.inbox.take([event], [])
  const [waiting] = await store.inbox.due(START_MS, 10)
  if (waiting === undefined) throw new Error('it does not wait')
  const againAtMs = START_MS + 60_000
  await store.inbox.recordResolutions(
    [{ kind: 'waiting', event: waiting, code: 'unknown-serial', reason: 'nobody has it', againAtMs, countedMs: 0 }],
    0,
  )
  await happens(store, 'register', 'ALICE1', ALICE)
  expect((await store.inbox.due(START_MS, 10)).map(({ id }) => id)).toEqual([event.id])
})

test('a hold that an older version made in another case ends with its token', async () => {
  await using opened = await openTestStore()
  await happens(opened.store, 'lock', 'alice1', ALICE)
  opened.toVersion(2)
  await using store = await opened.again()
  expect(await holdsOf(store, ALICE)).toEqual(['alice1'])
  await happens(store, 'unlock', 'ALICE1', ALICE)
  expect(await holdsOf(store, ALICE)).toEqual([])
})

test('what is listed and looked for in another case is found', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await happens(store, 'register', 'ALICE1', ALICE)
  await happens(store, 'lock', 'alice1', ALICE)
  expect((await store.reports.find('aLICE1', 5)).map(({ key }) => key)).toEqual([ALICE])
  expect((await store.reports.find('ALICE', 5)).map(({ key }) => key)).toEqual([ALICE])
  expect(await store.reports.serialsOf(ALICE)).toEqual(['ALICE1'])
  expect([...(await store.maintenance.assignedOf(['alice1', 'OTHER']))]).toEqual(['alice1'])
  await happens(store, 'unregister', 'Alice1', ALICE)
  expect(await store.reports.serialsOf(ALICE)).toEqual([])
  expect([...(await store.maintenance.assignedOf(['alice1', 'ALICE1']))]).toEqual([])
})

test('two tokens that differ by case only are one finding, found each by itself, until one is gone', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  const finding = async () => (await store.findings.open()).map(({ kind, reason }) => `${kind}: ${reason}`)
  for (const number of [1, 2, 3, 4, 5, 6, 7]) {
    await happens(store, 'register', `ALICE${number}`, ALICE)
    await happens(store, 'register', `alice${number}`, BOB)
  }
  await store.desired.of(ALICE, START_MS)
  await store.desired.of(BOB, START_MS)
  expect(await finding()).toEqual([
    expect.stringMatching(/^serials-differ-by-case: 7 pairs .*ALICE1 and alice1, ALICE2/),
  ])
  expect((await store.reports.find('alice1', 5)).map(({ key }) => key)).toEqual([BOB])
  expect((await store.reports.find('ALICE1', 5)).map(({ key }) => key)).toEqual([ALICE])
  for (const number of [1, 2, 3, 4, 5, 6, 7]) await happens(store, 'unregister', `alice${number}`, BOB)
  await store.desired.of(ALICE, START_MS)
  expect(await finding()).toEqual([])
})

test('a pair whose events were dropped in time is no finding any more', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await happens(store, 'register', 'ALICE1', ALICE)
  await happens(store, 'register', 'alice1', BOB)
  await store.desired.of(ALICE, START_MS)
  expect(await store.maintenance.checkTwins()).toBe(0)
  opened.raw(`update event set live = 0 where serial = 'alice1'`)
  expect(await store.maintenance.checkTwins()).toBe(1)
  expect(await store.findings.open()).toEqual([])
})

test('rows are found by an index in any spelling, also outside of the hot path', async () => {
  await using opened = await openTestStore()
  const seen = await plansOf(opened, async (store) => {
    await store.inbox.accountOfSerial(serialOf('ALICE1'))
    await store.reports.find('ALICE1', 5)
    await store.reports.serialsOf(ALICE)
    await store.maintenance.assignedOf(['ALICE1', 'alice1'])
    await store.snapshots.tokensLike(serialOf('ALICE1'))
    await store.snapshots.knownOf(ALICE)
    for await (const page of store.snapshots.unreadHolds()) expect(page).toEqual([])
  })
  expect(seen.length).toBeGreaterThan(6)
  expect(seen.filter((step) => /^SCAN (?:event|token)/.test(step))).toEqual([])
})

/** The steps of each query that reads events or tokens by serial. */
async function plansOf(opened: TestStore, work: (store: Store) => Promise<void>): Promise<string[]> {
  const texts: string[] = []
  const { store } = opened
  const adapter = store.db.getExecutor()
  const compile = adapter.compileQuery.bind(adapter)
  adapter.compileQuery = (node, id) => {
    const compiled = compile(node, id)
    if (compiled.sql.includes('lower(') && compiled.sql.startsWith('select')) texts.push(compiled.sql)
    return compiled
  }
  await work(store)
  return texts.flatMap((text) =>
    opened.raw(`explain query plan ${text.replaceAll('?', "'1'")}`).map((row) => String(row['detail'])),
  )
}
