import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look, lookAtAll } from '../../support/account-view.ts'
import { createOwn, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Locks that the breaker holds back, and what a person says of them. */

const USERS = 12
const PEOPLE = Array.from({ length: USERS }, (_, at) => `u${at + 1}`)
const TIGHT = '{ breaker: { maxLocks: 3, per: 1h } }'

test.override('slapdOptions', { users: USERS })

interface Listed {
  readonly waiting: number
  readonly reviews: { readonly login: string; readonly state: string; readonly approvedBy: string[] }[]
}

async function lockedPeople(): Promise<string[]> {
  const all = [...(await lookAtAll(slapd))]
  return all.flatMap(([name, { lockedTime }]) => (lockedTime === null ? [] : [name]))
}

async function waitingLogins(lockstep: Lockstep): Promise<string[]> {
  const { reviews } = await lockstep.json<Listed>('review', 'list')
  return reviews.map(({ login }) => login)
}

async function spray(lockstep: Lockstep, people: readonly string[] = PEOPLE): Promise<void> {
  for (const user of people) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
  await lockstep.settled()
}

function findingLines(lockstep: Lockstep, kind: string): string[] {
  return lockstep
    .log()
    .split('\n')
    .filter((line) => line.startsWith(`warn ${kind} `))
}

test('what waits is listed with its LDIF, told once, and locked when it is approved', async () => {
  const lockstep = await startOwn({ guards: TIGHT })
  await spray(lockstep)
  expect(await lockedPeople()).toHaveLength(3)
  const waiting = await waitingLogins(lockstep)
  expect(waiting).toHaveLength(USERS - 3)
  await eventually('the log tells it', () => findingLines(lockstep, 'breaker').length > 0)
  const [first = '', second = ''] = waiting
  const shown = (await lockstep.cli('review', 'show', first)).stdout
  expect(shown).toContain(`dn: ${slapd.userDn(first)}`)
  expect(shown).toContain('pwdAccountLockedTime: 000001010000Z')
  const status = await lockstep.json<object>('status')
  expect(status).toMatchObject({ findings: [{ code: 'breaker' }], review: { waiting: USERS - 3 } })

  expect((await lockstep.cli('review', 'approve', first, '--reason', 'seen it')).stdout).toContain('1 lock approved')
  expect((await look(slapd, first)).canBind).toBe(false)
  expect((await look(slapd, second)).canBind).toBe(true)
  expect((await lockstep.cli('show', first)).stdout).toMatch(/ lock approved +- +\S+ +seen it\n/)
  const ran = await lockstep.json<object>('review', 'approve', '--all', '--reason', 'a real attack')
  expect(ran).toMatchObject({ approved: USERS - 4, pending: 0 })
  expect(await lockedPeople()).toHaveLength(USERS)
  expect(await waitingLogins(lockstep)).toEqual([])
  expect(await lockstep.json<object>('status')).toMatchObject({ health: 'ok', findings: [], review: { waiting: 0 } })
  expect(findingLines(lockstep, 'breaker')).toHaveLength(1)
})

test('a rejected lock does not come back by itself or by a restart, and does by a new event', async () => {
  const lockstep = await startOwn({ guards: TIGHT })
  await spray(lockstep)
  const [first = '', second = ''] = await waitingLogins(lockstep)
  const ran = await lockstep.json<object>('review', 'reject', '--all', '--reason', 'a broken client')
  expect(ran).toMatchObject({ rejected: USERS - 3 })
  lockstep.editConfig((yaml) => yaml.replace('maxLocks: 3', 'maxLocks: 100'))
  await lockstep.restart()
  await lockstep.settled()
  expect(await lockedPeople()).toHaveLength(3)
  await lockstep.shim('lock', asNobody(null, first))
  await lockstep.settled()
  expect((await look(slapd, first)).canBind).toBe(false)
  expect((await look(slapd, second)).canBind).toBe(true)
})

test('an unlock takes the account out of the queue, and unlocks of others flow', async () => {
  const lockstep = await startOwn({ guards: TIGHT })
  await spray(lockstep)
  const [first = '', ...others] = await waitingLogins(lockstep)
  const [held = ''] = await lockedPeople()
  for (const user of [first, held]) await lockstep.shim('unlock', asAdmin(null, user))
  await lockstep.settled()
  expect(await waitingLogins(lockstep)).toEqual(others)
  expect((await look(slapd, held)).canBind).toBe(true)
})

test('a review that is over is not approved by its name after a restart, and one that was approved is done once', async () => {
  const lockstep = await startOwn({ guards: TIGHT })
  await spray(lockstep)
  const [over = '', used = ''] = await waitingLogins(lockstep)
  await lockstep.cli('review', 'approve', used, '--reason', 'seen it')
  await lockstep.shim('unlock', asAdmin(null, over))
  await lockstep.settled()
  await lockstep.restart()
  const locks = lockstep.ldif('lock')
  for (const login of [over, used]) {
    const again = await lockstep.cli('review', 'approve', login, '--reason', 'seen it', '--json')
    expect([again.code, again.document<object>()], login).toMatchObject([
      67,
      { error: { code: 'nothing-matched' }, data: { approved: 0, pending: 0 } },
    ])
  }
  await lockstep.settled()
  expect([(await look(slapd, over)).canBind, (await look(slapd, used)).canBind]).toEqual([true, false])
  const { records } = await lockstep.json<{ records: { kind: string }[] }>('journal', '--limit', '1000')
  expect(records.filter(({ kind }) => kind === 'approved')).toHaveLength(1)
  expect(lockstep.ldif('lock')).toEqual(locks)
})

/** Where a person has logged in, every command is theirs, whatever SUDO_USER says. */
const hasLogin = readFileSync('/proc/self/loginuid', 'utf8').trim() !== '4294967295'

test.skipIf(hasLogin)('with two approvals a lock needs two persons, and the same one twice is refused', async () => {
  const guards = '{ breaker: { maxLocks: 3, per: 1h, approvals: 2 } }'
  const lockstep = await startOwn({ guards })
  await spray(lockstep)
  const [first = ''] = await waitingLogins(lockstep)
  const approve = (person: string) =>
    lockstep.cliWith({ SUDO_USER: person }, 'review', 'approve', first, '--reason', 'seen it', '--json')
  const once = await approve('anna')
  expect([once.code, once.json<object>()]).toMatchObject([0, { approved: 0, short: 1, by: 'anna' }])
  const twice = await approve('anna')
  expect([twice.code, twice.document<object>()]).toMatchObject([77, { error: { code: 'another-person-needed' } }])
  expect((await look(slapd, first)).canBind).toBe(true)
  expect((await approve('bert')).json<object>()).toMatchObject({ approved: 1, pending: 0 })
  expect((await look(slapd, first)).canBind).toBe(false)
})

test('a breaker that closes by hand stays open over a restart and past its window until a person resumes it', async () => {
  const guards = '{ breaker: { maxLocks: 4, per: 1s, reset: manual } }'
  const lockstep = await startOwn({ guards })
  await spray(lockstep)
  expect(await lockedPeople()).toHaveLength(4)
  await lockstep.restart()
  await lockstep.settled()
  const windowEnd = Date.now() + 1_100
  await eventually('the window has passed', () => Date.now() > windowEnd)
  await lockstep.cli('retry')
  await lockstep.settled()
  expect(await lockedPeople()).toHaveLength(4)
  expect(await lockstep.json<object>('review', 'resume', '--reason', 'all clear')).toMatchObject({ waited: USERS - 4 })
  await lockstep.settled()
  expect(await lockedPeople()).toHaveLength(8)
})

test('a limit of one realm holds back the locks of that realm alone, and a realm is approved as a whole', async () => {
  const limits = '[{ of: realm, only: [r2], maxLocks: 1, per: 1h }]'
  const options = { realms: '{ r1: corp, r2: corp }', guards: `{ breaker: { maxLocks: 100, limits: ${limits} } }` }
  const lockstep = await createOwn(options)
  const ofRealm = (user: string, realm: string): string[] =>
    asNobody(null, user).map((arg) => (arg === 'r1' ? realm : arg))
  for (const user of PEOPLE) {
    const args = ofRealm(user, Number(user.slice(1)) <= 4 ? 'r2' : 'r1')
    lockstep.spool({ kind: 'lock', args, takenAtMs: Date.now() })
  }
  expect((await lockstep.drain()).code).toBe(75)
  expect(await lockedPeople()).toHaveLength(USERS - 3)
  const { reviews } = await lockstep.json<{ reviews: { realm: string; reason: { text: string } }[] }>('review')
  expect(new Set(reviews.map(({ realm }) => realm))).toEqual(new Set(['r2']))
  expect(reviews[0]?.reason.text).toContain('at most 1 lock of realm r2 within 1 h')
  const none = await lockstep.cli('review', 'approve', '--realm', 'r1', '--reason', 'x')
  expect(none.stdout).toContain('no such lock waits')
  expect(await lockstep.json<object>('review', 'approve', '--realm', 'r2', '--reason', 'x')).toMatchObject({
    approved: 3,
  })
  expect(await lockedPeople()).toHaveLength(USERS)
})
