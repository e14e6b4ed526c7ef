import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseMailAddress, parseMailbox } from '../../../src/core/mail/mail-address.ts'
import { preferredLanguage } from '../../../src/core/mail/mail-language.ts'
import { deferredMs, dueMs, spacingMs, troubleMs } from '../../../src/core/mail/mail-times.ts'
import { plainReason } from '../../../src/core/reasons/reason.ts'
import {
  countOf,
  gathered,
  ITEMS_OF_KIND_MAX,
  NOTICE_KINDS,
  type Digest,
  type Notice,
} from '../../../src/core/mail/notice.ts'

/** The pure parts of mail. */

const notice: fc.Arbitrary<Notice> = fc.record({
  kind: fc.constantFrom(...NOTICE_KINDS),
  atMs: fc.integer({ min: 0, max: 1_000_000 }),
  account: fc.constant(null),
  login: fc.constantFrom('a', 'b', null),
  realm: fc.constant(null),
  subject: fc.constant(''),
  causes: fc.constant([]),
  reason: fc.string().map(plainReason),
  count: fc.integer({ min: 1, max: 5 }),
})

test('whatever is gathered, in whatever portions, a mail stays bounded, counts everything and shows the newest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(notice, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 6 }),
      (pages) => {
        const digest = pages.reduce<Digest | null>((before, page) => gathered(before, page), null)
        if (digest === null) throw new Error('nothing')
        const all = pages.flat()
        expect(countOf(digest)).toBe(all.reduce((sum, { count }) => sum + count, 0))
        for (const kind of NOTICE_KINDS) {
          const shown = digest.items.filter((item) => item.kind === kind)
          const times = all.flatMap((each) => (each.kind === kind ? [each.atMs] : []))
          expect(shown).toHaveLength(Math.min(times.length, ITEMS_OF_KIND_MAX))
          if (times.length > 0) expect(shown.at(-1)?.atMs).toBe(Math.max(...times))
        }
        expect(digest.items.map(({ atMs }) => atMs)).toEqual(
          digest.items.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
        )
        expect([digest.firstMs, digest.lastMs]).toEqual([
          Math.min(...all.map(({ atMs }) => atMs)),
          Math.max(...all.map(({ atMs }) => atMs)),
        ])
      },
    ),
  )
})

test('no text becomes an address that could be two, or a header', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (before, after) => {
      for (const text of [`${before}a@example.org${after}`, `${before}${after}`]) {
        const address = parseMailAddress(text)
        // eslint-disable-next-line no-control-regex -- control characters are what must not be there
        if (address !== null) expect(address).not.toMatch(/[\s\u0000-\u001f\u007f,;:<>()"\\[\]]/)
        const mailbox = parseMailbox(text)
        // eslint-disable-next-line no-control-regex -- likewise
        if (mailbox !== null) expect(`${mailbox.name}${mailbox.address}`).not.toMatch(/[\u0000-\u001f\u007f<>"\\]/)
      }
    }),
  )
  for (const good of [
    'a@b.de',
    'jürgen@example.org',
    "o'neil+tag@sub.example.org",
    'root@localhost',
    'a@xn--bcher-kva.example',
  ]) {
    expect(parseMailAddress(good)).toBe(good)
  }
  for (const bad of [
    '',
    'a',
    '@b',
    'a@',
    'a@b@',
    'a b@c',
    'a@b.de\r\nBcc: x@y',
    '.a@b',
    'a..b@c',
    'a@-b',
    'a@b..c',
    'a@b,c@d',
  ]) {
    expect(parseMailAddress(bad)).toBeNull()
  }
  expect(parseMailbox('Lockstep <a@b.de>')).toEqual({ name: 'Lockstep', address: 'a@b.de' })
  expect(parseMailbox('a@b.de, c@d.de')).toBeNull()
})

test('the language is the one that somebody wants most among those there are', () => {
  expect(
    ['de', 'de-AT, en;q=0.5', 'fr, en;q=0.3, de;q=0.8', 'en-GB', 'fr', '', 'de;q=0, en', 'DE_de'].map(
      preferredLanguage,
    ),
  ).toEqual(['de', 'de', 'de', 'en', null, null, 'en', 'de'])
})

test('a backlog goes within about five minutes, a few mails go at the pace that is configured', () => {
  expect(spacingMs(1, 2)).toBe(500)
  expect(spacingMs(600, 2)).toBe(500)
  expect(spacingMs(10_000, 2) * 10_000).toBe(300_000)
  expect(spacingMs(1_000_000, 2)).toBe(20)
  expect([0, 1, 2, 9, 100].map((attempts) => deferredMs(attempts, 0) / 60_000)).toEqual([1, 2, 4, 60, 60])
  expect([0, 1, 2, 3, 4, 5, 50].map((failures) => troubleMs(failures) / 1_000)).toEqual([1, 2, 4, 8, 16, 30, 30])
  expect(dueMs(1_000, null, { gatherMs: 15, intervalMs: 500 })).toBe(1_015)
  expect(dueMs(1_000, 900, { gatherMs: 15, intervalMs: 500 })).toBe(1_400)
})
