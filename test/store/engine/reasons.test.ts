import { describe, expect, test } from 'vitest'
import { isSameReason, parseReason, reasonText, type Reason } from '../../../src/core/reasons/reason.ts'
import { digestFromRow } from '../../../src/store/mail/digests.ts'
import { reasonFromBody, reasonFromRow, reasonOfChange, reasonToRow } from '../../../src/store/rows/reasons.ts'

/** Reasons as they stand in the store: codes, and the sentences of older versions. */

const FULL: Reason = { code: 'token-max-fail', params: { serial: 'T1' } }

describe('what is on record', () => {
  test('a code with its parameters comes back as it was written', () => {
    for (const reason of [FULL, { code: 'manual', params: { text: '{"code":"undo","params":{}}' } }, null] as const) {
      expect(reasonFromRow(reasonToRow(reason))).toEqual(reason)
    }
  })

  test.each([
    ['token T1 reached its max fail count', FULL],
    ['lock taken away', { code: 'lock-removed', params: { passwordSetAt: null } }],
    ['our lock no longer stands in the directory', { code: 'lock-gone', params: { places: [] } }],
    ['laptop stolen', { code: 'plain-text', params: { text: 'laptop stolen' } }],
  ] as const)('the sentence "%s" of an older version', (sentence, reason) => {
    expect(reasonFromRow(sentence)).toEqual(reason)
    expect(reasonFromBody(sentence)).toEqual(reason)
    expect(reasonText(reasonOfChange(sentence))).toBe(sentence)
  })

  test('what is no reason is shown as it is, and what a newer version wrote as its code', () => {
    expect(reasonText(reasonFromRow('{"code":"'))).toBe('{"code":"')
    expect(reasonText(reasonFromRow('{"code":"of-the-future","params":{"a":1}}'))).toBe('of-the-future')
    for (const value of [null, 7, [], { code: 'undo' }, { code: 'toString', params: {} }]) {
      expect(parseReason(value)).toBeNull()
    }
  })

  test('a mail that an older version began is written to its end', () => {
    const cause = { sinceMs: null, untilMs: null, actor: 'anna' }
    const notice = {
      kind: 'locked',
      atMs: 1,
      account: null,
      login: 'u1',
      realm: null,
      subject: '',
      reason: '',
      count: 1,
    }
    const causes = [
      { ...cause, kind: 'token', serial: 'T1', reason: '' },
      { ...cause, kind: 'manual', serial: null, reason: 'laptop stolen' },
    ]
    const digest = digestFromRow(
      JSON.stringify({ counts: { locked: 1 }, items: [{ ...notice, causes }], firstMs: 1, lastMs: 1 }),
    )
    expect(digest.items[0]?.reason).toBeNull()
    expect(digest.items[0]?.causes.map(({ because }) => because)).toEqual([
      FULL,
      { code: 'manual', params: { text: 'laptop stolen' } },
    ])
  })
})

test('two reasons are the same by code and parameters, whatever an error said; a sentence may be any', () => {
  const failed = (error: 'directory-busy' | 'directory-timeout', said: string): Reason => {
    return { code: 'operation-failed', params: { error, said } }
  }
  expect(isSameReason(failed('directory-busy', 'a'), failed('directory-busy', 'b'))).toBe(true)
  expect(isSameReason(failed('directory-busy', 'a'), failed('directory-timeout', 'a'))).toBe(false)
  expect(isSameReason(FULL, { code: 'token-max-fail', params: { serial: 'T2' } })).toBe(false)
  expect(isSameReason(FULL, reasonFromRow('what an older version said'))).toBe(true)
  expect(isSameReason(null, FULL)).toBe(false)
})

test('in German what a server said is left out, and the code of the error stands there', () => {
  const reason: Reason = {
    code: 'operation-failed',
    params: { error: 'directory-unreachable', said: 'the connection was refused' },
  }
  expect(reasonText(reason, 'de')).toBe('das Verzeichnis ist nicht erreichbar (directory-unreachable)')
  expect(reasonText({ code: 'several', params: { reasons: [FULL, reason] } }, 'de')).toBe(
    'Token T1 hat die Höchstzahl an Fehlversuchen erreicht; das Verzeichnis ist nicht erreichbar (directory-unreachable)',
  )
})
