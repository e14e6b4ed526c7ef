import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import type { Slapd } from '../../servers/ldap/slapd.ts'
import { everythingOf, look, serialsOf } from '../../support/account-view.ts'
import { openReadOnly, type Lockstep } from '../../support/lockstep.ts'
import { openOldInstance, type OldFacts, type OldInstance } from './old-instance.ts'
import { asAdmin } from '../../support/privacyidea-arguments.ts'

/** A store, LDIF folders, a spool and a configuration that commit 8d13252 left, killed in the middle of its work. */

const WITHIN_MS = 120_000
/** Each starts a dozen processes and waits for them. */
const TEST_MS = 300_000

let opened: AsyncDisposableStack
beforeEach(() => {
  opened = new AsyncDisposableStack()
})
afterEach(() => opened.disposeAsync())

/** Every attribute of every entry: also what a write leaves that changes nothing else. */
async function wholeDirectory(slapd: Slapd): Promise<string> {
  return slapd.ldapsearch('-b', slapd.base, '(objectClass=*)', '*', '+')
}

function rows(lockstep: Lockstep, query: string): Record<string, unknown>[] {
  using store = openReadOnly(lockstep.storeFile)
  return store.prepare(query).all()
}

async function untilQuiet(lockstep: Lockstep, openChanges: number): Promise<void> {
  await eventually(
    'what was open is closed',
    () => rows(lockstep, 'select 1 from account where open_change is not null').length === openChanges,
    WITHIN_MS,
  )
  await lockstep.settled(WITHIN_MS)
}

function loginOf(dn: string): string {
  return /^uid=([^,]*),/.exec(dn)?.[1] ?? ''
}

interface Shown {
  readonly key: string
  readonly standing: string
  readonly holds: readonly { readonly name: string }[]
}

/**
 * Every command that reads gives an answer, and the one of 8d13252's record.
 * @param since by login: how the account may stand by now
 */
async function expectSameAnswers(
  lockstep: Lockstep,
  facts: OldFacts,
  since: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  expect(await lockstep.cli('journal', '--verify')).toMatchObject({ code: 0 })
  expect(await lockstep.json('status')).toHaveProperty('health')
  expect((await lockstep.cli('status')).code).toBe(0)
  const { accounts } = await lockstep.json<{ accounts: Shown[] }>('accounts')
  const holdsOf = (key: string): string[] =>
    facts.holds.flatMap((hold) => (hold.account_key === key ? [hold.name] : [])).toSorted()
  const is = accounts.map(({ key, holds }) => [key, holds.map(({ name }) => name).toSorted()])
  expect(is.toSorted()).toEqual(facts.accounts.map(({ key }) => [key, holdsOf(key)]).toSorted())
  for (const { key, dn, standing } of facts.accounts) {
    const now = accounts.find((account) => account.key === key)?.standing
    expect([dn, now]).toEqual([dn, expect.toBeOneOf(since[loginOf(dn)] ?? [standing])])
  }
  for (const { key } of accounts) expect((await lockstep.cli('show', key)).code).toBe(0)
  expect((await lockstep.cli('events')).code).toBe(0)
}

function filesOf(lockstep: Lockstep): Record<string, string> {
  const names = ['unlock', 'unregister'].flatMap((folder) => lockstep.ldif(folder).map((name) => `${folder}/${name}`))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(lockstep.ldifDir, name), 'utf8')]))
}

async function becomes(slapd: Slapd, login: string, state: 'open' | 'locked'): Promise<void> {
  await eventually(
    `${login} is ${state}`,
    async () => (await look(slapd, login)).canBind === (state === 'open'),
    WITHIN_MS,
  )
}

const LOCK_LINE = 'pwdAccountLockedTime: 000001010000Z\n'

/** @param name as in `branch3`: the unit, and a number */
async function isLocked(slapd: Slapd, name: string): Promise<boolean> {
  const dn = `uid=${name},ou=${name.slice(0, -1)},${slapd.base}`
  return (await slapd.ldapsearch('-b', dn, '-s', 'base', 'pwdAccountLockedTime')).includes(LOCK_LINE)
}

async function openEvents(): Promise<OldInstance> {
  return opened.use(await openOldInstance('events'))
}

test(
  'mode events: the upgrade writes nothing into a directory, and every answer and file is as before',
  async () => {
    const { slapd, lockstep, facts } = await openEvents()
    const directory = await wholeDirectory(slapd)
    const files = filesOf(lockstep)
    expect(await lockstep.cli('check')).toMatchObject({ code: 0 })
    expect(await lockstep.drain()).toMatchObject({ code: 75 })
    expect(await wholeDirectory(slapd)).toBe(directory)
    await lockstep.serve()
    // The fourth is in a directory that cannot be reached.
    await untilQuiet(lockstep, 1)
    expect(await wholeDirectory(slapd)).toBe(directory)
    // The unlock that was under way had been written: its file is history.
    const { 'unlock/U24A.ldif': _done, ...waiting } = files
    expect(filesOf(lockstep)).toEqual(waiting)
    expect(lockstep.ldif('lock')).toEqual(['D9A.ldif'])
    const inStep = ['in-step']
    await expectSameAnswers(lockstep, facts, {
      u22: inStep,
      u24: inStep,
      u25: inStep,
      // Whether another account carries its serial cannot be asked of the directory that does not answer.
      u8: ['conflict', 'failed'],
      dead1: ['failed'],
      // The pause comes before the breaker.
      branch3: ['paused'],
      branch4: ['paused'],
    })
    expect(await lockstep.json('review', 'list')).toMatchObject({ waiting: 2 })
    await lockstep.restart()
    await untilQuiet(lockstep, 1)
    expect(await wholeDirectory(slapd)).toBe(directory)
  },
  TEST_MS,
)

