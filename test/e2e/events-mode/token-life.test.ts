import { expect } from 'vitest'
import type { TokenEventKind } from '../../../src/core/events/event.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, newUser, slapd, user } from '../../support/fixture.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** A token's life through the real shims, proven with the stock tools. Each test has a user of its own. */

test.override('slapdOptions', { users: 40 })

async function happens(kind: TokenEventKind, args: readonly string[]): Promise<void> {
  const ran = await lockstep.shim(kind, args)
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
  await lockstep.settled()
}

async function isOpen(): Promise<boolean> {
  const { canBind, lockedTime } = await look(slapd, user)
  expect(canBind).toBe(lockedTime === null)
  return canBind
}

/** The files that wait in unlock/ for this user's serials, or for the account as such. */
function waiting(...serials: string[]): string[] {
  const names = lockstep.ldif('unlock').map((name) => name.replace(/\.ldif$/, ''))
  return names.filter((name) => serials.includes(name))
}

function accountHolds(): string[] {
  return lockstep.ldif('unlock').filter((name) => name.startsWith('account.'))
}

test('from enrolment to unassignment: in the serial attribute, locked out, let in again, and gone', async () => {
  await happens('register', asAdmin('LIFE1', user))
  expect(serialsOf(await look(slapd, user))).toEqual(['LIFE1'])
  expect(await isOpen()).toBe(true)
  expect(lockstep.ldif('unregister')).toContain('LIFE1.ldif')

  await happens('lock', asNobody('LIFE1', user))
  expect(await look(slapd, user)).toMatchObject({ canBind: false, lockedTime: '000001010000Z' })
  expect(waiting('LIFE1')).toEqual(['LIFE1'])
  expect(lockstep.ldif('lock')).toEqual([])

  await happens('unlock', asAdmin('LIFE1', user))
  expect(await isOpen()).toBe(true)
  expect(waiting('LIFE1')).toEqual([])

  await happens('unregister', asAdmin('LIFE1', user))
  expect(await look(slapd, user)).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  expect(lockstep.ldif('unregister')).not.toContain('LIFE1.ldif')
  for (const folder of ['register', 'lock', 'unlock', 'unregister']) {
    expect(lockstep.ldif(`${folder}/history`).filter((name) => name.startsWith('LIFE1--'))).toHaveLength(1)
  }
})

test('a serial is put beside what stands in the attribute, and taken out alone', async () => {
  const dn = slapd.userDn(user)
  await slapd.ldapmodify(`dn: ${dn}\nchangetype: modify\nadd: description\ndescription: Room 12\n`)
  await happens('register', asAdmin('SIDE1', user))
  await happens('register', asAdmin('SIDE2', user))
  expect((await look(slapd, user)).descriptions).toEqual(['Room 12', 'privacyIDEA:SIDE1', 'privacyIDEA:SIDE2'])
  await happens('unregister', asAdmin('SIDE1', null))
  expect((await look(slapd, user)).descriptions).toEqual(['Room 12', 'privacyIDEA:SIDE2'])
})

test('a lock that names the user only, who has one serial, waits under that serial', async () => {
  await happens('register', asAdmin('ONE1', user))
  await happens('lock', asNobody(null, user))
  expect(await isOpen()).toBe(false)
  expect(waiting('ONE1')).toEqual(['ONE1'])
  await happens('unlock', asAdmin('ONE1', null))
  expect(await isOpen()).toBe(true)
})

test('a lock that names the user only finds the one serial that stood in the attribute before Lockstep came', async () => {
  const dn = slapd.userDn(user)
  await slapd.ldapmodify(`dn: ${dn}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:OLD1\n`)
  await happens('lock', asNobody(null, user))
  expect(await isOpen()).toBe(false)
  expect(waiting('OLD1')).toEqual(['OLD1'])
  await happens('unlock', asAdmin('OLD1', null))
  expect(await isOpen()).toBe(true)
})

test('a lock that names the user only, who has several serials, ends with the unlock of any one of them', async () => {
  await happens('register', asAdmin('SEV1', user))
  await happens('register', asAdmin('SEV2', user))
  await happens('lock', asNobody(null, user))
  expect(await isOpen()).toBe(false)
  expect(waiting('SEV1', 'SEV2')).toEqual([])
  expect(accountHolds()).toHaveLength(1)
  await happens('unlock', asAdmin('SEV2', null))
  expect(await isOpen()).toBe(true)
  expect(accountHolds()).toEqual([])
})

test('a lock of a user without any serial ends when the user’s tokens are reset', async () => {
  await happens('lock', asNobody(null, user))
  expect(await isOpen()).toBe(false)
  expect(accountHolds()).toHaveLength(1)
  await happens('unlock', asAdmin(null, user))
  expect(await isOpen()).toBe(true)
  expect(accountHolds()).toEqual([])
})

test('two locked tokens: the account is free only when both are', async () => {
  await happens('register', asAdmin('TWO1', user))
  await happens('register', asAdmin('TWO2', user))
  await happens('lock', asNobody('TWO1', user))
  await happens('lock', asNobody('TWO2', null))
  expect(waiting('TWO1', 'TWO2')).toEqual(['TWO1', 'TWO2'])
  await happens('unlock', asAdmin('TWO1', null))
  expect(await isOpen()).toBe(false)
  expect(waiting('TWO1', 'TWO2')).toEqual(['TWO2'])
  await happens('unlock', asAdmin('TWO2', null))
  expect(await isOpen()).toBe(true)
})

