import { expect, test } from 'vitest'
import {
  appliedLimits,
  limitReached,
  locksAllowed,
  type BreakerLimit,
  type BreakerSettings,
  type LockSubject,
} from '../../../src/core/guards/breaker.ts'
import { asDn, parseDirectoryName, parseRealm } from '../../../src/core/names.ts'
import { reasonText } from '../../../src/core/reasons/reason.ts'

const directory = parseDirectoryName('corp')
const realm = parseRealm('example')
if (directory === null) throw new RangeError('no name of a directory')
const ALICE: LockSubject = { directory, realm, dn: asDn('uid=alice, OU=Staff,dc=example,dc=org') }

function breaker(...limits: readonly Partial<BreakerLimit>[]): BreakerSettings {
  const all = limits.map((limit) => ({ of: 'all', only: [], max: { locks: 3 }, perMs: 60_000, ...limit }) as const)
  return { limits: all, reset: 'auto', approvals: 1 }
}

function countedUnder(subject: LockSubject, ...limits: readonly Partial<BreakerLimit>[]): string[] {
  return appliedLimits(breaker(...limits), subject).map(({ counted }) => counted)
}

test('a lock is counted over all, its directory, its realm and the unit that the account lies in', () => {
  const each = (['all', 'directory', 'realm', 'ou'] as const).map((of) => ({ of }))
  expect(countedUnder(ALICE, ...each)).toEqual([
    'all',
    'directory corp',
    'realm example',
    'ou ou=staff,dc=example,dc=org',
  ])
})

test('a limit for one realm or one unit is none for others; of several units around the account the nearest counts', () => {
  expect(countedUnder(ALICE, { of: 'realm', only: ['other'] })).toEqual([])
  expect(countedUnder({ ...ALICE, realm: null }, { of: 'realm' })).toEqual([])
  const units = ['dc=example,dc=org', 'ou=staff,dc=example,dc=org', 'ou=guests,dc=example,dc=org']
  expect(countedUnder(ALICE, { of: 'ou', only: units })).toEqual(['ou ou=staff,dc=example,dc=org'])
  expect(countedUnder(ALICE, { of: 'ou', only: ['ou=guests,dc=example,dc=org'] })).toEqual([])
})

test('a share is one of the directory’s accounts, and never less than a handful', () => {
  const [applied] = appliedLimits(breaker({ max: { share: 0.05 }, perMs: 3_600_000 }), ALICE)
  if (applied === undefined) throw new RangeError('no limit')
  expect(applied.counted).toBe('directory corp')
  expect([0, 99, 1000].map((known) => locksAllowed(applied.limit, known))).toEqual([5, 5, 50])
  const reason = { code: 'breaker-limit', params: limitReached(applied, 50, 'auto') } as const
  expect(reasonText(reason)).toBe(
    'at most 50 locks of directory corp within 1 h (5 % of its accounts); waits for lockstep review, or for room',
  )
})
