import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseLogin } from '../../src/core/names.ts'
import type { DirectorySettings } from '../../src/core/settings/settings.ts'
import { acceptDirectory } from '../../src/app/directory-servers.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import type { Settings } from '../../src/core/settings/settings.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { must } from '../simulation/world.ts'
import { directorySettings, nameOfDirectory } from './directory-settings.ts'

/** Two servers with the same suffix, the same users and the same passwords that are not one directory. */

const U1 = must(parseLogin('u1'))
const CORP = nameOfDirectory('corp')
const TIMES = { backoffFirstMs: 1, backoffMaxMs: 1, bindRefusedFirstMs: 1, bindRefusedMaxMs: 1, failbackMs: 60_000 }

let first: Slapd
let second: Slapd
beforeAll(async () => {
  ;[first, second] = await Promise.all([startSlapd({ users: 2 }), startSlapd({ users: 2 })])
}, 60_000)
afterAll(async () => {
  await first?.[Symbol.asyncDispose]()
  await second?.[Symbol.asyncDispose]()
})

function newStore(): Promise<Store> {
  return openStore({ file: ':memory:', clock: systemClock, lockTtlMs: null, willWrite: true })
}

async function walk(port: DirectoryPort): Promise<void> {
  for await (const account of port.walkMarked(CORP)) throw new Error(`it was read: ${account.dn}`)
}

function open(store: Store, change: Partial<DirectorySettings>) {
  const directories = [directorySettings(first, change)]
  return openDirectories({ directories, realms: {} }, systemClock, store.identities, TIMES)
}

describe('another directory behind the name of one on record', () => {
  test('is neither searched nor read, until a person accepts it', async () => {
    await using store = await newStore()
    {
      await using port = open(store, {})
      await port.findByLogin(U1, null)
    }
    const settings = { directories: [directorySettings(first, { urls: [second.url] })] } as unknown as Settings
    await using port = open(store, { urls: [second.url] })
    const looks: (() => Promise<unknown>)[] = [() => port.findByLogin(U1, null), () => walk(port)]
    for (const look of looks) {
      const failure: unknown = await look().then(
        () => null,
        (thrown: unknown) => thrown,
      )
      expect(failure).toMatchObject({ code: 'directory-changed' })
      expect(String(failure)).toMatch(
        /another directory answers at .*: its entry ou=people,dc=example,dc=org has the id/,
      )
    }
    await acceptDirectory(settings, 'corp', 'somebody', store.identities)
    expect(await port.findByLogin(U1, null)).toMatchObject({ login: 'u1' })
    const records = await store.db
      .selectFrom('journal')
      .select('body')
      .where('kind', '=', 'directory-identity')
      .execute()
    expect(records.map(({ body }) => (JSON.parse(body) as { by: string }).by)).toEqual(['somebody'])
  })

  test('is passed over among several servers, whether it comes first or last', async () => {
    await using store = await newStore()
    {
      await using port = open(store, {})
      await port.findByLogin(U1, null)
    }
    const found = async (urls: string[]): Promise<string> => {
      await using port = open(store, { urls })
      return (await port.findByLogin(U1, null)).key
    }
    const own = await found([first.url])
    expect(await found([second.url, first.url])).toBe(own)
    await first.stop()
    await expect(found([first.url, second.url])).rejects.toThrow(/another directory answers/)
    await first.start()
    const settings = {
      directories: [directorySettings(first, { urls: [first.url, second.url] })],
    } as unknown as Settings
    await expect(acceptDirectory(settings, 'corp', 'somebody', store.identities)).rejects.toThrow(/not one directory/)
  })

  test('a server whose naming contexts have changed is another one, though the entries are the same', async () => {
    await using store = await newStore()
    await using slapd = await startSlapd({ users: 1 })
    const settings = directorySettings(slapd)
    const openIt = () => openDirectories({ directories: [settings], realms: {} }, systemClock, store.identities, TIMES)
    {
      await using port = openIt()
      await port.findByLogin(U1, null)
    }
    const recorded = must(await store.identities.known(settings.name))
    await store.identities.accept(settings.name, { ...recorded, contexts: [...recorded.contexts, 'dc=lost'] }, 'test')
    await using port = openIt()
    await expect(port.findByLogin(U1, null)).rejects.toThrow(/naming contexts have changed: dc=lost is gone/)
  })
})