test('a reset of all of a user’s tokens, without a serial, ends all their holds', async () => {
  await happens('register', asAdmin('ALL1', user))
  await happens('register', asAdmin('ALL2', user))
  await happens('lock', asNobody('ALL1', user))
  await happens('lock', asNobody('ALL2', user))
  await happens('unlock', asAdmin(null, user))
  expect(await isOpen()).toBe(true)
  expect(waiting('ALL1', 'ALL2')).toEqual([])
})

test('the unlock of a list unlocks every serial in it', async () => {
  await happens('register', asAdmin('LU1', user))
  await happens('register', asAdmin('LU2', user))
  await happens('lock', asNobody('LU1', user))
  await happens('lock', asNobody('LU2', user))
  await happens('unlock', asAdmin('LU1,LU2', user))
  expect(await isOpen()).toBe(true)
})

test.each([
  ['A,B', 'DL1,DL2'],
  ['A, B', 'DL3, DL4'],
])('the deletion of a list as %s removes each serial, its hold, and the lock with the last one', async (_, list) => {
  const [first = '', second = ''] = list.split(/, ?/)
  await happens('register', asAdmin(first, user))
  await happens('register', asAdmin(second, user))
  await happens('lock', asNobody(first, user))
  await happens('unregister', asAdmin(list, null))
  expect(await look(slapd, user)).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  expect(waiting(first, second)).toEqual([])
})

test('a token that is deleted while it is locked does not leave the account locked', async () => {
  await happens('register', asAdmin('DEL1', user))
  await happens('lock', asNobody('DEL1', user))
  await happens('unregister', asAdmin('DEL1', user))
  expect(await look(slapd, user)).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
})

test('the hold of a user with several serials ends when the last of them goes, not before', async () => {
  await happens('register', asAdmin('LAST1', user))
  await happens('register', asAdmin('LAST2', user))
  await happens('lock', asNobody(null, user))
  await happens('unregister', asAdmin('LAST1', null))
  expect(await isOpen()).toBe(false)
  await happens('unregister', asAdmin('LAST2', null))
  expect(await isOpen()).toBe(true)
})

test('a token that is assigned to another user moves, and the lock of the first owner ends', async () => {
  const first = user
  const second = newUser()
  await happens('register', asAdmin('MOVE1', first))
  await happens('lock', asNobody('MOVE1', first))
  await happens('register', asAdmin('MOVE1', second))
  expect(await look(slapd, first)).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  expect(await look(slapd, second)).toEqual({
    canBind: true,
    lockedTime: null,
    descriptions: ['privacyIDEA:MOVE1'],
  })
  await happens('lock', asNobody('MOVE1', null))
  expect((await look(slapd, first)).canBind).toBe(true)
  expect((await look(slapd, second)).canBind).toBe(false)
})

test('locks that privacyIDEA repeats at every attempt change nothing more', async () => {
  await happens('register', asAdmin('REP1', user))
  await happens('lock', asNobody('REP1', user))
  const history = lockstep.ldif('lock/history').length
  for (let count = 0; count < 5; count++) await happens('lock', asNobody('REP1', user))
  expect(lockstep.ldif('lock/history')).toHaveLength(history)
  await happens('unlock', asAdmin('REP1', user))
  expect(await isOpen()).toBe(true)
})

test('an unlock of what was never locked writes nothing', async () => {
  await happens('register', asAdmin('NEVER1', user))
  const before = await look(slapd, user)
  await happens('unlock', asAdmin('NEVER1', user))
  await happens('unlock', asNobody('NEVER1', null))
  expect(await look(slapd, user)).toEqual(before)
  expect(lockstep.ldif('unlock/history').filter((name) => name.startsWith('NEVER1--'))).toEqual([])
})

test('a token without an owner, and an event that names nobody, are on record and change nothing', async () => {
  await happens('register', asAdmin('ORPHAN1', null))
  await happens('lock', asNobody(null, null))
  type Events = { events: { state: string; why: { code: string } | null }[] }
  const { events } = await lockstep.json<Events>('events', '--limit', '2')
  expect(events.map(({ state, why }) => ({ state, why: why?.code }))).toEqual([
    { state: 'ended', why: 'names-nobody' },
    { state: 'ended', why: 'token-without-owner' },
  ])
})

test('of the arguments only those that are switched on need to be there', async () => {
  await happens('register', ['--serial', 'FEW1', '--user', user, '--realm', 'r1'])
  await happens('lock', ['--user', user, '--realm', 'R1'])
  expect(await isOpen()).toBe(false)
  await happens('unlock', ['--serial', 'FEW1'])
  expect(await isOpen()).toBe(true)
  await happens('lock', ['--serial', 'FEW1', '--user', 'None', '--realm', ''])
  expect(await isOpen()).toBe(false)
  await happens('unregister', ['--serial', 'FEW1'])
  expect(await isOpen()).toBe(true)
})
