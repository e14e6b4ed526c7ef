import { describe, expect, test } from 'vitest'
import { parseToken } from '../../src/privacyidea/token.ts'
import { AppError } from '../../src/core/error.ts'

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
  return parseToken({ ...ROW, ...change }, 'privacyIDEA: GET https://x/token/')
}

test('a token is read with its owner, realms in lower case', () => {
  expect(tokenWith({})).toEqual({
    id: 7,
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
    ['a login with a line end', { username: 'a\nb' }, 'unreadable'],
    ['an id with a wildcard', { user_id: '*' }, 'unreadable'],
  ])('is %s', (_, change, kind) => {
    expect(tokenWith(change).owner.kind).toBe(kind)
  })

  test('may have a number for an id, as SQL resolvers do', () => {
    expect(tokenWith({ user_id: 42 }).owner).toMatchObject({ kind: 'user', userId: '42' })
  })
})

test.each(['id', 'serial', 'tokentype', 'active', 'revoked', 'failcount', 'maxfail'])(
  'a row without the field %s is refused, and the message names it',
  (name) => {
    expect(() => tokenWith({ [name]: undefined })).toThrow(AppError)
    expect(() => tokenWith({ [name]: undefined })).toThrow(new RegExp(`the field ${name} is not`))
  },
)
