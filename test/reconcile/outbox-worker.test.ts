import { expect, test } from 'vitest'
import { AppError } from '../../src/core/error.ts'
import { answerOf, MailError, refusalScope, type MailAnswer } from '../../src/core/mail/mail-answer.ts'
import { parseMailAddress } from '../../src/core/mail/mail-address.ts'
import { asDn, parseLogin } from '../../src/core/names.ts'
import type { MailMessage } from '../../src/ports/store/mail.ts'
import { OutboxWorker, type MailPorts } from '../../src/reconcile/mail/outbox-worker.ts'
import { claimOf, openTestStore, START_MS, testKey, type TestStore } from '../store/test-store.ts'

/** The delivery over a real store, with a mail server that the test plays. */

const ADDRESS = parseMailAddress('a@example.org')
const RULES = {
  ownerKinds: ['locked'],
  helpDesk: [],
  helpDeskKinds: [],
  gatherMs: 0,
  intervalMs: 0,
  maxAgeMs: 86_400_000,
  unresolvedAfterMs: 900_000,
} as const

async function lockedStore(accounts: number): Promise<TestStore> {
  const opened = await openTestStore()
  const { store } = opened
  await store.notifications.begin()
  await Promise.all(
    Array.from({ length: accounts }, async (_, at) => {
      const [key, dn] = [testKey(at), asDn(`uid=user${at}`)]
      await store.snapshots.markForRefresh([{ key, dn, login: parseLogin(`user${at}`), realm: null }])
      const draft = { kind: 'lock', key, dn, serial: null, holds: [], forward: [], inverse: [], slots: [] } as const
      const planned = {
        ...draft,
        reason: { code: 'no-hold-left', params: {} } as const,
        actor: '',
        id: `c${at}`,
        plannedAtMs: START_MS,
      }
      const claim = await claimOf(store, key, START_MS)
      await store.records.plan(claim, planned)
      await store.records.close(claim, planned, 'applied', null)
    }),
  )
  return opened
}

function outboxWorker(
  opened: TestStore,
  send: MailPorts['transport']['send'],
  told: (string | null)[] = [],
  more: Partial<MailPorts> = {},
): OutboxWorker {
  const { store, clock } = opened
  return new OutboxWorker({
    clock,
    notifications: store.notifications,
    outbox: store.outbox,
    contacts: { ofOwner: () => Promise.resolve({ address: ADDRESS, language: null, name: '' }) },
    transport: { send, rest: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() },
    composer: {
      write: ({ id, sealedMs }, { address }) => {
        const from = { name: '', address }
        return { messageId: id, dateMs: sealedMs, from, replyTo: null, to: address, subject: '', text: '', html: '' }
      },
    },
    rules: RULES,
    perSecond: 50,
    onTrouble: (error) => void told.push(error?.code ?? null),
    ...more,
  })
}

test('while the server is away one mail at a time finds out, and each keeps its id and date until it is taken', async () => {
  await using opened = await lockedStore(5)
  const tried: MailMessage[] = []
  const told: (string | null)[] = []
  let isAway = true
  const post = outboxWorker(
    opened,
    (message) => {
      tried.push(message)
      return isAway ? Promise.reject(new AppError('mail-unreachable', 'away')) : Promise.resolve()
    },
    told,
  )
  await post.gather()
  for (let round = 1; round <= 3; round++) {
    expect(await post.deliver()).toBe(1_000 * 2 ** (round - 1))
    expect(tried).toHaveLength(round)
    opened.clock.setMs(START_MS + round * 60_000)
  }
  expect(told).toEqual(['mail-unreachable'])
  expect((await opened.store.mails.counts()).failing).toMatchObject({ sinceMs: START_MS, reason: 'away' })
  isAway = false
  await post.deliver()
  expect(told).toEqual(['mail-unreachable', null])
  const taken = tried.slice(3)
  expect(new Set(taken.map(({ messageId }) => messageId)).size).toBe(5)
  expect(taken).toHaveLength(5)
  for (const early of tried.slice(0, 3)) {
    expect(taken.find(({ messageId }) => messageId === early.messageId)?.dateMs).toBe(early.dateMs)
  }
  expect((await opened.store.mails.counts()).states).toEqual({ sent: 5 })
})

