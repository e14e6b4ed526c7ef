import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  answerOf,
  refusalScope,
  type MailStage,
  type RefusalKind,
  type RefusalScope,
} from '../../../src/core/mail/mail-answer.ts'
import { parseEhloName } from '../../../src/core/mail/ehlo-name.ts'
import { doubtMs, refusedMs } from '../../../src/core/mail/mail-times.ts'
import { fullName } from '../../../src/notify/ehlo-name.ts'
import {
  afterSent,
  failed,
  judgeRefusal,
  type MailRefusals,
  type MailServerRecord,
  type Refusal,
} from '../../../src/core/mail/mail-verdict.ts'

/** Whom a refusal of a mail server is about. */

type Case = readonly [stage: MailStage, response: string, scope: RefusalScope, kind: RefusalKind]

/** As Postfix 3.7.11 answered with the restrictions that bring each about. */
const POSTFIX: readonly Case[] = [
  ['recipient', '504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname', 'server', 'ehlo-name'],
  ['recipient', '501 5.5.2 <a_b..c>: Helo command rejected: Invalid name', 'server', 'ehlo-name'],
  ['recipient', '450 4.7.1 <vm.example.invalid>: Helo command rejected: Host not found', 'unclear', 'ehlo-name'],
  ['hello', '504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname', 'server', 'ehlo-name'],
  ['recipient', '554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied', 'unclear', 'client'],
  ['sender', '503 5.7.0 Error: access denied for localhost[127.0.0.1]', 'server', 'client'],
  ['recipient', '450 4.1.8 <lockstep@nodomain.invalid>: Sender address rejected: Domain not found', 'server', 'sender'],
  ['recipient', '504 5.5.2 <lockstep>: Sender address rejected: need fully-qualified address', 'server', 'sender'],
  ['recipient', '554 5.7.1 <lockstep@example.org>: Sender address rejected: Access denied', 'unclear', 'sender'],
  ['recipient', '553 5.7.1 <a@example.org>: Sender address rejected: not owned by user b', 'unclear', 'sender'],
  ['recipient', '554 5.7.1 <u@elsewhere.example>: Relay access denied', 'unclear', 'relay'],
  ['recipient', '454 4.7.1 <u@elsewhere.example>: Relay access denied', 'unclear', 'relay'],
  ['recipient', '554 5.7.1 <helpdesk@example.org>: Recipient address rejected: Access denied', 'unclear', 'policy'],
  ['recipient', '450 4.7.1 Session encryption is required', 'unclear', 'tls'],
  ['sender', '530 5.7.0 Must issue a STARTTLS command first', 'server', 'tls'],
  [
    'recipient',
    '550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in local recipient table',
    'mail',
    'recipient',
  ],
]

/** As their documents and public logs have them. */
const OTHERS: readonly Case[] = [
  ['recipient', '530 5.7.1 Authentication required', 'server', 'login'],
  ['recipient', '530 5.7.57 Client not authenticated to send mail', 'server', 'login'],
  ['message', '550 5.7.60 SMTP; Client does not have permissions to send as this sender', 'server', 'sender'],
  ['recipient', '550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain', 'unclear', 'relay'],
  ['recipient', '550 5.7.64 TenantAttribution; Relay Access Denied', 'server', 'relay'],
  ['recipient', '550 5.7.25 The client has no PTR record', 'server', 'client'],
  ['message', '550-5.7.26 This mail is unauthenticated\n550 5.7.26 see the page', 'server', 'sender'],
  ['recipient', '550 relay not permitted', 'unclear', 'relay'],
  ['recipient', '550 Unrouteable address', 'unclear', 'policy'],
  ['recipient', '550 5.7.1 <helo@sender.example>... Rejected', 'unclear', 'policy'],
  ['recipient', '530 Authentication required', 'server', 'login'],
  ['recipient', '552 5.2.2 mailbox full', 'mail', 'mailbox'],
  ['recipient', '552 mailbox is full', 'mail', 'mailbox'],
  ['recipient', '452 4.2.2 over quota', 'mail', 'mailbox'],
  ['recipient', '452 4.3.1 Insufficient system storage', 'server', 'server'],
  ['recipient', '451 4.7.1 greylisted', 'unclear', 'policy'],
  ['recipient', '450 4.2.0 <x@example.org>: Recipient address rejected: Greylisted', 'mail', 'mailbox'],
  ['recipient', '421 4.7.0 Too many errors', 'server', 'server'],
  ['recipient', '550 5.1.10 RecipientNotFound', 'mail', 'recipient'],
  ['recipient', '550 5.1.0 Address rejected', 'unclear', 'policy'],
  ['sender', '552 5.3.4 Message size exceeds fixed limit', 'mail', 'content'],
  ['sender', '550 5.1.7 Invalid address', 'server', 'sender'],
  ['message', '554 5.6.0 Bad content', 'mail', 'content'],
  ['message', '554 5.7.1 Message rejected', 'unclear', 'policy'],
  ['connect', '554 5.7.1 no mail from you', 'server', 'client'],
  ['recipient', '556 5.1.10 domain takes no mail', 'mail', 'recipient'],
  // No enhanced code: a number that is part of the text.
  ['recipient', '550 5.7.1.example.org does not resolve', 'unclear', 'policy'],
]

