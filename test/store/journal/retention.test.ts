import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { utcStamp } from '../../../src/core/ldif.ts'
import { asDn, type AccountKey } from '../../../src/core/names.ts'
import type { Event } from '../../../src/core/events/event.ts'
import type { Settings } from '../../../src/core/settings/settings.ts'
import { keepBounded } from '../../../src/daemon/housekeeping.ts'
import { makeFolders } from '../../../src/ldif/layout.ts'
import { claimOf, lockEvent, openTestStore, START_MS, testKey, type TestStore } from '../test-store.ts'

/** A service of many days: what is kept stops growing, and says the same as before. */

const DAY_MS = 86_400_000
const ACCOUNTS = 4
const EVENTS_A_DAY = 4
const CONFIG = `directories:
  corp:
    type: openldap
    urls: [ldap://127.0.0.1]
    bindDn: cn=lockstep,dc=example,dc=org
    bindPasswordFile: /nonexistent/password
    base: dc=example,dc=org
    userFilter: (uid={login})
    serialAttribute: description
    serialFormat: 'privacyIDEA:{serial}'
intake: { spool: SPOOL }
ldif: { dir: LDIF }
retention: { RETENTION }
`

let numbers = 0

async function happens(opened: TestStore, key: AccountKey, kind: Event['kind'], serial: string): Promise<void> {
  const event = { ...lockEvent(++numbers, opened.clock.nowMs()), kind, serial: lockEvent(Number(serial)).serial }
  const { store } = opened
  await store.inbox.take([event], [])
  const dn = asDn(`uid=${key},dc=example,dc=org`)
  await store.inbox.recordResolutions(
    [{ kind: 'resolved', event, key, dn, login: event.login, realm: null, attributeSerials: [] }],
    0,
  )
}

async function aDay(opened: TestStore, day: number): Promise<void> {
  for (let account = 0; account < ACCOUNTS; account++) {
    const key = testKey(account)
    for (let count = 0; count < EVENTS_A_DAY; count++) {
      opened.clock.setMs(opened.clock.nowMs() + 60_000)
      const kind = day === 0 && count === 0 ? 'register' : count % 2 === 0 ? 'unlock' : 'lock'
      await happens(opened, key, kind, String(account))
    }
    const id = `change-${day}-${account}`
    const change = {
      id,
      kind: 'lock',
      key,
      dn: asDn('uid=x'),
      serial: null,
      holds: [],
      forward: [],
      inverse: [],
      slots: [],
      reason: { code: 'no-hold-left', params: {} } as const,
      actor: '',
      plannedAtMs: opened.clock.nowMs(),
    } as const
    const claim = await claimOf(opened.store, key, opened.clock.nowMs())
    await opened.store.records.plan(claim, change)
    await opened.store.records.close(claim, change, 'applied', null)
  }
}

function settingsOf(dir: string, retention: string, more = ''): Settings {
  const file = join(dir, 'lockstep.yaml')
  const paths = CONFIG.replace('SPOOL', join(dir, 'spool')).replace('LDIF', join(dir, 'ldif'))
  writeFileSync(file, `${paths.replace('RETENTION', retention)}${more}\n`)
  makeFolders(join(dir, 'ldif'))
  return loadConfig({ flag: file, env: {}, cwd: dir }).settings
}

test('events, changes, journal, archives and history files stop growing, and the state stays as it was', async () => {
  await using opened = await openTestStore()
  const ldif = join(opened.dir, 'ldif')
  const settings = settingsOf(opened.dir, 'events: 5d, journal: 5d, journalRecords: 100000, history: 10d')
  const sizes = (): Record<string, number> => ({
    events: count(opened, 'event'),
    changes: count(opened, 'change'),
    journal: count(opened, 'journal'),
    archives: readdirSync(join(opened.dir, 'journal-archive')).length,
    history: readdirSync(join(ldif, 'lock/history')).length,
  })
  const states = async (): Promise<unknown[]> => {
    const desired = await Promise.all(
      Array.from({ length: ACCOUNTS }, (_, at) => opened.store.desired.of(testKey(at), opened.clock.nowMs())),
    )
    return desired.map(({ serials, holds }) => ({ serials, holds: holds.map(({ name }) => name) }))
  }
  mkdirSync(join(opened.dir, 'journal-archive'))
  const measured: Record<string, number>[] = []
  for (let day = 0; day < 40; day++) {
    opened.clock.setMs(START_MS + day * DAY_MS)
    await aDay(opened, day)
    const name = `SER1--${utcStamp(opened.clock.nowMs())}.ldif`
    writeFileSync(join(ldif, 'lock/history', name), 'version: 1\n')
    const before = await states()
    await keepBounded(settings, opened.store, opened.clock)
    expect(await states(), `day ${day}`).toEqual(before)
    measured.push(sizes())
  }
  const halfway = measured[19]
  const end = measured[39]
  for (const [what, size] of Object.entries(end ?? {})) {
    expect(size, what).toBeGreaterThan(0)
    expect(size, what).toBeLessThanOrEqual((halfway?.[what] ?? 0) * 1.1)
  }
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

test('a site with an event a day gets an archive file a month, and a year of them', async () => {
  await using opened = await openTestStore()
  const settings = settingsOf(opened.dir, 'journal: 90d, history: 365d')
  let most = 0
  for (let day = 0; day < 600; day++) {
    opened.clock.setMs(START_MS + day * DAY_MS)
    await opened.store.inbox.take([lockEvent(10_000 + day, opened.clock.nowMs())], [])
    await keepBounded(settings, opened.store, opened.clock)
    most = Math.max(most, (await opened.store.archive.files()).length)
  }
  const spans = (await opened.store.archive.files()).map(({ from, to }) => to - from + 1)
  expect(most).toBeLessThanOrEqual(13)
  for (const span of spans) expect(span).toBeGreaterThanOrEqual(30)
  expect(count(opened, 'journal')).toBeLessThanOrEqual(130)
  expect((await opened.store.archive.verify()).faults).toEqual([])
})

function count(opened: TestStore, table: string): number {
  return Number(opened.raw(`select count(*) as n from ${table}`)[0]?.['n'])
}

test('the breaker counts as far back as its limits say, however short events are kept, and no further', async () => {
  await using opened = await openTestStore()
  const settings = settingsOf(opened.dir, 'events: 1h', 'guards: { breaker: { maxLocks: 1, per: 1d } }')
  const counted = (): number => count(opened, 'lock_count')
  opened.raw('insert into lock_count (counted, at_ms, change_id) values (?, ?, ?)', 'all', START_MS, 'c1')
  opened.clock.setMs(START_MS + DAY_MS - 1)
  await keepBounded(settings, opened.store, opened.clock)
  expect(counted()).toBe(1)
  opened.clock.setMs(START_MS + DAY_MS + 1)
  await keepBounded(settings, opened.store, opened.clock)
  expect(counted()).toBe(0)
})