test('what could not be sent for longer than it is news is not sent, and is told as expired', async () => {
  await using opened = await lockedStore(2)
  let sent = 0
  const post = outboxWorker(opened, () => Promise.resolve(void sent++))
  await post.gather()
  opened.clock.setMs(START_MS + 2 * 86_400_000)
  await post.deliver()
  expect(sent).toBe(0)
  expect(await opened.store.mails.counts()).toMatchObject({ states: { expired: 2 }, lostLately: 2 })
})

/** Everybody has an address of their own, named for their account. */
const OWN_ADDRESSES: MailPorts['contacts'] = {
  ofOwner: (account) => {
    const address = parseMailAddress(`${account.replace(/[^a-z0-9]/gi, '')}@example.org`)
    return Promise.resolve({ address, language: null, name: '' })
  },
}

function refused(response: string): MailError {
  const answer = answerOf('recipient', response)
  if (answer === null) throw new Error('no answer')
  const isForGood = answer.status >= 500
  const code = refusalScope(answer) === 'server' ? 'mail-not-permitted' : isForGood ? 'mail-refused' : 'mail-deferred'
  return new MailError(code, response, {
    answer,
    said: response,
    messageOfAll: `all: ${response}`,
    hint: 'Do something.',
  })
}

interface Server {
  /** What it says to an address; null: it takes the mail. */
  answer: (address: string) => string | null
  readonly taken: string[]
  tries: number
}

/** A mail server that answers as it is told, and who was refused for ever. */
function server(
  opened: TestStore,
  ports: Partial<MailPorts> = {},
): {
  server: Server
  post: OutboxWorker
  told: (string | null)[]
  ended: (MailAnswer | null)[]
} {
  const told: (string | null)[] = []
  const ended: (MailAnswer | null)[] = []
  const playing: Server = { answer: () => null, taken: [], tries: 0 }
  const send: MailPorts['transport']['send'] = ({ to }) => {
    playing.tries++
    const response = playing.answer(to)
    if (response !== null) return Promise.reject(refused(response))
    playing.taken.push(to)
    return Promise.resolve()
  }
  let seed = 1
  // Park and Miller.
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const more = {
    clock: { nowMs: opened.clock.nowMs, random },
    contacts: OWN_ADDRESSES,
    onRefused: (_id: string, answer: MailAnswer | null) => void ended.push(answer),
  }
  return { server: playing, post: outboxWorker(opened, send, told, { ...more, ...ports }), told, ended }
}

async function rounds(opened: TestStore, post: OutboxWorker, count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    const waitMs = await post.deliver()
    opened.clock.setMs(opened.clock.nowMs() + waitMs)
  }
}

test.each([
  '554 5.7.1 <x>: Relay access denied',
  '504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname',
  '530 5.7.1 Authentication required',
  '550 relay not permitted',
])(
  'a server that refuses everybody with %s loses no mail, is tried ever less often, and all come once it takes them',
  async (response) => {
    await using opened = await lockedStore(12)
    const { server: playing, post, told, ended } = server(opened)
    playing.answer = () => response
    await post.gather()
    await rounds(opened, post, 30)
    const counts = await opened.store.mails.counts()
    expect(counts).toMatchObject({
      states: { waiting: expect.any(Number) },
      sentMs: null,
      lostLately: 0,
      failing: { sinceMs: START_MS, code: 'mail-not-permitted', reason: `all: ${response}`, fix: 'Do something.' },
    })
    expect((counts.states.waiting ?? 0) + (counts.states.gathering ?? 0)).toBe(12)
    // One mail a try, and a second one that showed that all are refused.
    expect(playing.tries).toBeLessThanOrEqual(31)
    expect(await post.deliver()).toBe(300_000)
    expect(told.filter((code) => code !== null)).toHaveLength(1)
    playing.answer = () => null
    // Those that found out wait as long.
    opened.clock.setMs(opened.clock.nowMs() + 300_000)
    await rounds(opened, post, 3)
    expect(playing.taken).toHaveLength(12)
    expect(new Set(playing.taken).size).toBe(12)
    expect(ended).toEqual([])
    expect(told.at(-1)).toBeNull()
    expect(await opened.store.mails.counts()).toMatchObject({ states: { sent: 12 }, failing: null })
  },
)

