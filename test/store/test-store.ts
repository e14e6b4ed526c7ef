import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import type { Event } from '../../src/core/events/event.ts'
import { accountKey, parseAccountId, parseDirectoryName, parseLogin, parseSerial } from '../../src/core/names.ts'
import type { AccountKey } from '../../src/core/names.ts'
import type { Claim } from '../../src/ports/store/store.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

/** A store in a folder of its own, with a clock that the test moves. */
export interface TestStore extends AsyncDisposable {
  readonly dir: string
  readonly file: string
  readonly store: Store
  readonly clock: Clock & { setMs(ms: number): void }
  /** A second opening of the same file. */
  again(options?: { willWrite?: boolean }): Promise<Store>
  /** Statements past the store, as somebody with the file in hand would run them. */
  raw(sql: string, ...values: (string | number)[]): Record<string, unknown>[]
  /** Takes back what the schema's later steps made, so that the file is that of an older version. */
  toVersion(version: 1 | 2): void
}

/** What the steps after the second, and the second, made; pruning on record made no table. */
const SINCE_3 = [
  'drop index change_late',
  'drop index account_late',
  ...['may_arrive_until_ms', 'arrived_ms', 'is_others'].map((name) => `alter table change drop column ${name}`),
  ...['late_until_ms', 'adoption'].map((name) => `alter table account drop column ${name}`),
  'drop index account_other_lock_unclear',
  'alter table account drop column other_lock',
  'alter table account drop column other_lock_is',
  'drop table mirror',
  'drop table owner',
  'drop table verification',
  'drop table lock_count',
  'drop table loss_count',
  'drop table review',
  'drop table approval',
  'drop table finding',
  'drop index account_known',
  'alter table account drop column known_ms',
  'drop table mail',
  'drop table enrolment',
  'drop table evidence',
  'drop table token',
  'drop table authored_serial',
  'drop table lockout',
  'drop table unplaced',
  'alter table event drop column counted_ms',
  'alter table event drop column tried_ms',
  'alter table event drop column sole_serial',
  'drop index account_by_user',
  'alter table account drop column resolver',
  'alter table account drop column user_id',
  'alter table queue drop column hinted',
  ...['lease_token', 'lease_boot', 'lease_watch', 'repair'].map((column) => `alter table queue drop column ${column}`),
]
const SINCE_4 = [
  'drop table resync_account',
  'drop table serial_twin',
  'drop index account_by_login_key',
  'create index account_by_login on account (login)',
  'drop index event_by_serial_key',
  'create index event_by_serial on event (serial) where serial is not null',
]
const SINCE_2 = ['alter table account drop column effective']

export const START_MS = 1_700_000_000_000

export async function openTestStore(): Promise<TestStore> {
  const temp = await makeTempDir('store')
  const file = join(temp.path, 'lockstep.db')
  let nowMs = START_MS
  const clock = { nowMs: () => nowMs, random: () => 0.5, setMs: (ms: number) => void (nowMs = ms) }
  const open = (willWrite: boolean): Promise<Store> => openStore({ file, clock, lockTtlMs: null, willWrite })
  const store = await open(true)
  const run = (sql: string, ...values: (string | number)[]): Record<string, unknown>[] => {
    const database = new DatabaseSync(file, { timeout: 1_000 })
    try {
      return database.prepare(sql).all(...values)
    } finally {
      database.close()
    }
  }
  return {
    dir: temp.path,
    file,
    store,
    clock,
    again: ({ willWrite = true } = {}) => open(willWrite),
    raw: run,
    toVersion(version) {
      for (const undone of [...SINCE_4, ...SINCE_3, ...(version < 2 ? SINCE_2 : [])]) run(undone)
      run("update meta set value = ? where key = 'schema'", String(version))
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

const claiming = new WeakMap<Store, Promise<unknown>>()

/** The account is claimed, whoever had it before; those of several callers at once one after the other. */
export async function claimOf(store: Store, key: AccountKey, nowMs = START_MS): Promise<Claim> {
  const claimed = (claiming.get(store) ?? Promise.resolve()).then(async () => {
    await store.queue.mark([key], nowMs)
    const first = { lease_owner: null, due_ms: 0 }
    await store.db.updateTable('queue').set(first).where('account_key', '=', key).execute()
    const [claim] = await store.queue.claim(1, nowMs)
    if (claim?.key !== key) throw new Error(`${key} was not claimed`)
    return claim
  })
  claiming.set(store, claimed)
  return claimed
}

export function lockEvent(number: number, takenAtMs = START_MS): Event {
  return {
    id: `event-${number}`,
    kind: 'lock',
    serial: parseSerial(`S${number}`),
    login: parseLogin(`user${number}`),
    realm: null,
    actor: '',
    takenAtUs: takenAtMs * 1000 + number,
    source: 'shim',
    reason: null,
    untilUs: null,
  }
}

export function testKey(number: number): AccountKey {
  const directory = parseDirectoryName('corp')
  const id = parseAccountId(`id-${number}`)
  if (directory === null || id === null) throw new Error('no key')
  return accountKey(directory, id)
}