test(
  'mode events: what 8d13252 locked and registered is released and removed as it was before',
  async () => {
    const { slapd, lockstep, dead } = await openEvents()
    await lockstep.serve()
    await untilQuiet(lockstep, 1)
    const before = new Map<string, string>()
    for (const login of ['u2', 'u3', 'u4', 'u5', 'u15', 'u16', 'u18', 'u22']) {
      expect((await look(slapd, login)).canBind).toBe(false)
      before.set(login, (await everythingOf(slapd, login)).replace(LOCK_LINE, ''))
    }
    for (const serial of ['U2A', 'U15B', 'U16A', 'U16B', 'U22A']) await lockstep.shim('unlock', asAdmin(serial, null))
    await lockstep.shim('unlock', asAdmin(null, 'u3'))
    await lockstep.shim('unlock', asAdmin('M1', 'u18'))
    for (const login of ['u4', 'u5']) {
      expect((await lockstep.cli('unlock', login, '--realm', 'r1', '--reason', 'back')).code).toBe(0)
    }
    await untilQuiet(lockstep, 1)
    for (const [login, entry] of before) {
      expect(await everythingOf(slapd, login)).toBe(entry)
      await becomes(slapd, login, 'open')
    }
    await lockstep.shim('unregister', asAdmin('U1A', null))
    await lockstep.shim('unregister', asAdmin('PAST500', null))
    await lockstep.shim('unregister', asAdmin('U2A', null))
    await untilQuiet(lockstep, 1)
    expect(serialsOf(await look(slapd, 'u1'))).toEqual(['U1B'])
    expect(serialsOf(await look(slapd, 'u30'))).toEqual(['PAST200'])
    expect((await look(slapd, 'u2')).descriptions).toEqual(["a remark of somebody else's"])

    // What waited for a directory, and for a pause.
    await dead.mend()
    expect((await lockstep.cli('retry')).code).toBeOneOf([0, 75])
    await untilQuiet(lockstep, 0)
    expect((await lockstep.cli('resume', '--directory', 'branch', '--reason', 'over')).code).toBe(0)
    await untilQuiet(lockstep, 0)
    const wanted = ['dead1', 'dead2', 'dead9', 'branch1', 'branch2']
    await eventually(
      `all of these are locked: ${wanted.join(' ')}`,
      async () => (await Promise.all(wanted.map((name) => isLocked(slapd, name)))).every((each) => each),
      WITHIN_MS,
    )
    await lockstep.settled(WITHIN_MS)
    for (const name of ['branch3', 'branch4', 'branch5']) expect(await isLocked(slapd, name)).toBe(false)
    expect((await look(slapd, 'u6')).lockedTime).toBe('20250101000000Z')
    expect(await lockstep.cli('journal', '--verify')).toMatchObject({ code: 0 })
  },
  TEST_MS,
)

test(
  'mode api: the upgrade writes nothing into a directory, and what 8d13252 locked follows privacyIDEA',
  async () => {
    const { slapd, lockstep, facts, simulator } = opened.use(await openOldInstance('api'))
    if (simulator === null) throw new Error('no privacyIDEA')
    const directory = await wholeDirectory(slapd)
    const files = filesOf(lockstep)
    expect(await lockstep.cli('check')).toMatchObject({ code: 0 })
    expect((await lockstep.drain()).code).toBeOneOf([0, 75])
    await lockstep.serve()
    await eventually('a full resync is done', () => lockstep.log().includes('full resync is done'), WITHIN_MS)
    await untilQuiet(lockstep, 0)
    expect(await wholeDirectory(slapd)).toBe(directory)
    // Its lock had been taken away, and its fail counter was still to be reset.
    const { 'unlock/T12A.ldif': _gone, ...waiting } = files
    expect(filesOf(lockstep)).toEqual(waiting)
    const { stock, lockouts } = simulator.world
    expect(stock.token('T12A')?.failcount).toBe(0)
    expect(stock.token('T7A')?.active).toBe(false)
    const holds = facts.holds.filter(({ name }) => name !== 'T12A')
    await expectSameAnswers(lockstep, { ...facts, holds }, {})

    const remark = (await everythingOf(slapd, 'u14')).replace(LOCK_LINE, '')
    for (const serial of ['T2A', 'T9A', 'T14A', 'ALIAS5A']) {
      const token = stock.token(serial)
      if (token !== null) Object.assign(token, { failcount: 0, fullSinceMs: null })
    }
    const userIdOf = (login: string): string => stock.userOf(login)?.userId ?? ''
    lockouts.release(userIdOf('u3'))
    for (const login of ['u2', 'u3', 'u5', 'u14']) await becomes(slapd, login, 'open')
    expect(await everythingOf(slapd, 'u14')).toBe(remark)
    for (const login of ['u4', 'u9', 'u13', 'u15']) expect((await look(slapd, login)).canBind).toBe(false)
    const released = stock.token('T9B')
    if (released !== null) stock.removeToken(released)
    await lockstep.shim('unregister', asAdmin('T9B', 'u9'))
    await becomes(slapd, 'u9', 'open')
    await eventually('its serial is gone', async () => serialsOf(await look(slapd, 'u9')).join() === 'T9A', WITHIN_MS)
    // Others give back an account that they had locked.
    await slapd.ldapmodify(`dn: ${slapd.userDn('u7')}\nchangetype: modify\ndelete: pwdAccountLockedTime\n`)
    expect((await lockstep.cli('resync')).code).toBe(0)
    await eventually('its token is usable again', () => stock.token('T7A')?.active === true, WITHIN_MS)
    expect(await lockstep.cli('journal', '--verify')).toMatchObject({ code: 0 })
  },
  TEST_MS,
)