test('one that is refused while others are taken ends after its third refusal, and is never the last one sent', async () => {
  await using opened = await lockedStore(6)
  const { server: playing, post, told, ended } = server(opened)
  const all: string[] = []
  playing.answer = (address) => {
    all.push(address)
    return address === all[0] ? '554 5.7.1 Access denied' : null
  }
  await post.gather()
  await rounds(opened, post, 1)
  expect((await opened.store.mails.counts()).states).toEqual({ sent: 5, waiting: 1 })
  const { sentMs } = await opened.store.mails.counts()
  await rounds(opened, post, 20)
  expect(await opened.store.mails.counts()).toMatchObject({
    states: { sent: 5, refused: 1 },
    sentMs,
    refusedLately: 1,
    failing: null,
  })
  expect(ended).toEqual([{ stage: 'recipient', status: 554, enhanced: '5.7.1', kind: 'policy' }])
  expect(all.filter((address) => address === all[0])).toHaveLength(3)
  expect(told).toEqual([])
  const [listed] = await opened.store.mails.list({ states: ['refused'], limit: 10 })
  expect(listed).toMatchObject({ whyCode: 'mail-refused', answer: { status: 554, enhanced: '5.7.1' } })
})

test.each(['504 5.5.2 Helo command rejected', '554 5.7.1 Client host rejected', '450 4.2.0 Greylisted'])(
  'an outage (%s) that is over for one mail and comes back ends none of those that wait',
  async (answer) => {
    await using opened = await lockedStore(4)
    const { server: playing, post, ended } = server(opened)
    playing.answer = () => answer
    await post.gather()
    await rounds(opened, post, 25)
    expect(ended).toEqual([])
    let isOpenFor = 1
    playing.answer = () => (isOpenFor-- > 0 ? null : answer)
    while (playing.taken.length < 1) await rounds(opened, post, 1)
    await rounds(opened, post, 25)
    expect((await opened.store.mails.counts()).states).toEqual({ sent: 1, waiting: 3 })
    expect(ended).toEqual([])
  },
)

test('a group that is refused does not hold up the others behind it for longer than a few tries', async () => {
  await using opened = await lockedStore(60)
  const { server: playing, post, ended } = server(opened)
  const isElsewhere = (address: string): boolean => Number(/\d+/.exec(address)?.[0]) < 40
  playing.answer = (address) => (isElsewhere(address) ? '554 5.7.1 Relay access denied' : null)
  await post.gather()
  // Those elsewhere come first.
  opened.raw('update mail set due_ms = due_ms - 1000 where cast(substr(recipient, 17) as integer) < 40')
  while (playing.taken.length < 20) await rounds(opened, post, 1)
  expect(opened.clock.nowMs() - START_MS).toBeLessThan(300_000)
  await rounds(opened, post, 60)
  // What nobody takes waits, or has ended by itself; nothing else was refused.
  expect(playing.taken.filter(isElsewhere)).toEqual([])
  expect((await opened.store.mails.counts()).states['sent']).toBe(20)
  expect(ended.length).toBeGreaterThan(0)
})

