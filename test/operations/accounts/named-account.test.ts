import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import {
  asDn,
  parseDirectoryName,
  parseLogin,
  parseRealm,
  parseResolverName,
  parseUserId,
  partedLogin,
  type AccountKey,
  type Realm,
} from '../../../src/core/names.ts'
import {
  accountsNamed,
  onlyMatch,
  readName,
  recordedCalled,
  type Candidate,
  type Named,
  type RecordAccess,
} from '../../../src/operations/accounts/named-account.ts'
import type { UserOfSource } from '../../../src/core/source/token.ts'
import { ALICE, BOB } from '../../core/arbitrary.ts'
import { openTestStore } from '../../store/test-store.ts'

/** The table of named-account.ts, with users as `login@realm`. */

const REALMS = ['r1', 'r2'].flatMap((name) => parseRealm(name) ?? [])
const UNKNOWN = new AppError('unknown-user', 'nobody', { hint: 'Look at userFilter.' })

interface User {
  readonly login: string
  readonly realm: string
}

function match({ login, realm }: User): Candidate<string> {
  const name = `${login}@${realm}`
  const ways = [
    { text: name, realm: null },
    { text: login, realm: parseRealm(realm) },
  ] as const
  return { id: name, ways: [...ways], is: `the one of ${realm}`, found: name }
}

function read(text: string, users: readonly User[], realm: Realm | null = null): Promise<Named<string>> {
  return readName(text, realm, {
    realms: async () => REALMS,
    called: async (name, of) =>
      users.filter((user) => user.login === name && (of === null || user.realm === of)).map(match),
    ofUser: async (login, of) => users.filter((user) => user.login === login && user.realm === of).map(match),
  })
}

async function meant(text: string, users: readonly User[]): Promise<string[]> {
  return (await read(text, users)).matches.map(({ found }) => found)
}

describe('a name', () => {
  const alice = { login: 'alice', realm: 'r1' }
  const other = { login: 'alice', realm: 'r2' }
  const odd = { login: 'alice@r2', realm: 'r1' }

  test('is a login as it stands before anything else, and a note names whom else it could mean', async () => {
    expect(await meant('alice@r2', [alice, odd])).toEqual(['alice@r2@r1'])
    expect((await read('alice@r2', [alice, odd])).note).toBeNull()
    const both = await read('alice@r2', [alice, other, odd])
    expect(both.matches.map(({ found }) => found)).toEqual(['alice@r2@r1'])
    expect(both.note).toBe('alice@r2 is taken as a login. alice of realm r2 is somebody else: the one of r2')
  })

  test('is split at its last @ where a realm stands behind it, in any case', async () => {
    expect(await meant('alice@R2', [alice, other])).toEqual(['alice@r2'])
    expect(await meant('alice@r2@r1', [odd])).toEqual(['alice@r2@r1'])
    expect(await meant('alice@r2', [alice])).toEqual([])
  })

  test('that nobody has is said with the realms that there are, unless its own is one of them', async () => {
    expect((await read('alice@r2', [alice])).hint).toBe('')
    expect((await read('bob', [alice])).hint).toBe('')
    const nowhere = await read('alice@nowhere', [alice])
    expect(() => onlyMatch('alice@nowhere', nowhere, UNKNOWN)).toThrow(
      expect.objectContaining({
        code: 'unknown-user',
        hint: 'nowhere is no realm that is known here (these are: r1, r2). Name one of them, or the login alone: alice. Look at userFilter.',
      }),
    )
  })

  test('with another realm beside it means nobody', async () => {
    const two = await read('alice@r2', [alice, other], REALMS[0])
    expect([two.matches, two.hint]).toEqual([[], '--realm r1 and @r2 are two realms.'])
  })

  test('that several have is refused with the names that tell them apart', async () => {
    const both = await read('alice', [alice, other])
    expect(() => onlyMatch('alice', both, UNKNOWN)).toThrow(
      expect.objectContaining({
        code: 'ambiguous-match',
        message: 'alice is the name of 2 accounts: alice@r1 (the one of r1), alice@r2 (the one of r2)',
        hint: 'Name one of them: alice@r1, or alice@r2.',
      }),
    )
  })

  test('that is proposed means one alone: where it would mean somebody else, the realm stands beside it', async () => {
    const all = await read('alice', [alice, other, odd])
    expect(all.matches.map(({ name }) => name)).toEqual(['alice@r1', 'alice --realm r2'])
  })

  test('is not split where one side is empty', () => {
    for (const text of ['alice', '@r1', 'alice@', '', '@']) expect(partedLogin(text), text).toBeNull()
    expect(partedLogin('a@b@R1')).toEqual({ login: 'a@b', realm: 'r1' })
  })
})

