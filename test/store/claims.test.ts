import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import type { Change } from '../../src/core/account/change.ts'
import { asDn, holdNameOfSerial, parseSerial } from '../../src/core/names.ts'
import type { Reason } from '../../src/core/reasons/reason.ts'
import type { OwnedLock } from '../../src/core/account/state.ts'
import type { Claim } from '../../src/ports/store/store.ts'
import type { BootClock } from '../../src/store/engine/boot-clock.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { openTestStore, START_MS, testKey, type TestStore } from './test-store.ts'

/** Who writes under a claim that is no longer the live one of its account writes nothing. */

const KEY = testKey(1)
const DN = asDn('uid=alice,ou=people,dc=example,dc=org')
const SERIAL = parseSerial('S1') ?? fail('no serial')
const HOLD = holdNameOfSerial(SERIAL)
const LEASE_MS = 60_000
const HALF_AN_HOUR_MS = 1_800_000
const IN_STEP = {
  standing: 'in-step',
  reason: null,
  errorCode: null,
  againAtMs: null,
  applied: 0,
  effective: null,
  isLockObserved: false,
} as const
const OWNED: OwnedLock = {
  slots: [{ dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', before: [], after: ['000001010000Z'] }],
  dn: DN,
  holds: [HOLD],
}
const WHY: Reason = { code: 'holds-changed', params: {} }
const LOST = { code: 'lease-lost' }

function fail(why: string): never {
  throw new Error(why)
}

function lockOf(id: string): Change {
  const nothing = {
    serial: null,
    forward: [],
    inverse: [],
    slots: OWNED.slots,
    reason: { code: 'no-hold-left', params: {} } as const,
    actor: '',
  }
  return { id, kind: 'lock', key: KEY, dn: DN, holds: [HOLD], ...nothing, plannedAtMs: START_MS }
}

/** A machine whose time since boot the test moves. */
class Machine implements BootClock {
  readonly bootId: string
  ms = 1_000_000
  constructor(bootId = 'boot-1') {
    this.bootId = bootId
  }
  uptimeMs(): number {
    return this.ms
  }
}

async function openOn(opened: TestStore, boot: BootClock, leaseMs = LEASE_MS): Promise<Store> {
  const lossBreaker = { maxLosses: 20, share: 0.1, perMs: 600_000, reset: 'manual' } as const
  return openStore({
    file: opened.file,
    clock: opened.clock,
    lockTtlMs: null,
    willWrite: true,
    boot,
    leaseMs,
    lossBreaker,
  })
}

async function noted(store: Store): Promise<void> {
  await store.snapshots.markForRefresh([{ key: KEY, dn: DN, login: null, realm: null }])
}

async function claimed(store: Store, nowMs = START_MS): Promise<Claim> {
  const [claim] = await store.queue.claim(1, nowMs)
  return claim ?? fail('nothing was claimed')
}

/** All of the store that says something of accounts: to be compared before and after. */
function contents(opened: TestStore): unknown {
  const tables = [
    'account',
    'change',
    'hold',
    'event',
    'token',
    'queue',
    'journal',
    'verification',
    'review',
    'finding',
    'loss_count',
  ]
  return tables.map((table) => opened.raw(`select * from ${table}`))
}

interface Overtaken {
  readonly opened: TestStore
  readonly store: Store
  /** Of the worker that was stopped for longer than its lease. */
  readonly stale: Claim
  readonly live: Claim
}

/** Two claims of one account: the second one was made when the first one's lease had run out. */
async function overtaken(
  work: (world: Overtaken) => Promise<void>,
  before: (store: Store, claim: Claim) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await using opened = await openTestStore()
  const machine = new Machine()
  await using store = await openOn(opened, machine)
  await noted(store)
  const stale = await claimed(store)
  await before(store, stale)
  machine.ms += LEASE_MS + 1
  const live = await claimed(store)
  expect(live.token).not.toBe(stale.token)
  await work({ opened, store, stale, live })
}

const WRITES: readonly (readonly [string, (store: Store, claim: Claim) => Promise<unknown>])[] = [
  ['plan', (store, claim) => store.records.plan(claim, lockOf('late'))],
  ['close', (store, claim) => store.records.close(claim, lockOf('first'), 'not-applied', null)],
  [
    'closeUnseen',
    (store, claim) =>
      store.records.closeUnseen(claim, lockOf('first'), 'not-applied', null, START_MS + HALF_AN_HOUR_MS),
  ],
  ['own', (store, claim) => store.records.own(claim, OWNED, WHY)],
  ['settle', (store, claim) => store.records.recordOutcome(claim, IN_STEP, [])],
  [
    'settle with a further look',
    (store, claim) => store.records.recordOutcome(claim, { ...IN_STEP, againAtMs: 1 }, []),
  ],
  [
    'note',
    (store, claim) =>
      store.records.note(
        {
          id: 'directory:1',
          kind: 'directory-unlock',
          serial: null,
          login: null,
          realm: null,
          actor: '',
          takenAtUs: START_MS * 1000,
          source: 'directory',
          reason: null,
          untilUs: null,
          accountKey: KEY,
          attributeSerials: [],
          pinnedHold: null,
        },
        claim,
      ),
  ],
  [
    'read',
    (store, claim) =>
      store.snapshots.record(
        KEY,
        {
          user: null,
          snapshot: { tokens: [{ serial: SERIAL, isLocked: true }], gone: [], lockout: null },
          reset: [],
          events: [],
        },
        claim,
      ),
  ],
  ['count a loss', (store, claim) => store.snapshots.passLosses(KEY, [{ serial: SERIAL, cause: 'not-listed' }], claim)],
]

test.each(WRITES)(
  '%s under a claim that another worker took over writes nothing and says lease-lost',
  async (_, write) => {
    await overtaken(
      async ({ opened, store, stale }) => {
        const before = contents(opened)
        await expect(write(store, stale)).rejects.toMatchObject(LOST)
        expect(contents(opened)).toEqual(before)
      },
      async (store, claim) => void (await store.records.plan(claim, lockOf('first'))),
    )
  },
)

const LATE: readonly (readonly [string, (store: Store, claim: Claim) => Promise<unknown>])[] = [
  ['arrived', (store, claim) => store.records.arrived(claim, lockOf('first'), OWNED)],
  ['countAsOthers', (store, claim) => store.records.countAsOthers(claim, lockOf('first'))],
  ['adopt', (store, claim) => store.records.adopt(claim, OWNED, 'first', { actor: 'anna', reason: 'a test' })],
]

test.each(LATE)(
  'what is found of a late write under a claim that another worker took over is not recorded: %s',
  async (_, write) => {
    await overtaken(
      async ({ opened, store, stale, live }) => {
        expect(live.late.map(({ change }) => change.id)).toEqual(['first'])
        const before = contents(opened)
        await expect(write(store, stale)).rejects.toMatchObject(LOST)
        expect(contents(opened)).toEqual(before)
        await write(store, live)
        expect(contents(opened)).not.toEqual(before)
      },
      async (store, claim) => {
        await store.records.plan(claim, lockOf('first'))
        await store.records.closeUnseen(claim, lockOf('first'), 'not-applied', null, START_MS + HALF_AN_HOUR_MS)
      },
    )
  },
)

test('renewing a claim that another worker took over says lease-lost and does not lengthen the other lease', async () => {
  await overtaken(async ({ opened, store, stale }) => {
    const before = contents(opened)
    await expect(store.queue.renew(stale)).rejects.toMatchObject(LOST)
    expect(contents(opened)).toEqual(before)
  })
})

test('each write under the live claim succeeds, beside one that was overtaken', async () => {
  await overtaken(
    async ({ store, live }) => {
      expect(live.open?.id).toBe('first')
      await store.records.close(live, lockOf('first'), 'applied', OWNED)
      await store.records.own(live, { ...OWNED, holds: [] }, WHY)
      expect(await store.records.plan(live, lockOf('second'))).toBeNull()
      await store.records.close(live, lockOf('second'), 'applied', OWNED)
      await store.records.recordOutcome(live, IN_STEP, [])
      expect(await store.reports.find(KEY, 1)).toMatchObject([{ standing: 'in-step' }])
    },
    async (store, claim) => void (await store.records.plan(claim, lockOf('first'))),
  )
})

test('the first settle of an account that one process claimed twice leaves the second claim as it is', async () => {
  await overtaken(async ({ opened, store, stale, live }) => {
    await expect(store.records.recordOutcome(stale, IN_STEP, [])).rejects.toMatchObject(LOST)
    expect(opened.raw('select lease_token from queue')).toEqual([{ lease_token: live.token }])
    expect(await store.queue.claim(1, START_MS)).toEqual([])
  })
})

test('a clock that is set a day ahead, or back, takes no live lease', async () => {
  await using opened = await openTestStore()
  const machine = new Machine()
  await using store = await openOn(opened, machine)
  await noted(store)
  await claimed(store)
  for (const days of [1, 400, -1]) {
    opened.clock.setMs(START_MS + days * 86_400_000)
    await store.processLock.freeDeadLeases()
    expect(await store.queue.claim(1, Math.max(START_MS, opened.clock.nowMs()))).toEqual([])
  }
  machine.ms += LEASE_MS + 1
  expect(await store.queue.claim(1, START_MS)).toHaveLength(1)
})

test('a claim is renewed once a quarter of its lease is over, and is then kept for longer', async () => {
  await using opened = await openTestStore()
  const machine = new Machine()
  await using store = await openOn(opened, machine)
  await noted(store)
  const claim = await claimed(store)
  const until = () => Number(opened.raw('select lease_until_ms from queue')[0]?.['lease_until_ms'])
  const first = until()
  machine.ms += LEASE_MS / 4 - 1
  await store.queue.renew(claim)
  expect(until()).toBe(first)
  machine.ms += 1
  await store.queue.renew(claim)
  expect(until()).toBe(first + LEASE_MS / 4)
  machine.ms = first + 1
  expect(await store.queue.claim(1, START_MS)).toEqual([])
})

test('the lease of another boot of this machine is free at once, since its process is dead', async () => {
  await using opened = await openTestStore()
  await using store = await openOn(opened, new Machine('boot-2'))
  await noted(store)
  opened.raw(
    "update queue set lease_owner = ?, lease_token = 't', lease_boot = 'before', lease_until_ms = 9e15",
    `${hostname()}:${process.pid}:1:before`,
  )
  await store.processLock.freeDeadLeases()
  expect(await claimed(store)).toMatchObject({ isForRepair: true })
})

test.each([
  ['of another machine', "lease_token = 't', lease_boot = 'elsewhere', lease_until_ms = 5"],
  ['of an older version that may still run', 'lease_until_ms = 1700000060000'],
])('a lease %s is taken only after it was observed for its whole length', async (_, lease) => {
  await using opened = await openTestStore()
  const machine = new Machine()
  await using store = await openOn(opened, machine)
  await noted(store)
  opened.raw(`update queue set lease_owner = 'elsewhere:1:1', ${lease}`)
  opened.clock.setMs(START_MS + 86_400_000)
  const look = async () => {
    await store.processLock.freeDeadLeases()
    return (await store.queue.claim(1, START_MS)).length
  }
  expect(await look()).toBe(0)
  machine.ms += LEASE_MS - 1
  expect(await look()).toBe(0)
  machine.ms += 1
  expect(await look()).toBe(1)
})

test('a lease of another machine that is renewed meanwhile is observed anew', async () => {
  await using opened = await openTestStore()
  const [here, there] = [new Machine(), new Machine('boot-there')]
  await using store = await openOn(opened, here)
  await using other = await openOn(opened, there)
  await noted(store)
  const claim = await claimed(other)
  opened.raw("update queue set lease_owner = 'elsewhere:1:1'")
  await store.processLock.freeDeadLeases()
  here.ms += LEASE_MS - 1
  there.ms += LEASE_MS / 2
  await other.queue.renew(claim)
  await store.processLock.freeDeadLeases()
  here.ms += LEASE_MS - 1
  await store.processLock.freeDeadLeases()
  expect(await store.queue.claim(1, START_MS)).toEqual([])
})

test('an account whose turn broke off is claimed for a repair of its files, and once that is done no more', async () => {
  await using opened = await openTestStore()
  const machine = new Machine()
  await using store = await openOn(opened, machine)
  await noted(store)
  expect((await claimed(store)).isForRepair).toBe(false)
  machine.ms += LEASE_MS + 1
  const second = await claimed(store)
  expect(second.isForRepair).toBe(true)
  await store.records.recordOutcome(second, { ...IN_STEP, againAtMs: START_MS }, [])
  const third = await claimed(store)
  expect(third.isForRepair).toBe(false)
  await store.queue.markForRepair(KEY, START_MS)
  await store.records.recordOutcome(third, IN_STEP, [])
  expect((await claimed(store)).isForRepair).toBe(true)
})

test('of two accounts that were claimed together the one that is renewed stays, and the other one ends', async () => {
  await using opened = await openTestStore()
  const [here, there] = [new Machine(), new Machine('boot-there')]
  await using store = await openOn(opened, here)
  await using other = await openOn(opened, there)
  const second = testKey(2)
  await store.snapshots.markForRefresh([KEY, second].map((key) => ({ key, dn: DN, login: null, realm: null })))
  const [renewed] = await other.queue.claim(2, START_MS)
  opened.raw("update queue set lease_owner = 'elsewhere:1:1'")
  await store.processLock.freeDeadLeases()
  there.ms += LEASE_MS / 2
  await other.queue.renew(renewed ?? fail('nothing was claimed'))
  here.ms += LEASE_MS
  await store.processLock.freeDeadLeases()
  const free = await store.queue.claim(2, START_MS)
  expect(free.map(({ key }) => key)).toEqual([KEY, second].filter((key) => key !== renewed?.key))
})