test.each([...POSTFIX, ...OTHERS])('%s: %s is about: %s', (stage, response, scope, kind) => {
  const answer = answerOf(stage, response)
  if (answer === null) throw new Error('no answer')
  expect([refusalScope(answer), answer.kind]).toEqual([scope, kind])
})

test('whatever a server writes, it is read without failing, and no positive answer is a refusal', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('', '250 ', '354 ', '550 ', '450-4.', '5'), (text, head) => {
      const answer = answerOf('recipient', `${head}${text}`)
      if (answer !== null) expect(answer.status).toBeGreaterThanOrEqual(400)
    }),
  )
  expect(['250 2.1.5 Ok', '354 go on', '', '5.7.1', '55'].map((text) => answerOf('recipient', text))).toEqual(
    Array.from({ length: 5 }, () => null),
  )
})

const NOTHING: MailServerRecord = { failing: null, sentMs: null, takenMs: null, accepted: 0, suspect: null }
const MINUTE_MS = 60_000

function refusal(response: string, stage: MailStage = 'recipient'): Refusal {
  const answer = answerOf(stage, response)
  if (answer === null) throw new Error('no answer')
  return { answer, code: 'mail-refused', reason: response, reasonOfAll: `all: ${response}`, fix: 'Do something.' }
}

const DENIED = refusal('554 5.7.1 Access denied')

test('refused alike, the second recipient shows that the server refuses all; the same recipient again does not', () => {
  const first = judgeRefusal(DENIED, { before: null, recipient: 'a' }, NOTHING, 0)
  expect([first.verdict, first.server.failing]).toEqual(['doubted', null])
  const again = judgeRefusal(DENIED, { before: first.refusals, recipient: 'a' }, first.server, 1_000)
  expect(again.verdict).toBe('doubted')
  const other = judgeRefusal(refusal('550 no'), { before: null, recipient: 'b' }, first.server, 1_000)
  expect(other.verdict).toBe('doubted')
  const second = judgeRefusal(DENIED, { before: null, recipient: 'b' }, again.server, 2_000)
  expect(second).toMatchObject({ verdict: 'server', server: { failing: { sinceMs: 0, fix: 'Do something.' } } })
  // An answer about one mail says nothing of the others.
  const unknown = judgeRefusal(refusal('550 5.1.1 unknown'), { before: null, recipient: 'c' }, second.server, 3_000)
  expect(unknown.verdict).toBe('refused')
  expect(unknown.server.failing).not.toBeNull()
  expect(afterSent(second.server, 4_000)).toEqual({
    failing: null,
    sentMs: 4_000,
    takenMs: 4_000,
    accepted: 1,
    suspect: null,
  })
})

test('one recipient alone is waited for, and after ten minutes that is reported; what is put off, after an hour', () => {
  const rounds = (each: Refusal, minutes: number): { verdicts: Set<string>; isReported: boolean } => {
    let before: MailRefusals | null = null
    let known = NOTHING
    const verdicts = new Set<string>()
    for (let minute = 0; minute <= minutes; minute++) {
      const judged = judgeRefusal(each, { before, recipient: 'a' }, known, minute * MINUTE_MS)
      before = judged.refusals
      known = judged.server
      verdicts.add(judged.verdict)
    }
    return { verdicts, isReported: known.failing !== null }
  }
  expect(rounds(DENIED, 9)).toEqual({ verdicts: new Set(['doubted']), isReported: false })
  expect(rounds(DENIED, 10)).toEqual({ verdicts: new Set(['doubted']), isReported: true })
  const later = refusal('450 4.7.1 Client host rejected: cannot find your hostname')
  expect(rounds(later, 59)).toEqual({ verdicts: new Set(['deferred']), isReported: false })
  expect(rounds(later, 60)).toEqual({ verdicts: new Set(['deferred']), isReported: true })
})