describe('on record', () => {
  const [login, r1, r2] = [parseLogin('alice'), parseRealm('r1'), parseRealm('r2')]
  if (login === null || r1 === null || r2 === null) throw new Error('no names')
  const corp = parseDirectoryName('corp')

  /** ALICE and BOB are keys of the directory corp. */
  async function keys(
    realms: Readonly<Record<string, readonly string[]>>,
    recorded: readonly (readonly [AccountKey, Realm | null])[],
    ask: (access: RecordAccess) => Promise<{
      readonly matches: readonly { readonly found: { readonly key: string } }[]
    }>,
  ): Promise<string[]> {
    await using opened = await openTestStore()
    for (const [key, realm] of recorded)
      await opened.store.snapshots.markForRefresh([{ key, dn: asDn(`cn=${key}`), login, realm }])
    const settings = { realms, directories: [{ name: corp }] } as unknown as RecordAccess['settings']
    const { matches } = await ask({ settings, store: opened.store })
    return matches.map(({ found }) => found.key)
  }

  const show = (text: string) => (access: RecordAccess) => accountsNamed(access, text, 10)
  const away = (realm: Realm | null) => async (access: RecordAccess) => ({
    matches: (await recordedCalled(access, login, realm, 10)).map((found) => ({ found })),
  })

  test('an account without a realm is of the one that its directory belongs to', async () => {
    expect(await keys({ r1: ['corp'] }, [[ALICE, null]], show('alice@r1'))).toEqual([ALICE])
    expect(await keys({ r1: ['corp'], r2: ['other'] }, [[ALICE, null]], show('alice@r2'))).toEqual([])
    expect(
      await keys(
        {},
        [
          [BOB, r1],
          [ALICE, null],
        ],
        show('alice@r1'),
      ),
    ).toEqual([ALICE, BOB].toSorted())
  })

  test('somebody of another realm is not shown in their place', async () => {
    expect(
      await keys(
        { r1: ['corp'], r2: ['corp'] },
        [
          [ALICE, r1],
          [BOB, r2],
        ],
        show('alice@r2'),
      ),
    ).toEqual([BOB])
    expect(await keys({ r1: ['corp'], r2: ['corp'] }, [[ALICE, r1]], show('alice@r2'))).toEqual([])
  })

  test('a further user of another realm has the account as well', async () => {
    await using opened = await openTestStore()
    const userOf = (realm: Realm, id: string): UserOfSource => {
      const [resolver, userId] = [parseResolverName('ldap'), parseUserId(id)]
      if (resolver === null || userId === null) throw new Error('no user')
      return { login, realm, resolver, userId }
    }
    const account = { key: ALICE, dn: asDn('cn=alice'), login, realm: r1 }
    await opened.store.snapshots.markForRefresh([{ ...account, user: userOf(r1, '1') }])
    await opened.store.snapshots.markForRefresh([{ ...account, user: userOf(r2, '2') }])
    const settings = { realms: {}, directories: [] } as unknown as RecordAccess['settings']
    const { matches } = await accountsNamed({ settings, store: opened.store }, 'alice@r2', 10)
    expect(matches.map(({ found }) => [found.key, found.realm])).toEqual([[ALICE, 'r1']])
  })

  test('while the directory is away, whoever lies in a directory of the realm is meant where nobody else is', async () => {
    expect(
      await keys(
        { r1: ['corp'], r2: ['corp'] },
        [
          [ALICE, r1],
          [BOB, r2],
        ],
        away(r2),
      ),
    ).toEqual([BOB])
    expect(await keys({ r1: ['corp'], r2: ['corp'] }, [[ALICE, r1]], away(r2))).toEqual([ALICE])
    expect(await keys({}, [[ALICE, r1]], away(r2))).toEqual([ALICE])
    expect(await keys({ r1: ['corp'], r2: ['other'] }, [[ALICE, r1]], away(r2))).toEqual([])
    expect(await keys({}, [[ALICE, r1]], away(null))).toEqual([ALICE])
  })
})
