import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import type { Event, EventKind } from '../../../src/core/events/event.ts'
import { startEngine } from '../../../src/app/engine.ts'
import { openLog } from '../../../src/app/log.ts'
import { openSystem, type System } from '../../../src/app/system.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { loginOf, serialOf } from '../../directory/contract.ts'
import { eventually } from '../../servers/eventually.ts'
import { createLockstep, openReadOnly, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Lockstep on a real Samba AD DC, over TLS, with the rights of the manual. */

let stack: AsyncDisposableStack
let samba: Samba
let lockstep: Lockstep
let users = 0
let user = ''

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  samba = stack.use(await startSamba())
  lockstep = stack.use(await startLockstep(samba))
}, SAMBA_TIMEOUT_MS)
afterAll(() => stack.disposeAsync())
beforeEach(async () => {
  user = `u${++users}`
  if (lockstep.pid === 0) await lockstep.serve()
})

const control = async (login = user) => (await samba.values(login, 'userAccountControl'))[0]
const canBind = () => samba.bind(samba.userDn(user), samba.userPassword)

async function told(kind: 'register' | 'lock' | 'unlock' | 'unregister', serial: string): Promise<void> {
  const isPerson = kind === 'register' || kind === 'unregister'
  await lockstep.shim(kind, isPerson ? asAdmin(serial, user) : asNobody(serial, user))
  await lockstep.settled()
}

interface Account {
  readonly standing: string
  readonly standingReason: { readonly text: string } | null
  readonly lockedByUs: boolean
  readonly holds: readonly unknown[]
}
interface Shown {
  readonly accounts: readonly { readonly account: Account }[]
}

async function shown(login = user): Promise<Account> {
  const { accounts } = await lockstep.json<Shown>('show', login)
  const [details] = accounts
  if (details === undefined) throw new Error(`nothing is shown of ${login}`)
  return details.account
}

/** `ldapmodify` with what waits in a file, as the service that Lockstep has. */
async function applyByHand(file: string): Promise<void> {
  const as = { dn: samba.serviceDn, password: samba.servicePassword }
  const ran = await samba.ldapmodify('', as, ['-f', join(lockstep.ldifDir, file)])
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
}

test('a token’s life: registered, locked, unlocked and unregistered at the account', async () => {
  const before = await samba.values(user, 'description')
  await told('register', 'LIFE1')
  expect(await samba.values(user, 'description')).toEqual(['privacyIDEA:LIFE1'])
  await told('lock', 'LIFE1')
  expect(await canBind()).toContain('data 533')
  expect(await shown()).toMatchObject({ standing: 'in-step', lockedByUs: true })
  await told('unlock', 'LIFE1')
  expect(await canBind()).toBe('')
  await told('unregister', 'LIFE1')
  expect(await samba.values(user, 'description')).toEqual(before)
})

test('a user is known by sAMAccountName and by userPrincipalName, and is one account', async () => {
  await told('register', 'UPN1')
  await lockstep.shim('lock', asNobody('UPN1', `${user}@example.org`))
  await lockstep.settled()
  expect(await control()).toBe('514')
})

test('what others change beside the bit stays, and the waiting file follows at the next look', async () => {
  await told('register', 'BIT1')
  await told('lock', 'BIT1')
  const always = `dn: ${samba.userDn(user)}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 66050\n`
  expect(await samba.ldapmodify(always)).toMatchObject({ code: 0 })
  await lockstep.json('retry')
  await lockstep.settled()
  await lockstep.kill9()
  await applyByHand('unlock/BIT1.ldif')
  expect(await control()).toBe('66048')
  expect(await canBind()).toBe('')
  await lockstep.serve()
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).not.toContain('BIT1.ldif')
  expect(await shown()).toMatchObject({ standing: 'in-step', lockedByUs: false, holds: [] })
})

test('an account that an administrator disabled stays his, before and after', async () => {
  await told('register', 'ADM1')
  await samba.tool('user', 'disable', user)
  await told('lock', 'ADM1')
  expect(await shown()).toMatchObject({ standing: 'foreign-lock', lockedByUs: false })
  await told('unlock', 'ADM1')
  expect(await control()).toBe('514')
})

