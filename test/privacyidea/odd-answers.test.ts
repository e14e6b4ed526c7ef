import { describe, expect, test } from 'vitest'
import {
  parseLogin,
  parseRealm,
  parseResolverName,
  parseSerial,
  parseUserId,
  type Serial,
} from '../../src/core/names.ts'
import type { SourceSettings } from '../../src/core/settings/settings.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { PrivacyIdeaPort } from '../../src/ports/privacyidea.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { errorOf } from '../directory/contract.ts'
import { granted, json, jwtFor, startScripted, yes, type Received, type ScriptedServer } from './scripted-server.ts'
import { secretIs, sourceSettings } from './source-settings.ts'

/** Answers that a healthy privacyIDEA does not give, or only while tokens come and go in the middle of a run. */

interface Row {
  readonly id: number
  readonly owner?: string
}

function row({ id, owner = '' }: Row): Record<string, unknown> {
  const whose = owner === '' ? {} : { username: owner, user_id: `id-${owner}`, user_realm: 'r1', resolver: 'ldap1' }
  const fixed = { tokentype: 'hotp', active: true, revoked: false, failcount: 0, maxfail: 10 }
  return { id, serial: `S${id}`, ...fixed, ...whose }
}

/** A server with these tokens. @param before changes them before an answer is made */
async function serverWith(rows: Row[], before: (request: Received, rows: Row[]) => void = () => undefined) {
  return startScripted((request, response) => {
    if (request.path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
    before(request, rows)
    const [page, size] = [Number(request.query.get('page')), Number(request.query.get('pagesize'))]
    const found = rows.slice((page - 1) * size, page * size)
    return yes(response, { count: rows.length, tokens: found.map(row) })
  })
}

function open(server: ScriptedServer, change: Partial<SourceSettings> = {}): PrivacyIdeaPort {
  return openPrivacyIdea(sourceSettings(server.url, { pageSize: 10, ...change }), secretIs(), systemClock)
}

function rowsTo(last: number): Row[] {
  return Array.from({ length: last }, (_, index) => ({ id: index + 1 }))
}

async function walked(port: PrivacyIdeaPort): Promise<number[]> {
  const ids: number[] = []
  for await (const { tokens } of port.walkTokens()) ids.push(...tokens.map(({ id }) => id))
  return ids
}

/** True for the request of a page of the run itself. */
function isPage(request: Received, page: number): boolean {
  return request.query.get('sortdir') === 'asc' && request.query.get('page') === String(page)
}

describe('a run over all tokens', () => {
  test('sees each token once, in pages', async () => {
    await using server = await serverWith(rowsTo(35))
    await using port = open(server)
    expect(await walked(port)).toEqual(rowsTo(35).map(({ id }) => id))
  })

  test('asks for the next page only when the last one was used', async () => {
    await using server = await serverWith(rowsTo(35))
    await using port = open(server)
    for await (const _ of port.walkTokens()) break
    expect(server.received.filter(({ query }) => query.get('sortdir') === 'asc')).toHaveLength(1)
  })

  test('sees tokens that were made meanwhile', async () => {
    await using server = await serverWith(rowsTo(35), (request, rows) => {
      if (isPage(request, 3)) rows.push({ id: 100 }, { id: 101 })
    })
    await using port = open(server)
    expect((await walked(port)).slice(-3)).toEqual([35, 100, 101])
  })

  test('misses no token when others were deleted before it, and gives none twice', async () => {
    let isDone = false
    await using server = await serverWith(rowsTo(50), (request, rows) => {
      if (isDone || !isPage(request, 3)) return
      isDone = true
      rows.splice(2, 12)
    })
    await using port = open(server)
    expect(await walked(port)).toEqual(rowsTo(50).map(({ id }) => id))
  })

  test('gives up where tokens are deleted all the time, and concludes nothing', async () => {
    await using server = await serverWith(rowsTo(2000), (request, rows) => {
      if (Number(request.query.get('page')) > 1) rows.splice(0, 1)
    })
    await using port = open(server)
    const error = await errorOf(walked(port))
    expect(error).toMatchObject({ code: 'source-unproven' })
    expect(error.message).toContain('too many tokens were deleted while it was read')
  })

  test.each<[string, (rows: Row[]) => Row[], (count: number) => number, RegExp]>([
    ['no token shows', () => [], () => 0, /no token shows at all/],
    ['its end is missing', (rows) => rows.slice(0, -3), (count) => count, /page 2 holds 2 tokens instead of 5/],
    ['the order is broken', (rows) => rows.toReversed(), (count) => count, /order of their ids/],
    [
      'a token comes twice',
      (rows) => [...rows.slice(0, 2), ...rows.slice(1)],
      (count) => count + 1,
      /order of their ids/,
    ],
  ])('fails where %s', async (_, change, countOf, message) => {
    const all = rowsTo(15)
    await using server = await startScripted(({ path, query }, response) => {
      if (path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
      const [page, size] = [Number(query.get('page')), Number(query.get('pagesize'))]
      const tokens = change(all)
        .slice((page - 1) * size, page * size)
        .map(row)
      return yes(response, { count: countOf(all.length), tokens })
    })
    await using port = open(server)
    const error = await errorOf(walked(port))
    expect(error).toMatchObject({ code: 'source-unproven' })
    expect(error.message).toMatch(message)
  })
})

const owner = {
  login: parseLogin('bob'),
  realm: parseRealm('r1'),
  resolver: parseResolverName('ldap1'),
  userId: parseUserId('id-bob'),
}

test('a server that lists everybody in place of one owner is not believed', async () => {
  await using server = await startScripted(({ path, query }, response) => {
    if (path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
    const rows = [
      { id: 1, owner: 'alice' },
      { id: 2, owner: 'bob' },
    ].filter(({ owner }) => [null, owner].includes(query.get('user')))
    return yes(response, { count: rows.length, tokens: rows.map(row) })
  })
  await using port = open(server)
  expect((await port.tokensOfOwner(owner)).map(({ id }) => id)).toEqual([2])
})

test('a login that belongs to somebody else now says nothing about who had it before', async () => {
  await using server = await startScripted(({ path, query }, response) => {
    if (path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
    if (path === '/user/') return yes(response, [{ username: 'bob', userid: 'id-new', resolver: 'ldap1' }])
    const rows = query.get('user') === 'bob' ? [] : [{ id: 1, owner: 'alice' }]
    return yes(response, { count: rows.length, tokens: rows.map(row) }, { versionnumber: '3.13.4' })
  })
  await using port = open(server)
  expect(await errorOf(port.tokensOfOwner(owner))).toMatchObject({ code: 'unknown-user' })
})

const serials = (...names: string[]): Serial[] => names.map((name) => parseSerial(name)).filter((each) => each !== null)

test('an empty answer is not believed where no token shows, and the missing right is named where it is known', async () => {
  const empty = (rights: string[]) =>
    startScripted(({ path }, response) =>
      yes(response, path === '/auth' ? granted(jwtFor('n', 3600), rights) : { count: 0, tokens: [] }),
    )
  await using allowed = await empty(['tokenlist'])
  await using port = open(allowed)
  expect(await errorOf(port.tokensBySerial(serials('A')))).toMatchObject({ code: 'source-unproven' })
  expect(await errorOf(port.tokensOfOwner(owner))).toMatchObject({ code: 'source-unproven' })
  await using refused = await empty(['userlist'])
  await using blind = open(refused)
  expect(await errorOf(blind.tokensBySerial(serials('A')))).toMatchObject({ code: 'source-not-permitted' })
})

test('with a token that is always there, no other one proves anything', async () => {
  let known = 'KNOWN'
  await using server = await startScripted(({ path, query }, response) => {
    if (path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
    const rows = query.get('serial') === known || query.get('serial') === null ? [{ id: 1 }] : []
    return yes(response, { count: rows.length, tokens: rows.map(row) })
  })
  const [knownToken = null] = serials('KNOWN')
  await using port = open(server, { knownToken })
  expect(await port.tokensBySerial(serials('A'))).toEqual([])
  known = 'OTHER'
  expect(await errorOf(port.tokensBySerial(serials('A')))).toMatchObject({ code: 'source-unproven' })
})

test('proofs that are asked for while one runs share the next', async () => {
  await using server = await serverWith(rowsTo(1))
  await using port = open(server)
  await port.version()
  const before = server.received.length
  await Promise.all(Array.from({ length: 50 }, () => port.proveTokenList()))
  expect(server.received.length - before).toBe(2)
})

test('many serials are asked for in requests that are no longer than gunicorn takes', async () => {
  await using server = await serverWith(rowsTo(1))
  await using port = open(server)
  const many = serials(...Array.from({ length: 450 }, (_, index) => `${'X'.repeat(30)}${index}`))
  await port.tokensBySerial(many)
  const asked = server.received.flatMap(({ query }) => query.get('serial') ?? [])
  expect(asked.flatMap((each) => each.split(','))).toEqual(many)
  expect(Math.max(...asked.map((each) => encodeURIComponent(each).length))).toBeLessThan(3600)
})

test('a wrong URL that answers 404 does not look like a server without user lockouts', async () => {
  await using server = await startScripted(({ path }, response) => {
    if (path === '/auth') return yes(response, granted(jwtFor('n', 3600)))
    if (path === '/token/') return yes(response, { count: 0, tokens: [] })
    return json(response, 404, { error: 'Not found' })
  })
  await using port = open(server)
  expect(await errorOf(port.userLockouts())).toMatchObject({ code: 'source-answer' })
})
