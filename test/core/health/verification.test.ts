import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asDn } from '../../../src/core/names.ts'
import type { LockObservation, OwnedLock } from '../../../src/core/account/state.ts'
import { judgeLock, nextLook, type ObservedAt } from '../../../src/core/health/verification.ts'

const DN = asDn('uid=u1,dc=example')
const VALUE = '000001010000Z'
const SLOT = { dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole' as const }
const OWNED: OwnedLock = { slots: [{ ...SLOT, before: [], after: [VALUE] }], dn: DN, holds: [] }
const URLS = ['ldap://a', 'ldap://b', 'ldap://c']

type At = 'locked' | 'toothless' | 'unread' | 'open' | 'absent' | 'away'

function seenAt(at: At, index: number): ObservedAt {
  const url = URLS[index] ?? ''
  if (at === 'away') return { url, failure: 'no answer', found: null }
  if (at === 'absent') return { url, failure: null, found: null }
  const current = at === 'open' ? [] : [VALUE]
  const state = at === 'open' ? 'open' : 'as-ours'
  const effective =
    at === 'toothless'
      ? { is: 'no' as const, reason: 'no overlay' }
      : at === 'unread'
        ? { is: 'unknown' as const, reason: 'not read' }
        : { is: 'yes' as const }
  const lock: LockObservation = { state, other: null, slots: [{ ...SLOT, current, locked: [VALUE] }], effective }
  return { url, failure: null, found: { dn: DN, lock } }
}

const judge = (ats: readonly At[], expected: Partial<Parameters<typeof judgeLock>[0]> = {}) =>
  judgeLock({ wanted: 'locked', owned: OWNED, writer: 'ldap://a', holders: [], ...expected }, ats.map(seenAt))

const anywhere = fc.array(fc.constantFrom<At>('locked', 'toothless', 'unread', 'open', 'absent', 'away'), {
  minLength: 1,
  maxLength: 3,
})

describe('a lock on several servers', () => {
  it('is verified on those where it stands and bites, and never on more', () => {
    fc.assert(
      fc.property(anywhere, (ats) => {
        const { verified, servers } = judge(ats)
        expect(verified).toBe(ats.filter((at) => at === 'locked').length)
        expect(servers).toHaveLength(ats.length)
      }),
    )
  })

  it('names somebody else’s lock at each server that has one, beside ours and after ours went', () => {
    const other = { is: 'locked', cause: 'expired', attribute: 'accountExpires', untilUs: null } as const
    const besides = (at: At, index: number): ObservedAt => {
      const seen = seenAt(at, index)
      return seen.found === null ? seen : { ...seen, found: { ...seen.found, lock: { ...seen.found.lock, other } } }
    }
    const locked = judgeLock({ wanted: 'locked', owned: OWNED, writer: 'ldap://a', holders: [] }, [
      besides('locked', 0),
      seenAt('locked', 1),
    ])
    expect(locked.servers.map(({ otherLock = '' }) => otherLock.includes('accountExpires'))).toEqual([true, false])
    expect([locked.verified, locked.problem]).toEqual([2, null])
    const open = judgeLock({ wanted: 'open', owned: null, writer: 'ldap://a', holders: [] }, [besides('open', 0)])
    expect(open.servers[0]).toMatchObject({ stands: 'yes', otherLock: expect.stringContaining('expired') })
  })

  it('is effective only where every server on which it stands says so, and not where one says no', () => {
    expect(judge(['locked', 'locked', 'away']).effective).toBe('yes')
    expect(judge(['locked', 'unread']).effective).toBe('unknown')
    expect(judge(['locked', 'unread', 'toothless']).effective).toBe('no')
    expect(judge(['away', 'away']).effective).toBe('unknown')
  })

  it('is written by the word of the server that took it, and without that of any', () => {
    expect(judge(['open', 'locked']).written).toBe('no')
    expect(judge(['away', 'locked']).written).toBe('yes')
    expect(judge(['away', 'open']).written).toBe('no')
    expect(judge(['away', 'away']).written).toBe('unknown')
  })

  it('was taken away only where a server that had it has it no longer', () => {
    expect(judge(['locked', 'open']).isUnlockedExternally).toBe(false)
    expect(judge(['locked', 'open'], { holders: ['ldap://b'] }).isUnlockedExternally).toBe(true)
    expect(judge(['open', 'open']).isUnlockedExternally).toBe(true)
    expect(judge(['open', 'locked'], { writer: null }).isUnlockedExternally).toBe(false)
  })

  it('that stands nowhere is no fault of the replication; one that misses somewhere is, with the server named', () => {
    expect(judge(['open', 'open']).problem).toBeNull()
    expect(judge(['locked', 'absent', 'open']).problem).toMatchObject({
      kind: 'missing',
      reason: 'the lock does not stand at ldap://b and ldap://c',
    })
    expect(judge(['locked', 'away']).problem).toBeNull()
    expect(judge(['toothless', 'open']).problem).toMatchObject({ kind: 'not-effective' })
  })

  it('that was taken away by us has to be gone everywhere', () => {
    const open = { wanted: 'open' as const, owned: null }
    expect(judge(['open', 'absent'], open)).toMatchObject({ verified: 2, problem: null })
    expect(judge(['open', 'locked'], open).problem).toMatchObject({ kind: 'still-locked' })
    expect(judge(['locked', 'locked'], open).problem).toBeNull()
  })
})

describe('the next look', () => {
  it('comes ever later, is never without end, and tells a delay only when it is more than one', () => {
    fc.assert(
      fc.property(anywhere, fc.integer({ min: 0, max: 200_000 }), fc.nat(50), (ats, ageMs, tries) => {
        const verdict = judge(ats)
        const { afterMs, isReported } = nextLook(verdict, ageMs, tries)
        const isFine = ats.every((at) => at === 'locked' || at === 'unread')
        expect(afterMs === null).toBe(isFine)
        if (afterMs !== null) expect(afterMs).toBeGreaterThanOrEqual(250)
        if (afterMs !== null) expect(afterMs).toBeLessThanOrEqual(300_000)
        if (isReported) expect(verdict.problem).not.toBeNull()
        if (verdict.problem?.kind === 'missing') expect(isReported).toBe(ageMs >= 60_000)
      }),
    )
  })

  it('is not put off by a clock that was set back', () => {
    expect(nextLook(judge(['locked', 'open']), -5_000, 0)).toEqual({ afterMs: 60_000, isReported: true })
  })
})
