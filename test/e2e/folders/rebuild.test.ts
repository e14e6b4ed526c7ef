import { once } from 'node:events'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, expect } from 'vitest'
import { look, serialsOf } from '../../support/account-view.ts'
import { newUser, slapd, slapdTest as test, startOwn, user as loginOfTest } from '../../support/fixture.ts'
import { type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The database is lost; the LDIF folders and the directory are left. */

interface Rebuilt {
  readonly accounts: number
  readonly serials: number
  readonly holds: number
  readonly appliedByHand: number
  readonly lockedByOthers: readonly string[]
  readonly problems: readonly string[]
}

interface Locked {
  readonly accounts: readonly { readonly key: string; readonly holds: readonly { readonly name: string }[] }[]
}

let lockstep: Lockstep
const [owner, both, manual, free] = ['owner', 'both', 'manual', 'free'].map((_, at) => at) as [
  number,
  number,
  number,
  number,
]
let people: string[] = []

test.override('slapdOptions', { users: 48 })
beforeEach(async () => {
  people = [loginOfTest, newUser(), newUser(), newUser()]
  lockstep = await startOwn()
})

function user(number: number): string {
  return people[number] ?? ''
}

/** One locked by its token, one by two tokens, one by hand, one with a free token; each with serials of its own. */
async function lockedDay(): Promise<void> {
  for (const [number, who] of people.entries()) {
    await lockstep.shim('register', asAdmin(serial(number, 'A'), who))
    await lockstep.shim('register', asAdmin(serial(number, 'B'), who))
  }
  await lockstep.shim('lock', asNobody(serial(owner, 'A'), user(owner)))
  await lockstep.shim('lock', asNobody(serial(both, 'A'), user(both)))
  await lockstep.shim('lock', asNobody(serial(both, 'B'), user(both)))
  await lockstep.json('lock', user(manual), '--reason', 'on leave')
  await lockstep.settled()
}

function serial(number: number, letter: string): string {
  return `${user(number).toUpperCase()}${letter}`
}

async function databaseIsLost(): Promise<void> {
  await lockstep.kill9()
  const dir = dirname(lockstep.storeFile)
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true })
}

test('rebuild brings holds, serials and files back, and changes nothing in the directory', async () => {
  await lockedDay()
  const unlocks = lockstep.ldif('unlock')
  const views = await Promise.all(people.map((who) => look(slapd, who)))
  await databaseIsLost()
  const report = await lockstep.json<Rebuilt>('rebuild')
  const nothing = { appliedByHand: 0, serialsOfOthers: 0, lockedByOthers: [], leftAlone: [], problems: [] }
  expect(report).toEqual({ accounts: 4, serials: 8, holds: 4, ...nothing })
  await lockstep.serve()
  await lockstep.settled()
  expect(await Promise.all(people.map((who) => look(slapd, who)))).toEqual(views)
  expect(lockstep.ldif('unlock')).toEqual(unlocks)
  const { accounts } = await lockstep.json<Locked>('accounts', '--locked')
  const holds = accounts.flatMap((account) => account.holds.map((hold) => `${hold.name}.ldif`))
  expect(holds.toSorted()).toEqual(unlocks)
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

test('after a rebuild an unlock by serial alone works, and the second hold still counts', async () => {
  await lockedDay()
  await databaseIsLost()
  await lockstep.json('rebuild')
  await lockstep.serve()
  await lockstep.shim('unlock', asAdmin(serial(owner, 'A'), null))
  await lockstep.shim('unlock', asAdmin(serial(both, 'A'), null))
  await lockstep.settled()
  expect((await look(slapd, user(owner))).canBind).toBe(true)
  expect((await look(slapd, user(both))).canBind).toBe(false)
  await lockstep.shim('unlock', asAdmin(serial(both, 'B'), null))
  await lockstep.json('unlock', user(manual), '--reason', 'back')
  await lockstep.settled()
  expect((await look(slapd, user(both))).canBind).toBe(true)
  expect((await look(slapd, user(manual))).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).toEqual([])
})

test('after a rebuild an unregistration by serial alone finds the account', async () => {
  await lockedDay()
  await databaseIsLost()
  await lockstep.json('rebuild')
  await lockstep.serve()
  await lockstep.shim('unregister', asAdmin(serial(owner, 'A'), null))
  await lockstep.settled()
  expect(await look(slapd, user(owner))).toMatchObject({ canBind: true })
  expect(serialsOf(await look(slapd, user(owner)))).toEqual([serial(owner, 'B')])
})

test('a file that was applied by hand in between is history after a rebuild', async () => {
  await lockedDay()
  await databaseIsLost()
  const file = join(lockstep.ldifDir, 'unlock', `${serial(owner, 'A')}.ldif`)
  expect((await slapd.ldapmodify('', slapd.admin, ['-f', file])).code).toBe(0)
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 3, appliedByHand: 1 })
  await lockstep.serve()
  await lockstep.settled()
  expect((await look(slapd, user(owner))).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).not.toContain(`${serial(owner, 'A')}.ldif`)
})

