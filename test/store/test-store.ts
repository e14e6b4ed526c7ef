import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import type { Event } from '../../src/core/event.ts'
import { accountKey, parseAccountId, parseDirectoryName, parseLogin, parseSerial } from '../../src/core/names.ts'
import type { AccountKey } from '../../src/core/names.ts'
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
  'drop table mirror',
  'drop table owner',
  'drop table verification',
  'drop table lock_count',
  'drop table review',
  'drop table approval',
  'drop table finding',
  'drop index account_known',
  'alter table account drop column known_ms',
  'drop table mail',
  'drop table enrolment',
  'drop table token',
  'drop table lockout',
  'drop index account_by_user',
  'alter table account drop column resolver',
  'alter table account drop column user_id',
  'alter table queue drop column hinted',
]
const SINCE_4 = ['drop table resync_account']
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
    reason: '',
    untilUs: null,
  }
}

export function testKey(number: number): AccountKey {
  const directory = parseDirectoryName('corp')
  const id = parseAccountId(`id-${number}`)
  if (directory === null || id === null) throw new Error('no key')
  return accountKey(directory, id)
}
