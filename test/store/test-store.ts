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
}

export const START_MS = 1_700_000_000_000

export async function openTestStore(): Promise<TestStore> {
  const temp = await makeTempDir('store')
  const file = join(temp.path, 'lockstep.db')
  let nowMs = START_MS
  const clock = { nowMs: () => nowMs, random: () => 0.5, setMs: (ms: number) => void (nowMs = ms) }
  const open = (willWrite: boolean): Promise<Store> =>
    openStore({ file, clock, lockTtlMs: null, breakerPerMs: null, willWrite })
  const store = await open(true)
  return {
    dir: temp.path,
    file,
    store,
    clock,
    again: ({ willWrite = true } = {}) => open(willWrite),
    raw: (sql, ...values) => {
      const database = new DatabaseSync(file, { timeout: 1_000 })
      try {
        return database.prepare(sql).all(...values)
      } finally {
        database.close()
      }
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
