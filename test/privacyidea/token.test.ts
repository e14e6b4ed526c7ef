import { describe, expect, test } from 'vitest'
import { NO_ID, parseToken } from '../../src/privacyidea/readings/token.ts'

/** A row as 3.14 gives it. */
const ROW = {
  id: 7,
  serial: 'HOTP0001',
  tokentype: 'HOTP',
  active: true,
  revoked: false,
  locked: false,
  failcount: 2,
  maxfail: 3,
  rollout_state: 'enrolled',
  username: 'carol',
  user_id: 'c5695660-7c57-1041-88bc-5d520db546c6',
  user_realm: 'R1',
  resolver: 'ldap1',
  realms: ['r1'],
}

function tokenWith(change: Record<string, unknown>) {
  const { token } = parseToken({ ...ROW, ...change })
  if (token === null) throw new Error('no token')
  return token
}

test('a token is read with its owner, realms in lower case', () => {
  expect(tokenWith({})).toEqual({
    id: 7,
    madeAt: null,
    serial: 'HOTP0001',
    type: 'hotp',
    isActive: true,
    isRevoked: false,
    failCount: 2,
    failCountMax: 3,
    isFull: false,
    fullSinceMs: null,
    owner: { kind: 'user', login: 'carol', realm: 'r1', resolver: 'ldap1', userId: ROW.user_id },
    rolloutState: 'enrolled',
    isEnrolled: true,
  })
})

test.each([
  ['2026-11-24T17:59+0000', '2026-11-24T17:59:00.000Z'],
  ['2026-11-24T19:59+02:00', '2026-11-24T17:59:00.000Z'],
  ['24/11/26 17:59', null],
  [7, null],
])('since when it is full, from %s: %s', (text, expected) => {
  const { fullSinceMs } = tokenWith({ info: { failcounter_exceeded: text } })
  expect(fullSinceMs === null ? null : new Date(fullSinceMs).toISOString()).toBe(expected)
})

test.each([
  [2, 3, false],
  [3, 3, true],
  [4, 3, true],
  [0, 0, true],
  [0, -1, true],
])('with a fail counter of %i of %i it is full: %s', (failcount, maxfail, isFull) => {
  expect(tokenWith({ failcount, maxfail }).isFull).toBe(isFull)
})

test('the field locked, which means revoked, says nothing about the fail counter', () => {
  expect(tokenWith({ locked: true })).toMatchObject({ isFull: false, isRevoked: false })
})

test.each([
  ['', true],
  [null, true],
  [undefined, true],
  ['enrolled', true],
  ['clientwait', false],
  ['verify', false],
  ['broken', false],
])('with the rollout state %s it is ready: %s', (state, isEnrolled) => {
  expect(tokenWith({ rollout_state: state }).isEnrolled).toBe(isEnrolled)
})

describe('the owner', () => {
  test.each([
    ['nobody', { username: '', user_id: '', user_realm: '', resolver: '' }, 'none'],
    ['nobody, without the fields', { username: undefined, user_id: null, user_realm: null, resolver: null }, 'none'],
    ['a user that his user store knows no more', { username: '' }, 'orphan'],
    ['a user store that fails, as lists show it', { username: '**resolver error**', user_realm: '' }, 'resolver-error'],
    ['a user store that fails, with the realm', { username: '**resolver error**' }, 'resolver-error'],
    ['a user store that fails, without a word', { username: '', user_realm: '' }, 'resolver-error'],
    ['a user store of no realm', { user_realm: '' }, 'resolver-error'],
    ['a login with a line end', { username: 'a\nb' }, 'user'],
    ['an id with a wildcard', { user_id: '*' }, 'user'],
    ['an id that is a DN with a line end', { user_id: 'cn=a\nb,dc=x' }, 'user'],
    ['an id of 320 characters', { user_id: 'ż'.repeat(320) }, 'user'],
    ['a login of 400 characters', { username: 'x'.repeat(400) }, 'user'],
    ['an id that is no text', { user_id: 'a\u0000b' }, 'unreadable'],
    ['a realm that was deleted', { username: '**resolver error**', user_realm: '', realms: [] }, 'resolver-error'],
  ])('is %s', (_, change, kind) => {
    expect(tokenWith(change).owner.kind).toBe(kind)
  })

  test('may have a number for an id, as SQL resolvers do', () => {
    expect(tokenWith({ user_id: 42 }).owner).toMatchObject({ kind: 'user', userId: '42' })
  })
})

test.each(['active', 'revoked', 'failcount', 'maxfail'])(
  'of a row without the field %s nothing is known but that it is there, and what it lacks is said',
  (name) => {
    const { token, odd } = parseToken({ ...ROW, [name]: undefined })
    expect(token).toMatchObject({
      id: 7,
      serial: 'HOTP0001',
      isFull: false,
      isEnrolled: false,
      owner: { kind: 'unreadable' },
    })
    expect(odd).toMatchObject({
      serial: 'HOTP0001',
      why: expect.stringMatching(new RegExp(`the field ${name} is not`)),
    })
  },
)

test.each([
  ['a row that is no object', 'x', ''],
  ['a row without a serial', { ...ROW, serial: undefined }, ''],
  ['a serial that is longer than one can be', { ...ROW, serial: 'x'.repeat(65) }, 'x'.repeat(65)],
  ['a serial with a blank', { ...ROW, serial: 'a b' }, 'a b'],
])('%s is no token, and is said', (_, row, serial) => {
  expect(parseToken(row)).toMatchObject({ token: null, odd: { serial } })
})

test('a row without a number is there by its serial, and no walk comes by it', () => {
  expect(parseToken({ ...ROW, id: 'x' })).toMatchObject({ token: { serial: 'HOTP0001', id: NO_ID }, odd: {} })
})
