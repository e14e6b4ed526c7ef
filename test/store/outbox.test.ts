import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '../../src/core/error.ts'
import { parseMailAddress } from '../../src/core/mail/mail-address.ts'
import { asDn, parseLogin } from '../../src/core/names.ts'
import type { GatherRules } from '../../src/ports/store/mail.ts'
import type { Store } from '../../src/store/store.ts'
import type { ClaimedMail } from '../../src/ports/store/mail.ts'
import { claimOf, lockEvent, openTestStore, START_MS, testKey, type TestStore } from './test-store.ts'

/** From the journal to the outbox: once, gathered, bounded. */

const DESK = parseMailAddress('helpdesk@example.org')
const MINUTE_MS = 60_000
const AWAY = new AppError('source-unreachable', 'the connection was refused')
const RULES: GatherRules = {
  ownerKinds: ['locked', 'unlocked'],
  helpDesk: DESK === null ? [] : [DESK],
  helpDeskKinds: ['locked', 'unlocked', 'refused', 'unresolved', 'drift', 'source'],
  gatherMs: 15_000,
  intervalMs: 15 * MINUTE_MS,
  maxAgeMs: 86_400_000,
  unresolvedAfterMs: 15 * MINUTE_MS,
}

async function gatherAll(store: Store): Promise<void> {
  while (await store.notifications.gather(RULES)) continue
}

/** Puts on record that an account was locked or unlocked, as the ledger does. */
async function change(opened: TestStore, number: number, kind: 'lock' | 'unlock', id: string): Promise<void> {
  const { store, clock } = opened
  const key = testKey(number)
  const login = parseLogin(`user${number}`)
  await store.snapshots.markForRefresh([{ key, dn: asDn(`uid=user${number}`), login, realm: null }])
  const draft = {
    kind,
    key,
    dn: asDn(`uid=user${number}`),
    serial: null,
    holds: [],
    forward: [],
    inverse: [],
    slots: [],
  }
  const planned = {
    ...draft,
    reason: { code: 'no-hold-left', params: {} } as const,
    actor: '',
    id,
    plannedAtMs: clock.nowMs(),
  }
  const claim = await claimOf(store, key, clock.nowMs())
  await store.records.plan(claim, planned)
  await store.records.close(claim, planned, 'applied', null)
}

async function sendAll(opened: TestStore): Promise<{ recipient: string; counts: object }[]> {
  const { store, clock } = opened
  const sent: { recipient: string; counts: object }[] = []
  for (;;) {
    const mail = await store.outbox.claim(clock.nowMs())
    if (mail === null || DESK === null) return sent
    const recipient = mail.recipient.kind === 'owner' ? mail.recipient.account : mail.recipient.address
    sent.push({ recipient, counts: mail.digest.counts })
    await store.outbox.sent(mail, DESK)
  }
}

function must(mail: ClaimedMail | null): ClaimedMail {
  if (mail === null) throw new Error('no mail was claimed')
  return mail
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => first + at)
}

async function begun(): Promise<TestStore> {
  const opened = await openTestStore()
  await opened.store.notifications.begin()
  return opened
}

test('what happened before mail was configured is told to nobody', async () => {
  await using opened = await openTestStore()
  await change(opened, 1, 'lock', 'a')
  await opened.store.notifications.begin()
  await gatherAll(opened.store)
  expect((await opened.store.mails.counts()).states).toEqual({})
  await change(opened, 1, 'unlock', 'b')
  await gatherAll(opened.store)
  expect((await opened.store.mails.counts()).states).toEqual({ gathering: 2 })
})