test('a lock without a file is somebody else’s: told, and left alone', async () => {
  await lockedDay()
  await databaseIsLost()
  rmSync(join(lockstep.ldifDir, 'unlock', `${serial(owner, 'A')}.ldif`))
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({
    holds: 3,
    lockedByOthers: [slapd.userDn(user(owner))],
    problems: [],
  })
  await lockstep.serve()
  await lockstep.shim('unlock', asAdmin(serial(owner, 'A'), null))
  await lockstep.settled()
  expect((await look(slapd, user(owner))).canBind).toBe(false)
})

test('what was restored is as old as its file, and a serial without a file is somebody else’s', async () => {
  const startedMs = Date.now()
  await lockedDay()
  await databaseIsLost()
  rmSync(join(lockstep.ldifDir, 'unregister', `${serial(free, 'B')}.ldif`))
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ serials: 7, serialsOfOthers: 1 })
  await lockstep.serve()
  await lockstep.settled()
  type Shown = { accounts: { timeline: { at: string }[] }[] }
  const [shown] = (await lockstep.json<Shown>('show', slapd.userDn(user(both)))).accounts
  expect(shown?.timeline.length).toBeGreaterThan(3)
  for (const { at } of shown?.timeline ?? []) expect(Date.parse(at)).toBeGreaterThanOrEqual(startedMs)
  expect((await lockstep.cli('show', slapd.userDn(user(both)))).stdout).not.toContain('1970')
  await lockstep.shim('unregister', asAdmin(serial(free, 'A'), null))
  await lockstep.settled()
  expect(serialsOf(await look(slapd, user(free)))).toEqual([serial(free, 'B')])
})

test('a damaged file is named and left alone', async () => {
  await lockedDay()
  await databaseIsLost()
  writeFileSync(join(lockstep.ldifDir, 'unlock', `${serial(owner, 'A')}.ldif`), 'dn: nonsense')
  const ran = await lockstep.cli('rebuild')
  expect(ran.code).toBe(65)
  expect(ran.stderr).toContain(`unlock/${serial(owner, 'A')}.ldif was left alone`)
  expect(lockstep.ldif('unlock')).toContain(`${serial(owner, 'A')}.ldif`)
})

test('a rebuild twice, or of a store that is there, changes nothing', async () => {
  await lockedDay()
  const before = await lockstep.json<Locked>('accounts', '--locked')
  await lockstep.stop()
  await lockstep.json('rebuild')
  await lockstep.json('rebuild')
  await lockstep.serve()
  await lockstep.settled()
  const after = await lockstep.json<Locked>('accounts', '--locked')
  const holdsOf = ({ accounts }: Locked): unknown =>
    accounts.map(({ key, holds }) => [key, holds.map(({ name }) => name)])
  expect(holdsOf(after)).toEqual(holdsOf(before))
})

test('a rebuild that was killed in the middle is done by the next one', async () => {
  await lockedDay()
  const unlocks = lockstep.ldif('unlock')
  const views = await Promise.all(people.map((who) => look(slapd, who)))
  await databaseIsLost()
  for (const delayMs of [50, 100, 150, 200, 250]) {
    const killed = lockstep.startBeside('rebuild')
    const ended = once(killed, 'exit')
    setTimeout(() => killed.kill('SIGKILL'), delayMs)
    await ended
  }
  expect(await lockstep.json<Rebuilt>('rebuild')).toMatchObject({ holds: 4, problems: [] })
  await lockstep.serve()
  await lockstep.settled()
  expect(await Promise.all(people.map((who) => look(slapd, who)))).toEqual(views)
  expect(lockstep.ldif('unlock')).toEqual(unlocks)
})

test('without a rebuild, a start on an empty store leaves locks and files as they are, and says so', async () => {
  await lockedDay()
  const unlocks = lockstep.ldif('unlock')
  await databaseIsLost()
  await lockstep.serve()
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).toEqual(unlocks)
  expect((await look(slapd, user(owner))).canBind).toBe(false)
  expect(lockstep.log()).toContain('lockstep rebuild')
})

test('a rebuild beside a running daemon is refused', async () => {
  const ran = await lockstep.cli('rebuild')
  expect(ran.code).toBe(69)
  expect(ran.stderr).toContain('serves this store')
})