test('the built-in administrator and computers are never locked, whatever is told of them', async () => {
  const directoryLines = [...samba.directoryLines, 'userFilter: (sAMAccountName={login})']
  await using own = await startLockstep({ ...samba, directoryLines, peopleDn: samba.base })
  for (const login of ['Administrator', 'DC1$']) {
    await own.shim('lock', asNobody(null, login))
    await own.settled()
    const { accounts } = await own.json<Shown>('show', login)
    expect(accounts[0]?.account).toMatchObject({ standing: 'protected', lockedByUs: false })
    expect(accounts[0]?.account.standingReason?.text).toMatch(/built-in administrator|computer account/)
  }
  expect(own.ldif('unlock')).toEqual([])
})

test('a rebuild after the loss of the store takes the bit for ours by its file, and nobody else’s', async () => {
  await told('register', 'REB1')
  await told('lock', 'REB1')
  const other = `u${++users}`
  await samba.tool('user', 'disable', other)
  await lockstep.stop()
  for (const end of ['', '-wal', '-shm']) rmSync(`${lockstep.storeFile}${end}`, { force: true })
  await lockstep.json('rebuild')
  await lockstep.serve()
  await lockstep.shim('unlock', asNobody('REB1', null))
  await lockstep.settled()
  expect(await control()).toBe('512')
  expect(await control(other)).toBe('514')
})

const ROUNDS = 200

test(
  'two lockers on one account: one lock and one unlock a round, and the record is right every time',
  { timeout: 240_000 },
  async () => {
    await using beside = await createLockstep(samba)
    const { settings } = loadConfig({ flag: beside.configFile, env: {}, cwd: '/' })
    await using first = await openSystem(settings)
    await using second = await openSystem(settings)
    const log = openLog({ write: () => true }, false)
    await using watch = await samba.watch(user)
    await using engines = new AsyncDisposableStack()
    const both = [first, second].map((system) => {
      const { worker } = startEngine(system, log)
      engines.defer(() => worker.stop())
      return { system, worker }
    })
    const say = async (kind: EventKind, round: number): Promise<void> => {
      await Promise.all(
        both.map(async ({ system, worker }, index) => {
          await system.store.inbox.take([eventOf(kind, `${kind}-${round}-${index}`, user)], [])
          worker.wake()
        }),
      )
      await eventually('both are done', async () => {
        for (const { worker } of both) await worker.whenIdle()
        return (await waiting(first)) === 0
      })
    }
    for (let round = 0; round < ROUNDS; round++) {
      await say('lock', round)
      expect(await accountOf(first)).toMatchObject({ lockedByUs: true, standing: 'in-step' })
      expect(await watch.control(), `round ${round}`).toBe('514')
      expect(beside.ldif('unlock')).toEqual(['TWO1.ldif'])
      await say('unlock', round)
      expect(await accountOf(second)).toMatchObject({ lockedByUs: false, standing: 'in-step' })
      expect(await watch.control(), `round ${round}`).toBe('512')
      expect(beside.ldif('unlock')).toEqual([])
    }
    expect(changesIn(beside.storeFile)).toEqual({ 'applied lock': ROUNDS, 'applied unlock': ROUNDS })
  },
)

function eventOf(kind: EventKind, id: string, login: string): Event {
  const takenAtUs = Date.now() * 1000
  const named = { serial: serialOf('TWO1'), login: loginOf(login), realm: null }
  return { id, kind, ...named, actor: '', takenAtUs, source: 'shim', reason: null, untilUs: null }
}

async function waiting(system: System): Promise<number> {
  const { events, accounts } = await system.store.reports.waits(Date.now())
  const isInWork = await system.store.maintenance.isInWork(Date.now())
  return events + accounts + (isInWork ? 1 : 0)
}

async function accountOf(system: System): Promise<unknown> {
  const [account] = await system.store.reports.accounts({ limit: 2 })
  return account
}

/** How many changes of each kind were closed how. */
function changesIn(storeFile: string): Record<string, number> {
  using store = openReadOnly(storeFile)
  const rows = store.prepare(`select kind, body from journal where kind in ('applied', 'not-applied')`).all()
  const counts: Record<string, number> = {}
  for (const row of rows) {
    const { kind } = JSON.parse(String(row['body'])) as { kind: string }
    const name = `${String(row['kind'])} ${kind}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}
