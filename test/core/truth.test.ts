import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldEvents } from '../../src/core/fold.ts'
import type { Token } from '../../src/core/token.ts'
import { deriveEvents, tokenTruths, type KnownTruth, type Truth } from '../../src/core/truth.ts'
import { ALICE, S1, S2 } from './arbitrary.ts'

const POLICY = { lockWhen: 'any-token-locked', disabledTokens: 'ignore', revokedTokens: 'ignore' } as const

function token(serial: typeof S1, change: Partial<Token> = {}): Token {
  return {
    id: 1,
    serial,
    type: 'hotp',
    isActive: true,
    isRevoked: false,
    failCount: 0,
    failCountMax: 10,
    isFull: false,
    owner: { kind: 'none' },
    rolloutState: '',
    isEnrolled: true,
    ...change,
  }
}

describe('which tokens hold their owner', () => {
  const full = { isFull: true }
  test.each([
    ['a full token', [token(S1, full)], POLICY, [true]],
    ['a token with failures left', [token(S1)], POLICY, [false]],
    ['a full token that is not enrolled', [token(S1, { ...full, isEnrolled: false })], POLICY, [false]],
    ['a full token that is disabled', [token(S1, { ...full, isActive: false })], POLICY, [false]],
    [
      'a disabled token, which means locked',
      [token(S1, { isActive: false })],
      { ...POLICY, disabledTokens: 'lock' },
      [true],
    ],
    [
      'a full disabled token, which counts',
      [token(S1, { ...full, isActive: false })],
      { ...POLICY, disabledTokens: 'count' },
      [true],
    ],
    [
      'a revoked token, which means locked',
      [token(S1, { isRevoked: true })],
      { ...POLICY, revokedTokens: 'lock' },
      [true],
    ],
    [
      'one of two that must all be full',
      [token(S1, full), token(S2)],
      { ...POLICY, lockWhen: 'all-tokens-locked' },
      [false, false],
    ],
    [
      'two of two that must all be full',
      [token(S1, full), token(S2, full)],
      { ...POLICY, lockWhen: 'all-tokens-locked' },
      [true, true],
    ],
    [
      'all that count are full',
      [token(S1, full), token(S2, { isActive: false })],
      { ...POLICY, lockWhen: 'all-tokens-locked' },
      [true, false],
    ],
    ['no token at all', [], { ...POLICY, lockWhen: 'all-tokens-locked' }, []],
  ] as const)('%s', (_name, tokens, policy, locked) => {
    expect(tokenTruths(tokens, policy).map(({ isLocked }) => isLocked)).toEqual(locked)
  })
})

describe('property: what is read becomes events', () => {
  const truths = fc.uniqueArray(fc.record({ serial: fc.constantFrom(S1, S2), isLocked: fc.boolean() }), {
    selector: ({ serial }) => serial,
  })
  const lockout = fc.constantFrom(null, { untilUs: null }, { untilUs: 9_000_000 })
  let ids = 0
  const derive = (known: KnownTruth, truth: Truth, atUs: number) =>
    deriveEvents(ALICE, known, truth, atUs, () => `n${String(++ids).padStart(9, '0')}`)

  test('equal readings give none, and the fold of all of them says what was read last', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(truths, lockout), { minLength: 1, maxLength: 5 }), (readings) => {
        let known: KnownTruth = { tokens: [], lockout: null }
        const events = []
        for (const [at, [tokens, out]] of readings.entries()) {
          const gone = known.tokens
            .map(({ serial }) => serial)
            .filter((serial) => !tokens.some((t) => t.serial === serial))
          events.push(...derive(known, { tokens, gone, lockout: out }, (at + 1) * 1_000))
          known = { tokens, lockout: out }
          expect(derive(known, { tokens, gone: [], lockout: out }, 1)).toEqual([])
        }
        const state = foldEvents(ALICE, events, { nowUs: 1_000_000, lockTtlUs: null })
        expect(state.serials).toEqual(known.tokens.map(({ serial }) => serial).toSorted())
        const held = known.tokens.filter(({ isLocked }) => isLocked).map(({ serial }) => serial)
        expect(state.holds.flatMap(({ serial }) => serial ?? []).toSorted()).toEqual(held.toSorted())
        expect(state.holds.some(({ kind }) => kind === 'lockout')).toBe(known.lockout !== null)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a serial that is in neither list, and a lockout that is not known, change nothing', () => {
    const known = { tokens: [{ serial: S1, isLocked: true }], lockout: { untilUs: null } }
    expect(derive(known, { tokens: [], gone: [], lockout: 'unknown' }, 1)).toEqual([])
  })

  test('a hold without a serial of the time before ends when no token is full', () => {
    const known = { tokens: [], lockout: null, isHeldWithoutSerial: true }
    const open = derive(known, { tokens: [{ serial: S1, isLocked: false }], gone: [], lockout: null }, 1)
    expect(open.map(({ kind, serial }) => [kind, serial])).toEqual([
      ['register', S1],
      ['unlock', null],
    ])
    const full = derive(known, { tokens: [{ serial: S1, isLocked: true }], gone: [], lockout: null }, 1)
    expect(full.map(({ kind }) => kind)).toEqual(['register', 'lock'])
  })
})
