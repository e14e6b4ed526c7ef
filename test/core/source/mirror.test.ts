import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  foreignLockOf,
  isOurLockout,
  lockoutDurationS,
  lockoutStep,
  tokenStep,
  type ForeignLock,
  type MirroredLockout,
} from '../../../src/core/source/mirror.ts'
import { parseLogin, parseRealm, parseResolverName, parseUserId } from '../../../src/core/names.ts'
import type { LockObservation, OtherLock } from '../../../src/core/account/state.ts'
import { must } from '../../simulation/world.ts'

const NOW_US = 1_800_000_000_000_000
const S = 1_000_000
const FOR_GOOD: ForeignLock = { untilUs: null }
const user = {
  login: must(parseLogin('alice')),
  realm: must(parseRealm('r1')),
  resolver: must(parseResolverName('ldap1')),
  userId: must(parseUserId('7')),
}

function lockout(foreign: ForeignLock, state: MirroredLockout['state'] = 'set', atUs = NOW_US): MirroredLockout {
  const durationS = lockoutDurationS(foreign, atUs, 0.5)
  return { kind: 'lockout', user, state, durationS, untilUs: atUs + durationS * S }
}

function other(untilUs: number | null): OtherLock {
  return { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', untilUs }
}

describe('a lock in the directory', () => {
  const observed = (change: Partial<LockObservation>): { lock: LockObservation } => ({
    lock: { state: 'open', other: null, slots: [], effective: { is: 'yes' }, ...change },
  })

  test.each([
    ['nobody’s', observed({}), null],
    ['another’s, for good', observed({ other: other(null) }), { untilUs: null }],
    ['another’s that ends', observed({ other: other(5) }), { untilUs: 5 }],
    ['what may be one', observed({ other: { ...other(null), is: 'unknown' } }), null],
    ['one like ours', observed({ state: 'as-ours' }), { untilUs: null }],
    ['one like ours, and another that ends before it', observed({ state: 'as-ours', other: other(5) }), FOR_GOOD],
    ['one like ours without effect', observed({ state: 'as-ours', effective: { is: 'no', reason: '' } }), null],
    [
      'one like ours of unknown effect',
      observed({ state: 'as-ours', effective: { is: 'unknown', reason: '' } }),
      FOR_GOOD,
    ],
  ])('%s', (_title, seen, expected) => {
    expect(foreignLockOf(seen, false)).toEqual(expected)
  })

  test.each([
    ['ours alone', observed({ state: 'as-ours' }), null],
    ['ours and another’s', observed({ state: 'as-ours', other: other(null) }), FOR_GOOD],
    ['ours and another’s that ends', observed({ state: 'as-ours', other: other(5) }), { untilUs: 5 }],
  ])('%s, beside our record', (_title, seen, expected) => {
    expect(foreignLockOf(seen, true)).toEqual(expected)
  })
})

describe('a lockout of ours', () => {
  test('lasts a little longer than the directory’s lock, whatever the chance', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -10, max: 100_000_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (leftS, chance) => {
          const foreign = { untilUs: NOW_US + leftS * S }
          const durationS = lockoutDurationS(foreign, NOW_US, chance)
          const row = { ...lockout(foreign), durationS, untilUs: NOW_US + durationS * S }
          expect(durationS).toBeGreaterThan(Math.max(0, leftS))
          expect(lockoutStep(foreign, row, 'ours', NOW_US)).toBe('nothing')
        },
      ),
    )
  })

  test.each([
    ['its end has moved by an hour', { untilUs: NOW_US + 3_700 * S }],
    ['it now lasts for good', FOR_GOOD],
  ])('is set anew where %s', (_title, foreign) => {
    expect(lockoutStep(foreign, lockout({ untilUs: NOW_US + 100 * S }), 'ours', NOW_US)).toBe('set')
  })

  test('for good is set anew where the directory’s lock now has an end', () => {
    expect(lockoutStep({ untilUs: NOW_US + 60 * S }, lockout(FOR_GOOD), 'ours', NOW_US)).toBe('set')
  })

  test('that ended by itself is set again while the directory locks; one that was released is left alone', () => {
    const short = lockout({ untilUs: NOW_US + 10 * S })
    expect(lockoutStep(FOR_GOOD, short, 'none', short.untilUs)).toBe('set')
    expect(lockoutStep(FOR_GOOD, short, 'none', NOW_US)).toBe('leave')
    expect(lockoutStep(FOR_GOOD, { ...short, state: 'open' }, 'none', NOW_US)).toBe('set')
  })

  test('is known by its length, by nobody’s policy, and not for good', () => {
    const row = lockout(FOR_GOOD)
    const { durationS } = row
    for (const off of [-1, 0, 1]) expect(isOurLockout({ durationS: durationS + off, cause: 'manual' }, row)).toBe(true)
    for (const off of [-2, 2]) expect(isOurLockout({ durationS: durationS + off, cause: 'manual' }, row)).toBe(false)
    expect(isOurLockout({ durationS, cause: 'policy' }, row)).toBe(false)
    expect(isOurLockout({ durationS: null, cause: 'manual' }, row)).toBe(false)
  })

  test('only what is ours is ever released, and nobody else’s lockout is replaced', () => {
    const states = fc.constantFrom(null, lockout(FOR_GOOD), lockout(FOR_GOOD, 'open'), lockout(FOR_GOOD, 'left'))
    const foreigns = fc.constantFrom<ForeignLock | null>(null, FOR_GOOD, { untilUs: NOW_US + 60 * S })
    fc.assert(
      fc.property(foreigns, states, fc.constantFrom('others' as const, 'none' as const), (foreign, row, standing) => {
        const step = lockoutStep(foreign, row, standing, NOW_US)
        expect(step).not.toBe('release')
        if (standing === 'others') expect(step).not.toBe('set')
        if (foreign === null) expect(step).not.toBe('set')
      }),
    )
  })
})

test('a token is enabled only where we disabled it, and disabled only where it could be used', () => {
  const token = fc.record({ isActive: fc.boolean(), isRevoked: fc.boolean(), isEnrolled: fc.boolean() })
  const states = fc.constantFrom(null, 'open' as const, 'set' as const, 'left' as const)
  fc.assert(
    fc.property(fc.boolean(), states, fc.option(token), (isLocked, state, now) => {
      const step = tokenStep(isLocked, state, now)
      if (step === 'enable')
        expect([isLocked, state === 'open' || state === 'set', now?.isActive]).toEqual([false, true, false])
      if (step === 'disable')
        expect([isLocked, state === null || state === 'open', now?.isActive]).toEqual([true, true, true])
      if (now?.isRevoked === true) expect(['nothing', 'forget']).toContain(step)
      if (!isLocked && state !== null) expect(['enable', 'forget']).toContain(step)
    }),
  )
})
