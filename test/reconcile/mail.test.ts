import { expect, test } from 'vitest'
import { AppError } from '../../src/core/error.ts'
import { parseMailAddress } from '../../src/core/mail-address.ts'
import { asDn, parseLogin } from '../../src/core/names.ts'
import type { MailMessage } from '../../src/ports/mail.ts'
import { Postman, type MailPorts } from '../../src/reconcile/mail.ts'
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
  await store.news.begin()
  await Promise.all(
    Array.from({ length: accounts }, async (_, at) => {
      const [key, dn] = [testKey(at), asDn(`uid=user${at}`)]
      await store.truth.hint([{ key, dn, login: parseLogin(`user${at}`), realm: null }])
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

function postman(opened: TestStore, send: MailPorts['transport']['send'], told: (string | null)[] = []): Postman {
  const { store, clock } = opened
  return new Postman({
    clock,
    news: store.news,
    outbox: store.outbox,
    contacts: { ofOwner: () => Promise.resolve({ address: ADDRESS, language: null, name: '' }) },
    transport: { send, rest: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() },
    writer: {
      write: ({ id, sealedMs }, { address }) => {
        const from = { name: '', address }
        return { messageId: id, dateMs: sealedMs, from, replyTo: null, to: address, subject: '', text: '', html: '' }
      },
    },
    rules: RULES,
    perSecond: 50,
    onTrouble: (error) => void told.push(error?.code ?? null),
  })
}

test('while the server is away one mail at a time finds out, and each keeps its id and date until it is taken', async () => {
  await using opened = await lockedStore(5)
  const tried: MailMessage[] = []
  const told: (string | null)[] = []
  let isAway = true
  const post = postman(
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
  const post = postman(opened, () => Promise.resolve(void sent++))
  await post.gather()
  opened.clock.setMs(START_MS + 2 * 86_400_000)
  await post.deliver()
  expect(sent).toBe(0)
  expect(await opened.store.mails.counts()).toMatchObject({ states: { expired: 2 }, lostLately: 2 })
})
