import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldEvents } from '../../../src/core/account/fold.ts'
import { parseLogin, parseRealm, parseResolverName, parseUserId, type Serial } from '../../../src/core/names.ts'
import type { Token } from '../../../src/core/source/token.ts'
import {
  deriveEvents,
  tokenSnapshots,
  withLossesHeld,
  type RecordedSnapshot,
  type Lockout,
  type SourceSnapshot,
} from '../../../src/core/source/snapshot.ts'
import { ALICE, S1, S2, serialOf } from '../arbitrary.ts'

const OWNER = ownerOf()
const S3 = serialOf('S3')
const POLICY = { lockWhen: 'any-token-locked', disabledTokens: 'ignore', revokedTokens: 'ignore' } as const
const ALL = { ...POLICY, lockWhen: 'all-tokens-locked' } as const

function ownerOf(): Token['owner'] {
  const [login, realm] = [parseLogin('alice'), parseRealm('r1')]
  const [resolver, userId] = [parseResolverName('ldap1'), parseUserId('u-1')]
  if (login === null || realm === null || resolver === null || userId === null) throw new Error('no owner')
  return { kind: 'user', login, realm, resolver, userId }
}

function tokenOf(serial: Serial, change: Partial<Token> = {}): Token {
  const open = { isActive: true, isRevoked: false, isFull: false, isEnrolled: true }
  return {
    id: 1,
    serial,
    type: 'hotp',
    failCount: 0,
    failCountMax: 10,
    owner: OWNER,
    rolloutState: '',
    fullSinceMs: null,
    madeAt: null,
    ...open,
    ...change,
  }
}

const full = (serial: Serial, change: Partial<Token> = {}): Token => tokenOf(serial, { isFull: true, ...change })

function lockedBy(tokens: readonly Token[], policy: Parameters<typeof tokenSnapshots>[1]): string {
  return tokenSnapshots(tokens, policy)
    .filter(({ isLocked }) => isLocked)
    .map(({ serial }) => serial)
    .join(' ')
}

describe('which tokens hold an account', () => {
  const disabled = { isActive: false }
  const revoked = { isActive: false, isRevoked: true }
  test.each([
    ['an open token', [tokenOf(S1)], POLICY, ''],
    ['no token at all', [], ALL, ''],
    ['one full token of two, any is enough', [full(S1), tokenOf(S2)], POLICY, 'S1'],
    ['one full token of two, all are needed', [full(S1), tokenOf(S2)], ALL, ''],
    ['two full tokens, all are needed', [full(S1), full(S2)], ALL, 'S1 S2'],
    ['the only token, all are needed', [full(S1)], ALL, 'S1'],
    ['one that is not enrolled yet says nothing', [full(S1, { isEnrolled: false })], POLICY, ''],
    ['nor is it needed', [full(S1), tokenOf(S2, { isEnrolled: false })], ALL, 'S1'],
    ['a full token that is disabled: ignored', [full(S1, disabled)], POLICY, ''],
    ['a disabled token is not needed where it is ignored', [full(S1), tokenOf(S2, disabled)], ALL, 'S1'],
    ['a full token that is disabled: counted', [full(S1, disabled)], { ...POLICY, disabledTokens: 'count' }, 'S1'],
    ['an open one that is disabled: counted', [tokenOf(S1, disabled)], { ...POLICY, disabledTokens: 'count' }, ''],
    ['it is needed where it is counted', [full(S1), tokenOf(S2, disabled)], { ...ALL, disabledTokens: 'count' }, ''],
    ['a disabled token: a lock', [tokenOf(S1, disabled)], { ...POLICY, disabledTokens: 'lock' }, 'S1'],
    ['a revoked token: ignored', [full(S1, revoked)], { ...POLICY, disabledTokens: 'lock' }, ''],
    ['a revoked token: a lock', [tokenOf(S1, revoked)], { ...POLICY, revokedTokens: 'lock' }, 'S1'],
    // It is disabled as well.
    ['a revoked token: counted, and disabled: ignored', [full(S1, revoked)], { ...POLICY, revokedTokens: 'count' }, ''],
    [
      'a revoked token: counted, and disabled: counted',
      [full(S1, revoked)],
      { ...POLICY, revokedTokens: 'count', disabledTokens: 'count' },
      'S1',
    ],
  ] as const)('%s', (_what, tokens, policy, locked) => {
    expect(lockedBy(tokens, policy)).toBe(locked)
  })
})

const serials = fc.constantFrom(S1, S2, S3)
const lockouts: fc.Arbitrary<Lockout | null> = fc.option(
  fc.record({ untilUs: fc.constantFrom(null, 60_000_000, 120_000_000) }),
)
const tokens = fc.uniqueArray(fc.record({ serial: serials, isLocked: fc.boolean() }), {
  selector: ({ serial }) => serial,
})
const knowns: fc.Arbitrary<RecordedSnapshot> = fc.record({ tokens, lockout: lockouts })
const truths: fc.Arbitrary<SourceSnapshot> = fc
  .record({ tokens, gone: fc.uniqueArray(serials), lockout: fc.oneof(lockouts, fc.constant('unknown' as const)) })
  .map((snapshot) => {
    const listed = snapshot.tokens.map(({ serial }) => serial)
    return { ...snapshot, gone: snapshot.gone.filter((serial) => !listed.includes(serial)) }
  })