test('three hundred locks within a minute are two mails to the help desk and one to each owner, in few rows', async () => {
  await using opened = await begun()
  const { store, clock } = opened
  const sent: { recipient: string; counts: object }[] = []
  for (let first = 1; first <= 300; first += 30) {
    clock.setMs(START_MS + first * 200)
    await Promise.all(numbers(first, 30).map((number) => change(opened, number, 'lock', `c${number}`)))
    await gatherAll(store)
    sent.push(...(await sendAll(opened)))
  }
  for (let minute = 1; minute <= 40; minute++) {
    clock.setMs(START_MS + minute * MINUTE_MS)
    await gatherAll(store)
    sent.push(...(await sendAll(opened)))
  }
  const desk = sent.filter(({ recipient }) => recipient === DESK)
  expect(desk).toHaveLength(2)
  expect(desk.reduce((sum, { counts }) => sum + ((counts as { locked?: number }).locked ?? 0), 0)).toBe(300)
  expect(sent).toHaveLength(302)
  expect(new Set(sent.map(({ recipient }) => recipient)).size).toBe(301)
  const [row] = opened.raw('select max(length(digest)) as n from mail')
  expect(Number(row?.['n'])).toBeLessThan(20_000)
})

test('an account that is locked and unlocked over and over is a mail now and then to its owner', async () => {
  await using opened = await begun()
  const sent: { recipient: string; counts: object }[] = []
  for (let second = 0; second < 3_600; second += 60) {
    opened.clock.setMs(START_MS + second * 1_000)
    await change(opened, 1, second % 120 === 0 ? 'lock' : 'unlock', `c${second}`)
    await gatherAll(opened.store)
    sent.push(...(await sendAll(opened)))
  }
  expect(sent.filter(({ recipient }) => recipient === testKey(1))).toHaveLength(4)
})

test('two processes that read the journal at once tell everything once', async () => {
  await using opened = await begun()
  await using other = await opened.again()
  await Promise.all(numbers(1, 250).map((number) => change(opened, number, 'lock', `c${number}`)))
  await Promise.all([gatherAll(opened.store), gatherAll(other), gatherAll(opened.store), gatherAll(other)])
  await gatherAll(opened.store)
  expect((await opened.store.mails.counts()).states).toEqual({ gathering: 251 })
  opened.clock.setMs(START_MS + MINUTE_MS)
  const desk = (await sendAll(opened)).find(({ recipient }) => recipient === DESK)
  expect(desk?.counts).toEqual({ locked: 250 })
})

test('a mail that waits keeps its id and its date, and what comes meanwhile is another one after it', async () => {
  await using opened = await begun()
  const { store, clock } = opened
  await change(opened, 1, 'lock', 'a')
  await gatherAll(store)
  clock.setMs(START_MS + MINUTE_MS)
  const first = await store.outbox.claim(clock.nowMs())
  const wait = { dueMs: START_MS + 40 * MINUTE_MS, code: 'mail-unreachable', why: 'x', isTried: false } as const
  await store.outbox.postpone(must(first), wait)
  await sendAll(opened)
  clock.setMs(START_MS + 20 * MINUTE_MS)
  await change(opened, 1, 'unlock', 'b')
  await gatherAll(store)
  clock.setMs(START_MS + 39 * MINUTE_MS)
  const early = await sendAll(opened)
  clock.setMs(START_MS + 41 * MINUTE_MS)
  const again = await store.outbox.claim(clock.nowMs())
  // That of the other one, who was not put off.
  expect(early).toHaveLength(1)
  expect([again?.id, again?.sealedMs, again?.digest]).toEqual([first?.id, first?.sealedMs, first?.digest])
  expect(await store.outbox.claim(clock.nowMs())).toBeNull()
  if (DESK !== null) await store.outbox.sent(must(again), DESK)
  expect((await sendAll(opened)).map(({ counts }) => counts)).toEqual([{ unlocked: 1 }])
})

test('old news are not told when the journal is read late, and mails that ended go after their time', async () => {
  await using opened = await begun()
  const { store, clock } = opened
  await change(opened, 1, 'lock', 'a')
  clock.setMs(START_MS + 2 * 86_400_000)
  await change(opened, 2, 'lock', 'b')
  await gatherAll(store)
  clock.setMs(clock.nowMs() + MINUTE_MS)
  expect((await sendAll(opened)).map(({ recipient }) => recipient).toSorted()).toEqual([testKey(2), DESK])
  expect(await store.outbox.forget(clock.nowMs() + 1)).toBe(2)
  expect(await store.outbox.forget(clock.nowMs() + 1)).toBe(0)
})

