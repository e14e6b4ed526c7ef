import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startSlapd, type Slapd } from '../servers/slapd.ts'
import { look } from './account-view.ts'
import { createLockstep, startLockstep, type Lockstep } from './lockstep.ts'
import { asAdmin, asNobody } from './privacyidea-arguments.ts'

/** A person's word against events from a machine whose clock is ahead. */

const AHEAD_MS = 4 * 60_000

let stack: AsyncDisposableStack
let slapd: Slapd
let lockstep: Lockstep
let users = 0
let user = ''

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  slapd = stack.use(await startSlapd({ users: 10, dbNoSync: true }))
  lockstep = stack.use(await startLockstep(slapd))
})
afterAll(() => stack.disposeAsync())
beforeEach(() => {
  user = `u${++users}`
})

async function canBind(): Promise<boolean> {
  return (await look(slapd, user)).canBind
}

test('an administrator’s unlock wins over a lock whose time is ahead, and so does the next lock over that', async () => {
  await lockstep.shim('register', asAdmin('AHEAD1', user))
  lockstep.spool({ kind: 'lock', args: asNobody('AHEAD1', user), takenAtMs: Date.now() + AHEAD_MS })
  await lockstep.settled()
  expect(await canBind()).toBe(false)
  expect(await lockstep.json('unlock', user, '--reason', 'called in')).toMatchObject({ ok: true })
  expect(await canBind()).toBe(true)
  expect(await lockstep.json('lock', user, '--reason', 'no, not so')).toMatchObject({ ok: true })
  expect(await canBind()).toBe(false)
  expect(await lockstep.json('unlock', user, '--reason', 'yes, so')).toMatchObject({ ok: true })
  expect(await canBind()).toBe(true)
})

test('a lock --for ends after that time from now, also where an event’s time is ahead', async () => {
  lockstep.spool({ kind: 'unlock', args: asAdmin(null, user), takenAtMs: Date.now() + AHEAD_MS })
  await lockstep.settled()
  const beforeMs = Date.now()
  const { account } = await lockstep.json<{ account: { holds: { untilMs: number }[] } }>(
    ...['lock', user, '--reason', 'for a while', '--for', '1h'],
  )
  const forMs = (account.holds[0]?.untilMs ?? 0) - beforeMs
  expect(forMs).toBeGreaterThanOrEqual(3_600_000)
  expect(forMs).toBeLessThan(3_660_000)
})

test('an unlock wins over a lock that came before it and was not resolved yet', async () => {
  await using own = await createLockstep(slapd)
  await own.json('lock', user, '--reason', 'known now')
  await slapd.stop()
  own.spool({ kind: 'lock', args: asNobody('AHEAD2', user), takenAtMs: Date.now() + AHEAD_MS })
  expect((await own.drain('--timeout', '2s')).code).toBe(75)
  expect((await own.cli('unlock', user, '--reason', 'called in')).code).toBe(75)
  await slapd.start()
  expect((await own.drain()).code).toBe(0)
  expect(await canBind()).toBe(true)
})