test.each([
  // That shows nothing of relaying: it waits.
  ['takes another recipient', null, { waiting: 1 }, null],
  ['refuses another recipient alike', '554 5.7.1 Access denied', { waiting: 1 }, 'mail-not-permitted'],
  ['does not know the other recipient', '550 5.1.1 unknown', { waiting: 1 }, null],
] as const)(
  'one mail alone that is refused: where the server, asked for it, %s, that decides',
  async (_what, answer, states, code) => {
    await using opened = await lockedStore(1)
    const asked: string[] = []
    const ask: MailPorts['ask'] = (recipient) => {
      asked.push(recipient)
      return Promise.resolve(answer === null ? null : refused(answer))
    }
    const sender = parseMailAddress('lockstep@example.org')
    if (sender === null) throw new Error('no address')
    const { server: playing, post } = server(opened, { ask, sender })
    playing.answer = () => '554 5.7.1 Access denied'
    await post.gather()
    while (opened.clock.nowMs() - START_MS < 60_000) await rounds(opened, post, 1)
    const counts = await opened.store.mails.counts()
    expect(counts).toMatchObject({ states, sentMs: null })
    expect(counts.failing?.code ?? null).toBe(code)
    expect(new Set(asked)).toEqual(new Set([sender]))
    expect(asked.length).toBeLessThanOrEqual(3)
  },
)

test('nobody is asked about where the server cannot be asked, and the mail waits', async () => {
  await using opened = await lockedStore(1)
  const sender = parseMailAddress('lockstep@example.org')
  if (sender === null) throw new Error('no address')
  const ask: MailPorts['ask'] = () => Promise.reject(new AppError('mail-unreachable', 'away'))
  const { server: playing, post } = server(opened, { ask, sender })
  playing.answer = () => '554 5.7.1 Access denied'
  await post.gather()
  await rounds(opened, post, 200)
  expect((await opened.store.mails.counts()).states).toEqual({ waiting: 1 })
})

test('a person who wants the mails to be tried ends the wait for a server that refuses all', async () => {
  await using opened = await lockedStore(3)
  const { server: playing, post } = server(opened)
  playing.answer = () => '530 5.7.1 Authentication required'
  await post.gather()
  await rounds(opened, post, 3)
  expect(await opened.store.outbox.isRetryWanted()).toBe(false)
  expect(await opened.store.mails.retry(null)).toBe(3)
  expect(await opened.store.outbox.isRetryWanted()).toBe(true)
  await rounds(opened, post, 1)
  expect(await opened.store.outbox.isRetryWanted()).toBe(false)
  // Nothing was lost of what is known of it.
  expect((await opened.store.mails.counts()).failing).toMatchObject({ sinceMs: START_MS })
})

test('what ended without being sent names the last answer of the server', async () => {
  await using opened = await lockedStore(1)
  const { server: playing, post } = server(opened)
  playing.answer = () => '554 5.7.1 Access denied'
  await post.gather()
  await rounds(opened, post, 2)
  opened.clock.setMs(START_MS + 2 * 86_400_000)
  await rounds(opened, post, 1)
  const [listed] = await opened.store.mails.list({ limit: 10 })
  expect(listed).toMatchObject({
    state: 'expired',
    answer: { status: 554 },
    why: expect.stringContaining('5.7.1 Access denied'),
  })
  expect((await opened.store.mails.counts()).failing).toBeNull()
})

test('a store of an earlier version, which took a mail that was refused for one that was sent, says when the last one went', async () => {
  await using opened = await lockedStore(2)
  const { server: playing, post } = server(opened)
  await post.gather()
  playing.answer = (address) => (playing.taken.length > 0 ? '550 5.1.1 unknown' : address === '' ? '' : null)
  await rounds(opened, post, 1)
  expect((await opened.store.mails.counts()).states).toEqual({ sent: 1, refused: 1 })
  opened.raw(`update meta set value = '{"failing":null,"sentMs":1999999999999}' where key = 'mail-trouble'`)
  opened.raw('update mail set refusals = null')
  expect(await opened.store.mails.counts()).toMatchObject({ sentMs: START_MS, failing: null })
  opened.raw(
    `update meta set value = '{"failing":{"sinceMs":7,"reason":"away"},"sentMs":null}' where key = 'mail-trouble'`,
  )
  expect((await opened.store.mails.counts()).failing).toEqual({
    sinceMs: 7,
    reason: 'away',
    code: null,
    fix: '',
    answer: null,
  })
})