function derive(known: RecordedSnapshot, snapshot: SourceSnapshot) {
  let ids = 0
  return deriveEvents(ALICE, known, snapshot, 1_000_000, () => `${++ids}`)
}

/** What is on record after a reading. */
function after(known: RecordedSnapshot, snapshot: SourceSnapshot): RecordedSnapshot {
  const read = new Set([...snapshot.gone, ...snapshot.tokens.map(({ serial }) => serial)])
  const kept = known.tokens.filter(({ serial }) => !read.has(serial))
  return {
    tokens: [...kept, ...snapshot.tokens],
    lockout: snapshot.lockout === 'unknown' ? known.lockout : snapshot.lockout,
  }
}

describe('the events between two readings', () => {
  test('equal readings give none', () => {
    fc.assert(
      fc.property(knowns, (known) => {
        expect(derive(known, { ...known, gone: [] })).toEqual([])
      }),
    )
  })

  test('read again, nothing is new', () => {
    fc.assert(
      fc.property(knowns, truths, (known, snapshot) => {
        expect(derive(after(known, snapshot), snapshot)).toEqual([])
      }),
    )
  })

  test('nothing is said of a serial that was not read', () => {
    fc.assert(
      fc.property(knowns, truths, (known, snapshot) => {
        const read = [...snapshot.gone, ...snapshot.tokens.map(({ serial }) => serial)]
        for (const { serial } of derive(known, snapshot)) if (serial !== null) expect(read).toContain(serial)
      }),
    )
  })

  test('the events of all readings together make what the last ones said', () => {
    fc.assert(
      fc.property(fc.array(truths, { maxLength: 6 }), (readings) => {
        let known: RecordedSnapshot = { tokens: [], lockout: null }
        let ids = 0
        const events = readings.flatMap((snapshot, index) => {
          const some = deriveEvents(ALICE, known, snapshot, 1_000 * (index + 1), () => String(++ids).padStart(6, '0'))
          known = after(known, snapshot)
          return some
        })
        const folded = foldEvents(ALICE, events, { nowUs: 50_000_000, lockTtlUs: null })
        expect(folded.serials).toEqual(known.tokens.map(({ serial }) => serial).toSorted())
        const held = folded.holds.flatMap(({ serial }) => (serial === null ? [] : [serial]))
        const locked = known.tokens.filter(({ isLocked }) => isLocked).map(({ serial }) => serial)
        expect(held.toSorted()).toEqual(locked.toSorted())
        expect(folded.holds.some(({ kind }) => kind === 'lockout')).toBe(known.lockout !== null)
      }),
    )
  })

  test('each is later than the one before, and none earlier than the reading', () => {
    fc.assert(
      fc.property(knowns, truths, (known, snapshot) => {
        const times = derive(known, snapshot).map(({ takenAtUs }) => takenAtUs)
        expect(times).toEqual(times.map((_time, index) => 1_000_000 + index))
      }),
    )
  })

  test('a lockout whose end is told in whole seconds is the same one', () => {
    const until = (untilUs: number): Lockout => ({ untilUs })
    const reading = (lockout: Lockout): SourceSnapshot => ({ tokens: [], gone: [], lockout })
    const known = { tokens: [], lockout: until(60_000_000) }
    expect(derive(known, reading(until(60_990_000)))).toEqual([])
    expect(derive(known, reading(until(59_010_000)))).toEqual([])
    expect(derive(known, reading(until(90_000_000)))).toMatchObject([{ kind: 'lockout', untilUs: 90_000_000 }])
  })

  test('a hold without a serial of the time before ends when no token is full', () => {
    const known = { tokens: [], lockout: null, isHeldWithoutSerial: true }
    const reading = (isLocked: boolean): SourceSnapshot => ({
      tokens: [{ serial: S1, isLocked }],
      gone: [],
      lockout: null,
    })
    expect(derive(known, reading(false)).map(({ kind, serial }) => [kind, serial])).toEqual([
      ['register', S1],
      ['unlock', null],
    ])
    expect(derive(known, reading(true)).map(({ kind }) => kind)).toEqual(['register', 'lock'])
  })
})

describe('a hold without a serial, while a token is missing', () => {
  const none = { waiting: [], dismissed: [], isLockoutNewer: false }
  test.each([
    ['it may be that of one that waits', { ...none, waiting: [S1] }, false, []],
    ['it may be that of a dismissed one that holds', { ...none, dismissed: [S1] }, true, []],
    ['a dismissed one that was open has none', { ...none, dismissed: [S1] }, false, ['unlock']],
  ] as const)('%s', (_, losses, isLocked, kinds) => {
    const known: RecordedSnapshot = { tokens: [{ serial: S1, isLocked }], lockout: null, isHeldWithoutSerial: true }
    const { before, reading } = withLossesHeld(known, { tokens: [], gone: [], lockout: null }, losses, POLICY)
    const events = deriveEvents(ALICE, before, reading, 1_000_000, () => 'x')
    expect(events.map(({ kind }) => kind)).toEqual(kinds)
  })
})