test('greylisting of everybody stops nobody, and is reported only where it lasts', () => {
  const later = refusal('451 4.7.1 greylisted')
  let known = NOTHING
  for (let at = 0; at < 100; at++) {
    const judged = judgeRefusal(later, { before: null, recipient: `u${at}` }, known, at * 1_000)
    expect(judged.verdict).toBe('deferred')
    known = judged.server
  }
  expect(known.failing).toBeNull()
  known = judgeRefusal(later, { before: null, recipient: 'u1' }, known, 11 * MINUTE_MS).server
  expect(known.failing?.reason).toBe('451 4.7.1 greylisted')
})

test('an answer ends what was known of a server that was away, and what a server has against all ends with a mail that it takes', () => {
  const away = failed(NOTHING, { code: 'mail-unreachable', reason: 'away', fix: '', answer: null }, 0)
  expect(judgeRefusal(DENIED, { before: null, recipient: 'a' }, away, 1).server.failing).toBeNull()
  const sender = judgeRefusal(refusal('550 5.7.1 no', 'sender'), { before: null, recipient: 'a' }, NOTHING, 0)
  expect(sender.verdict).toBe('server')
  expect(judgeRefusal(DENIED, { before: null, recipient: 'a' }, sender.server, 1).server.failing).toBeNull()
  const login = judgeRefusal(refusal('530 5.7.1 Authentication required'), { before: null, recipient: 'a' }, NOTHING, 0)
  expect(login.verdict).toBe('server')
  expect(judgeRefusal(DENIED, { before: null, recipient: 'b' }, login.server, 1).server.failing).not.toBeNull()
})

test('a refusal of all is tried after 1 s and ever later, up to 5 minutes; a doubtful one after 2 and 4 s, then as one that is put off', () => {
  expect([0, 1, 4, 5, 6, 7, 8, 9, 99].map((failures) => refusedMs(failures) / 1_000)).toEqual([
    1, 2, 16, 30, 60, 120, 240, 300, 300,
  ])
  expect([1, 2, 3, 4, 99].map((times) => doubtMs(times, 0) / 1_000)).toEqual([2, 4, 60, 120, 3_600])
})

test('what this machine calls itself is a name or an address in brackets, and by default its full name', () => {
  const good = [
    'lockstep.example.org',
    'mail',
    'a-1.b',
    '[192.0.2.1]',
    '[IPv6:2001:db8::1]',
    '[IPv6:::ffff:192.0.2.1]',
    '[IPv6:::]',
  ]
  expect(good.map(parseEhloName)).toEqual(good)
  const bad = [
    '',
    '192.0.2.1',
    '[192.0.2.256]',
    '[192.0.2]',
    '[IPv6:1::2::3]',
    '[IPv6:12345::]',
    '[2001:db8::1]',
    'a b',
    'a..b',
  ]
  const odd = [
    '-a.b',
    'a_b.c',
    'a.b\r\nRCPT TO:<x>',
    'ä.example.org',
    `${'a'.repeat(64)}.b`,
    '.',
    '[]',
    `${'a.'.repeat(130)}b`,
  ]
  expect([...bad, ...odd].map(parseEhloName)).toEqual([...bad, ...odd].map(() => null))
  fc.assert(
    fc.property(fc.ipV6(), (address) => parseEhloName(`[IPv6:${address}]`) !== null),
    { examples: [['::1']] },
  )
  const hosts = '127.0.0.1 localhost vm.localdomain # vm.comment.example\n192.0.2.7 alias VM.example.org vm\n'
  expect([
    fullName('vm.example.net', hosts),
    fullName('vm', hosts),
    fullName('other', hosts),
    fullName('192.0.2.1', ''),
  ]).toEqual(['vm.example.net', 'VM.example.org', null, '[192.0.2.1]'])
})
