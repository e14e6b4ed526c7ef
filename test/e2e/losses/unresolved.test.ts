import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { lockstep, lockstepTest as test, newUser, slapd, user } from '../../support/fixture.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** What cannot be told is not guessed: it is reported with its reason, and comes right by itself once it can. */

test.override('slapdOptions', { users: 20 })

interface Wait {
  readonly what: string
  readonly name: string
  readonly why: { readonly text: string } | null
  readonly code: string
}

/** What `status --json` says of an event or account; matched by a part of its name or reason. */
async function waitOf(text: string): Promise<Wait> {
  return eventually(`${text} waits`, async () => {
    const { waits } = await lockstep.json<{ waits: Wait[] }>('status')
    return waits.find((wait) => wait.name.includes(text) || wait.why?.text.includes(text) === true)
  })
}

async function addDescription(uid: string, value: string): Promise<void> {
  const text = `dn: ${slapd.userDn(uid)}\nchangetype: modify\nadd: description\ndescription: ${value}\n`
  expect((await slapd.ldapmodify(text)).code).toBe(0)
}

async function deleteDescription(uid: string, value: string): Promise<void> {
  const text = `dn: ${slapd.userDn(uid)}\nchangetype: modify\ndelete: description\ndescription: ${value}\n`
  expect((await slapd.ldapmodify(text)).code).toBe(0)
}

async function retried(): Promise<void> {
  await lockstep.json('retry')
  await lockstep.settled()
}

test('a serial that stands at another account is a conflict: nothing is written until it is taken away there', async () => {
  const other = newUser()
  await addDescription(other, 'privacyIDEA:CONF1')
  await lockstep.shim('register', asAdmin('CONF1', user))
  await lockstep.settled()
  expect(await waitOf(`uid=${other},`)).toMatchObject({ what: 'account', name: user, code: 'serial-conflict' })
  expect((await look(slapd, user)).descriptions).toEqual([])
  expect((await look(slapd, other)).descriptions).toEqual(['privacyIDEA:CONF1'])
  expect(lockstep.ldif('unregister')).not.toContain('CONF1.ldif')
  await retried()
  expect((await look(slapd, user)).descriptions).toEqual([])

  await deleteDescription(other, 'privacyIDEA:CONF1')
  await retried()
  expect(serialsOf(await look(slapd, user))).toEqual(['CONF1'])
  expect(JSON.stringify(await lockstep.json('status'))).not.toContain('CONF1')
})

test('an account in conflict over a serial is still locked and unlocked', async () => {
  const other = newUser()
  await addDescription(other, 'privacyIDEA:CONF2')
  await lockstep.shim('register', asAdmin('CONF2', user))
  await lockstep.shim('lock', asNobody('CONF2', user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  expect((await look(slapd, other)).canBind).toBe(true)
  await lockstep.shim('unlock', asAdmin('CONF2', user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('events of a user who is not in the directory wait, and are carried out once the user is there', async () => {
  await lockstep.shim('register', asAdmin('NEW1', 'newcomer'))
  await lockstep.shim('lock', asNobody(null, 'newcomer'))
  await lockstep.settled()
  expect(await waitOf('newcomer')).toMatchObject({ what: 'event', code: 'unknown-user' })
  const entry = `dn: ${slapd.userDn('newcomer')}\nobjectClass: inetOrgPerson\nuid: newcomer\ncn: N\nsn: N\nuserPassword: userpw\n`
  expect((await slapd.ldapmodify(entry, slapd.admin, ['-a'])).code).toBe(0)
  await eventually('the newcomer is locked by itself', async () => !(await look(slapd, 'newcomer')).canBind)
  const serials = await eventually('the serial is there', async () => {
    const found = serialsOf(await look(slapd, 'newcomer'))
    return found.length > 0 && found
  })
  expect(serials).toEqual(['NEW1'])
})

test('an event of a serial that nobody carries waits, and is carried out when the serial is registered', async () => {
  await lockstep.shim('lock', asNobody('LATE1', null))
  await lockstep.settled()
  expect(await waitOf('LATE1')).toMatchObject({ what: 'event', code: 'unknown-serial' })
  await lockstep.shim('register', asAdmin('LATE1', user))
  await eventually('the account is locked by itself', async () => !(await look(slapd, user)).canBind)
  expect(lockstep.ldif('unlock')).toContain('LATE1.ldif')
})

test('an event of a serial that two accounts carry waits, and neither of them is touched', async () => {
  const other = newUser()
  await addDescription(user, 'privacyIDEA:TWICE1')
  await addDescription(other, 'privacyIDEA:TWICE1')
  await lockstep.shim('lock', asNobody('TWICE1', null))
  await lockstep.settled()
  const wait = await waitOf('TWICE1')
  expect(wait).toMatchObject({ what: 'event', code: 'ambiguous-match' })
  expect(wait.why?.text).toContain(slapd.userDn(user))
  expect(wait.why?.text).toContain(slapd.userDn(other))
  expect((await look(slapd, user)).canBind).toBe(true)
  expect((await look(slapd, other)).canBind).toBe(true)

  await deleteDescription(other, 'privacyIDEA:TWICE1')
  await eventually('the right one is locked by itself', async () => !(await look(slapd, user)).canBind)
  expect((await look(slapd, other)).canBind).toBe(true)
})

test('a login that two entries share is ambiguous, and neither of them is touched', async () => {
  const dn = `cn=second,${slapd.peopleDn}`
  const entry = `dn: ${dn}\nobjectClass: inetOrgPerson\ncn: second\nuid: ${user}\nsn: S\nuserPassword: userpw\n`
  expect((await slapd.ldapmodify(entry, slapd.admin, ['-a'])).code).toBe(0)
  await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect(await waitOf(`lock ${user}`)).toMatchObject({ what: 'event', code: 'ambiguous-match' })
  expect((await look(slapd, user)).canBind).toBe(true)
  expect((await slapd.ldapmodify(`dn: ${dn}\nchangetype: delete\n`)).code).toBe(0)
  await eventually('the account is locked by itself', async () => !(await look(slapd, user)).canBind)
})

test('a realm without a directory waits, and is carried out once the configuration names one', async () => {
  await lockstep.shim('lock', asNobody(null, user, 'elsewhere'))
  await lockstep.settled()
  expect(await waitOf('elsewhere')).toMatchObject({ what: 'event', code: 'realm-unmapped' })
  lockstep.editConfig((yaml) => yaml.replace('{ r1: corp }', '{ r1: corp, elsewhere: corp }'))
  await lockstep.restart()
  await retried()
  expect((await look(slapd, user)).canBind).toBe(false)
})

test('what is nobody’s is told in the list of events, with the reason and the next try', async () => {
  await lockstep.shim('unlock', asAdmin('NOBODY1', null))
  await lockstep.settled()
  type Events = { events: { serial: string; why: { code: string; text: string } | null; nextTryAt: string }[] }
  const { events } = await lockstep.json<Events>('events', '--state', 'waiting')
  const event = events.find((each) => each.serial === 'NOBODY1')
  expect(event).toMatchObject({ why: { code: 'unknown-serial', text: 'no account is known for serial NOBODY1' } })
  expect(Date.parse(event?.nextTryAt ?? '')).toBeGreaterThan(Date.now() - 1_000)
})
