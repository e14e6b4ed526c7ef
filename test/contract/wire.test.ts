import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toWire } from '../../src/contract/wire.ts'

const AT = Date.UTC(2026, 10, 30, 8, 15)
const AT_TEXT = '2026-11-30T08:15:00.000Z'

describe('what --json prints', () => {
  test('has instants as texts, and lengths of time as numbers', () => {
    const known = { atMs: AT, sinceMs: AT, loadedMs: AT, plannedAtMs: AT, readyMs: null, endsMs: [AT], tookMs: 12 }
    expect(toWire(known)).toEqual({
      at: AT_TEXT,
      since: AT_TEXT,
      loadedAt: AT_TEXT,
      plannedAt: AT_TEXT,
      readyAt: null,
      endsAt: [AT_TEXT],
      tookMs: 12,
    })
    expect(toWire({ takenAtUs: AT * 1000 + 7 })).toEqual({ takenAt: '2026-11-30T08:15:00.000007Z' })
    expect(toWire({ accountsLockedByUs: 2, lockedByUs: true })).toEqual({ accountsLockedByUs: 2, lockedByUs: true })
  })

  test('an instant that no date can be stops nothing', () => {
    expect(toWire([{ untilMs: 1e300 }, { untilMs: AT }])).toEqual([
      { until: '+275760-09-13T00:00:00.000Z' },
      { until: AT_TEXT },
    ])
  })

  test('has reasons as codes with parameters and their sentence', () => {
    const reason = { code: 'token-max-fail', params: { serial: 'T1' } }
    const text = expect.stringContaining('T1')
    expect(toWire({ why: reason })).toEqual({ why: { ...reason, text } })
    const parts = { reason: 'token T1 …', reasonCode: 'token-max-fail', reasonParams: { serial: 'T1' } }
    expect(toWire(parts)).toEqual({ reason: { ...reason, text: 'token T1 …' } })
    expect(toWire({ why: '', whyCode: null })).toEqual({ why: null })
    expect(toWire({ why: 'was written by an older version', whyCode: null })).toEqual({
      why: {
        code: 'plain-text',
        params: { text: 'was written by an older version' },
        text: 'was written by an older version',
      },
    })
  })

  test('leaves a reason that has its sentence, whatever else is told of it', () => {
    const reason = {
      code: 'source-unread',
      params: { forMs: 7 },
      text: 'privacyIDEA could not be read',
      gravity: 'warning',
    }
    expect(toWire([reason])).toEqual([reason])
  })

  test('has findings as codes as well', () => {
    expect(toWire({ kind: 'breaker', reason: 'too many', fix: 'wait', params: null, firstMs: AT })).toEqual({
      code: 'breaker',
      params: {},
      text: 'too many',
      fix: 'wait',
      firstAt: AT_TEXT,
    })
  })

  test('an account that stands badly keeps its word and its code', () => {
    expect(toWire({ standing: 'failed', standingCode: 'directory-busy' })).toEqual({
      standing: 'failed',
      standingCode: 'directory-busy',
    })
  })

  test('any data can be shown, without changing what it is about', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.stringify(toWire(value))).toBeTypeOf('string')
      }),
    )
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.integer()), (value) => {
        const { reason: _reason, ...rest } = value
        expect(toWire(rest)).toEqual(rest)
      }),
    )
  })
})
