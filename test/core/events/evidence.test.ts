import { expect, test } from 'vitest'
import { restoredHold, restoredRelease, weighFile, type FileKnowledge } from '../../../src/core/events/evidence.ts'
import { headerOf } from '../../../src/core/ldif.ts'
import { parseHoldName } from '../../../src/core/names.ts'
import { testKey } from '../../store/test-store.ts'

/** What a waiting file is worth that the record does not ask for. */

const KEY = testKey(1)
const AT_MS = 1_000_000

function header() {
  return headerOf({
    atMs: AT_MS,
    event: 'lock',
    actor: '',
    account: KEY,
    change: 'c1',
    reason: { code: 'no-hold-left', params: {} },
  })
}

function known(over: Partial<FileKnowledge>): FileKnowledge {
  const account = { sinceMs: AT_MS - 10, updatedMs: AT_MS + 10 }
  return { isChangeClosed: false, account, journalNewestMs: AT_MS + 10, recordAgeMs: null, ...over }
}

test.each([
  ['the record covers its time', known({}), 'over'],
  [
    'its change is closed, whatever the times',
    known({ isChangeClosed: true, account: { sinceMs: 0, updatedMs: 1 } }),
    'over',
  ],
  ['its account was written last before it', known({ account: { sinceMs: 0, updatedMs: AT_MS - 1 } }), 'unknown'],
  ['its account came on record after it', known({ account: { sinceMs: AT_MS + 1, updatedMs: AT_MS + 9 } }), 'unknown'],
  ['its account is unknown to an older store', known({ account: null, journalNewestMs: AT_MS - 1 }), 'unknown'],
  ['its account is unknown to a newer store', known({ account: null }), 'stranger'],
  ['its account was touched since the older store was opened', known({ recordAgeMs: AT_MS - 1 }), 'unknown'],
  ['the record covered its time when it was opened', known({ recordAgeMs: AT_MS + 1 }), 'over'],
  [
    'its account is unknown, and the store was older when opened',
    known({ account: null, recordAgeMs: AT_MS - 1 }),
    'unknown',
  ],
  ['there is no record at all', known({ account: null, journalNewestMs: null }), 'stranger'],
] as const)('a file of which %s', (_what, knowledge, worth) => {
  expect(weighFile(header(), knowledge)).toBe(worth)
})

test.each([
  ['T1', 'lock', 'unlock'],
  ['account.0123456789abcdef', 'lock', 'unlock'],
  ['lockout.0123456789abcdef', 'lockout', 'lockout-end'],
  ['manual.0123456789abcdef', 'hold', undefined],
])('the file of %s is restored as %s, and its end as %s', (text, kind, end) => {
  const name = parseHoldName(text)
  if (name === null) throw new Error('no name')
  expect(restoredHold(KEY, name, 5, null)).toMatchObject({ kind, pinnedHold: name, takenAtUs: 5 })
  expect(restoredRelease(KEY, name, 6)?.kind).toBe(end)
})
