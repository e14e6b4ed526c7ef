import fc from 'fast-check'
import { PresenceFilter } from 'ldapts'
import { describe, expect, test } from 'vitest'
import { asDn } from '../../../src/core/names.ts'
import { Connection, type SearchRequest } from '../../../src/directory/ldap/connection.ts'
import { serverOf } from '../../../src/directory/ldap/socket.ts'
import { errorOf } from '../contract.ts'
import { directorySettings } from '../directory-settings.ts'
import {
  ldapMessage,
  lead,
  result,
  searchDone,
  searchEntry,
  startScriptedLdap,
  tlv,
  type LdapScript,
  type ScriptedLdap,
} from '../../servers/ldap/scripted-ldap.ts'

/** A server that answers with more than fits into our memory, in each way that it can. */

const SERVICE = 'cn=lockstep,dc=example,dc=org'
const MIB = 1024 * 1024

async function open(script: LdapScript): Promise<AsyncDisposable & { connection: Connection; server: ScriptedLdap }> {
  const server = await startScriptedLdap(SERVICE, script)
  const settings = directorySettings(
    { url: server.url, serviceDn: SERVICE, servicePassword: 'secret', peopleDn: 'dc=example,dc=org' },
    { bindDn: asDn(SERVICE), startTls: 'off' },
  )
  const connection = await Connection.open(serverOf(server.url, settings), settings)
  return {
    connection,
    server,
    [Symbol.asyncDispose]: async () => {
      await connection.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

function request(base: string, more: Partial<SearchRequest> = {}): SearchRequest {
  const filter = new PresenceFilter({ attribute: 'objectClass' })
  return { base, scope: 'base', filter, attributes: ['member', 'cn'], bytesOf: [], sizeMax: 0, ...more }
}

const fine: LdapScript = (socket, { id, base }) => {
  socket.write(searchEntry(id, base, { cn: ['fine'] }))
  socket.write(searchDone(id))
}

/** `bad` answers the search below `cn=bad`, and all others are answered as usual. */
const but =
  (bad: LdapScript): LdapScript =>
  (socket, search) =>
    search.base === 'cn=bad' ? bad(socket, search) : fine(socket, search)

describe('an answer that is too large fails alone, and its connection goes on', () => {
  test.each<[string, RegExp, LdapScript]>([
    [
      'a message of 20 MiB',
      /a message of \d+ bytes/,
      (socket, { id, base }) => {
        socket.write(searchEntry(id, base, { member: ['x'.repeat(20 * MIB)] }))
        socket.write(searchDone(id))
      },
    ],
    [
      'an entry of a million small values',
      /more than 200000 values/,
      (socket, { id, base }) => socket.write(searchEntry(id, base, { member: Array(1_000_000).fill('a') as string[] })),
    ],
    [
      'an attribute of 5 MiB that lists no members',
      /an attribute "cn" of \d+ bytes/,
      (socket, { id, base }) => socket.write(searchEntry(id, base, { cn: ['x'.repeat(5 * MIB)] })),
    ],
    [
      'a result of 2 MiB',
      /a result of \d+ bytes/,
      (socket, { id }) =>
        socket.write(ldapMessage(id, tlv(0x65, Buffer.from([0x0a, 1, 0]), tlv(4), tlv(4, Buffer.alloc(2 * MIB))))),
    ],
    [
      'entries without end',
      /more than 192 MiB at once/,
      (socket, { id, base }) => {
        const entry = searchEntry(id, base, { member: ['x'.repeat(8 * MIB)] })
        for (let count = 0; count < 40; count++) socket.write(entry)
      },
    ],
  ])('%s', async (_name, why, bad) => {
    await using at = await open(but(bad))
    const good = at.connection.search(request('cn=good'))
    const error = await errorOf(at.connection.search(request('cn=bad')))
    expect(error).toMatchObject({ code: 'limit-exceeded', message: expect.stringMatching(why) })
    expect(await good).toMatchObject([{ cn: 'fine' }])
    expect(await at.connection.search(request('cn=good'))).toMatchObject([{ cn: 'fine' }])
    expect(at.server.connections).toBe(1)
  })
})

describe('what is no answer at all ends the connection, and says why', () => {
  test.each<[string, RegExp, Buffer]>([
    ['a claim of 2 GB', /a message of 2147483\d+ bytes/, Buffer.concat([lead(0x30, 2 ** 31 - 1), Buffer.alloc(99)])],
    ['HTML', /no LDAP message/, Buffer.from('<!doctype html>')],
    ['a length without end', /no LDAP message/, Buffer.from([0x30, 0x80, 2, 1, 1])],
    ['a length of nine bytes', /no LDAP message/, Buffer.from([0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1])],
  ])('%s', async (_name, why, bytes) => {
    await using at = await open(but((socket) => socket.write(bytes)))
    const error = await errorOf(at.connection.search(request('cn=bad')))
    expect(error).toMatchObject({ code: 'directory-unreachable', message: expect.stringMatching(why) })
    expect(at.connection.isOpen).toBe(false)
  })
})

test('a group is read as a whole for whoever waits for all of its members', async () => {
  const members = Array.from({ length: 300_000 }, (_, index) => `uid=u${index},ou=people,dc=example,dc=org`)
  await using at = await open((socket, { id, base }) => {
    socket.write(searchEntry(id, base, { member: members }))
    socket.write(searchDone(id))
  })
  expect((await errorOf(at.connection.search(request('cn=all')))).code).toBe('limit-exceeded')
  const [entry] = await at.connection.search(request('cn=all', { isLarge: true }))
  expect(entry?.['member']).toEqual(members)
})

test('messages come whole, in whatever pieces the network makes of them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }), async (sizes) => {
      await using at = await open((socket, { id, base }) => {
        const all = Buffer.concat([
          searchEntry(id, base, { cn: ['one', 'two'], member: ['x'.repeat(300)] }),
          ldapMessage(id + 1000, result(0x65)),
          searchEntry(id, base, { cn: ['three'] }),
          searchDone(id),
        ])
        let start = 0
        for (let piece = 0; start < all.length; piece++) {
          const size = sizes[piece % sizes.length] ?? 1
          socket.write(all.subarray(start, start + size))
          start += size
        }
      })
      const entries = await at.connection.search(request('cn=any'))
      expect(entries.map((entry) => entry['cn'])).toEqual([['one', 'two'], 'three'])
    }),
    { numRuns: 20 },
  )
})