test('what ended unsent can be tried again by hand, and what waits can be dropped', async () => {
  await using opened = await begun()
  const { store, clock } = opened
  await change(opened, 1, 'lock', 'a')
  await gatherAll(store)
  clock.setMs(START_MS + MINUTE_MS)
  const mail = await store.outbox.claim(clock.nowMs())
  await store.outbox.end(must(mail), 'expired', { code: null, text: 'late' })
  expect(await store.mails.counts()).toMatchObject({ states: { expired: 1, gathering: 1 }, lostLately: 1 })
  clock.setMs(START_MS + 3 * 86_400_000)
  expect(await store.mails.retry([mail?.id ?? ''])).toBe(1)
  const claimed = [await store.outbox.claim(clock.nowMs()), await store.outbox.claim(clock.nowMs())]
  const again = claimed.find((each) => each?.id === mail?.id)
  expect((again?.expiresMs ?? 0) > clock.nowMs()).toBe(true)
  for (const each of claimed) await store.outbox.release(must(each))
  expect(await store.mails.drop(null, 'admin')).toBe(2)
  expect(await store.outbox.claim(clock.nowMs())).toBeNull()
  expect((await store.mails.list({ limit: 10 })).map(({ state, why }) => `${state}: ${why}`)).toEqual([
    'dropped: dropped by admin',
    'dropped: dropped by admin',
  ])
})

test('an event that waits is told once, when it has waited long enough, however many there are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 30 }), async (gapsS) => {
      await using opened = await begun()
      const { store, clock } = opened
      const rules = { ...RULES, gatherMs: 0, intervalMs: 0, ownerKinds: [] }
      let number = 0
      let told = 0
      const step = async (): Promise<void> => {
        while (await store.notifications.gather(rules)) continue
        for (const { counts } of await sendAll(opened)) told += (counts as { unresolved?: number }).unresolved ?? 0
      }
      for (const gap of gapsS) {
        clock.setMs(clock.nowMs() + gap * 1_000)
        await store.inbox.take([lockEvent(++number, clock.nowMs())], [])
        await step()
      }
      expect(told).toBe(0)
      for (let turn = 0; turn < gapsS.length + 2; turn++) {
        clock.setMs(clock.nowMs() + RULES.unresolvedAfterMs / 10)
        await step()
      }
      clock.setMs(clock.nowMs() + RULES.unresolvedAfterMs)
      await step()
      await step()
      expect(told).toBe(gapsS.length)
    }),
    { numRuns: 8 },
  )
})

test('what a full resync found, and a privacyIDEA that stays away, are told once', async () => {
  await using opened = await begun()
  const { store, clock } = opened
  await store.sourceState.differed({ tokens: 9, accounts: 3, differences: 4, first: [] })
  await store.sourceState.failed('scan', AWAY)
  await store.sourceState.failed('resync', AWAY)
  const told: object[] = []
  for (let minute = 0; minute <= 60; minute++) {
    clock.setMs(START_MS + minute * MINUTE_MS)
    await store.sourceState.failed('scan', AWAY)
    await gatherAll(store)
    told.push(...(await sendAll(opened)).map(({ counts }) => counts))
  }
  expect(told).toEqual([{ drift: 4 }, { source: 1 }])
  await store.sourceState.done('scan')
  await store.sourceState.done('resync')
  clock.setMs(START_MS + 90 * MINUTE_MS)
  await store.sourceState.failed('scan', AWAY)
  clock.setMs(START_MS + 96 * MINUTE_MS)
  await gatherAll(store)
  clock.setMs(START_MS + 97 * MINUTE_MS)
  expect((await sendAll(opened)).map(({ counts }) => counts)).toEqual([{ source: 1 }])
})
