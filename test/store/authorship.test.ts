import { expect, test } from 'vitest'
import { directoryOf, parseSerial } from '../../src/core/names.ts'
import { serialKey } from '../../src/core/serials/serial-key.ts'
import { authorship } from '../../src/store/schema/steps-of-0-2.ts'
import { must } from '../simulation/world.ts'
import { openTestStore, START_MS, testKey } from './test-store.ts'

/** What a store of an older version wrote, by what it kept of that. */

const [ALICE, BOB] = [testKey(1), testKey(2)]

function insertion(
  table: string,
  row: Readonly<Record<string, string | number | null>>,
): [string, ...(string | number)[]] {
  const columns = Object.entries(row).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]))
  const names = columns.map(([name]) => name).join(', ')
  const places = columns.map(() => '?').join(', ')
  return [`insert into ${table} (${names}) values (${places})`, ...columns.map(([, value]) => value)]
}

const TOKEN = { reset_due: 0, is_locked: 0, run: 0 }
const EVENT = {
  ...{ actor: '', taken_at_us: 1, received_ms: 1, source: 'shim', reason: '', live: 1, attribute_serials: '[]' },
  ...{ why: '', attempts: 0, state: 'resolved' },
}
const CHANGE = { dn: 'uid=a', body: '{}', reason: '', actor: '', planned_ms: START_MS }
const RECORD = { at_ms: START_MS, prev_hash: '', hash: '' }

test('an upgrade knows what the store wrote from its tokens, events, changes and journal', async () => {
  await using opened = await openTestStore()
  const { store, raw } = opened
  await store.db.schema.dropTable('authored_serial').execute()
  const planned = (kind: string, serial: string): string => JSON.stringify({ change: 'x', kind, serial })
  const rows: [string, Record<string, string | number | null>][] = [
    ['token', { ...TOKEN, serial: 'CONFIRMED', account_key: ALICE }],
    ['event', { ...EVENT, id: 'e1', kind: 'register', serial: 'NAMED', account_key: ALICE }],
    ['event', { ...EVENT, id: 'e2', kind: 'lock', serial: 'ONLYLOCKED', account_key: ALICE }],
    ['event', { ...EVENT, id: 'e3', kind: 'register', serial: 'NOBODY', state: 'waiting' }],
    ['change', { ...CHANGE, id: 'c1', kind: 'register', serial: 'WRITTEN', account_key: BOB, state: 'applied' }],
    ['change', { ...CHANGE, id: 'c2', kind: 'register', serial: 'UNDERWAY', account_key: BOB, state: 'planned' }],
    ['change', { ...CHANGE, id: 'c3', kind: 'register', serial: 'REFUSED', account_key: BOB, state: 'not-applied' }],
    ['journal', { ...RECORD, seq: 101, kind: 'planned', subject: BOB, body: planned('register', 'JOURNAL') }],
    ['journal', { ...RECORD, seq: 102, kind: 'planned', subject: BOB, body: planned('unregister', 'REMOVED') }],
    ['journal', { ...RECORD, seq: 103, kind: 'planned', subject: BOB, body: 'no JSON' }],
  ]
  for (const [table, row] of rows) raw(...insertion(table, row))
  for (const key of [ALICE, BOB]) {
    const fixed = { standing: 'in-step', standing_reason: '', hold_count: 0, seen_ms: 0, updated_ms: 0, known_ms: 0 }
    raw(...insertion('account', { key, directory: 'corp', dn: 'uid=a', ...fixed }))
  }
  await authorship(store.db)
  const found = await store.authorship.serialsAt([ALICE, BOB])
  const serials = (...texts: string[]) => new Set(texts.map((text) => serialKey(must(parseSerial(text)))))
  expect(found).toEqual(
    new Map([
      [ALICE, serials('CONFIRMED', 'NAMED')],
      [BOB, serials('JOURNAL', 'UNDERWAY', 'WRITTEN')],
    ]),
  )
  // Its directories were met long ago, and its files are still to be read.
  expect(await store.authorship.lockedBefore(directoryOf(ALICE))).toEqual([])
  expect(await store.authorship.areFilesDue()).toBe(true)
})

test('a new store has met no directory, and has no files to read', async () => {
  await using opened = await openTestStore()
  const { authorship } = opened.store
  expect(await authorship.lockedBefore(directoryOf(ALICE))).toBeNull()
  expect(await authorship.areFilesDue()).toBe(false)
})
