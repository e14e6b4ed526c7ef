import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOpen } from '../../src/core/account/state.ts'
import { asDn } from '../../src/core/names.ts'
import { plan } from '../../src/core/account/plan.ts'
import type { LockAssignment } from '../../src/core/settings/settings.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { changeFor, codeOf, desired, errorOf, heldBy, loginOf, serialOf } from './contract.ts'
import { directorySettings, nameOfDirectory } from './directory-settings.ts'

const T1 = serialOf('T1')
const LOCKED_OUT = 'cn=locked-out,ou=groups,dc=example,dc=org'
const ALLOWED = 'cn=allowed,ou=groups,dc=example,dc=org'
const SERVICE = 'cn=lockstep,ou=services,dc=example,dc=org'

const group = (dn: string, members: readonly string[]): string => {
  const cn = dn.slice(3, dn.indexOf(','))
  return `dn: ${dn}\nobjectClass: groupOfNames\ncn: ${cn}\n${members.map((member) => `member: ${member}\n`).join('')}`
}

describe('a custom lock', () => {
  let slapd: Slapd
  beforeAll(async () => {
    const users = Array.from({ length: 25 }, (_, index) => `uid=u${index + 1},ou=people,dc=example,dc=org`)
    slapd = await startSlapd({
      dbNoSync: true,
      accessRules: `access to attrs=loginShell,mail by dn.exact="${SERVICE}" write by users read
access to dn.subtree="ou=groups,dc=example,dc=org" attrs=member by dn.exact="${SERVICE}" write by users read`,
      extraLdif: `${group(LOCKED_OUT, ['cn=nobody'])}\n${group(ALLOWED, ['cn=nobody', ...users])}`,
    })
  })
  afterAll(() => slapd?.[Symbol.asyncDispose]())

  const open = (lock: LockAssignment[]): DirectoryPort =>
    openDirectories({ directories: [directorySettings(slapd, { type: 'custom', lock })], realms: {} }, systemClock)
  const look = async (port: DirectoryPort, login: string) => {
    const { key } = await port.findByLogin(loginOf(login), null)
    return port.observe(key, [], 0)
  }
  const stateOf = async () =>
    (await slapd.ldapsearch('-b', 'dc=example,dc=org', '(|(uid=*)(member=*))', 'loginShell', 'mail', 'member'))
      .split('\n')
      .toSorted()

  /** Locks and unlocks, looking at each step. @returns whether everything is as it was */
  const roundTrip = async (lock: LockAssignment[], login: string): Promise<boolean> => {
    await using port = open(lock)
    const before = await stateOf()
    const change = changeFor(heldBy(T1), await look(port, login))
    const locked = await port.apply(change)
    expect(locked.lock.state).toBe('as-ours')
    expect(locked).toEqual(await look(port, login))
    expect(await stateOf()).not.toEqual(before)
    const walked = []
    for await (const each of port.walkMarked(nameOfDirectory('corp'))) walked.push(each.dn)
    if (lock.some((each) => each.op !== 'remove')) expect(walked).toEqual([slapd.userDn(login)])
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    const unlocked = await port.apply(changeFor(desired(), locked, ours))
    expect(isOpen(unlocked.lock)).toBe(true)
    return isDeepStrictEqual(await stateOf(), before)
  }

  it('sets an attribute and puts the old value back', async () => {
    const lock = { dn: null, op: 'set' as const, attribute: 'loginShell', values: ['/usr/sbin/nologin'] }
    expect(await roundTrip([lock], 'u1')).toBe(true)
  })

  it('puts the account into a group and takes it out again', async () => {
    const lock = { dn: asDn(LOCKED_OUT), op: 'add' as const, attribute: 'member', values: ['{dn}'] }
    expect(await roundTrip([lock], 'u2')).toBe(true)
  })

  it('takes the account out of a group and puts it back', async () => {
    const lock = { dn: asDn(ALLOWED), op: 'remove' as const, attribute: 'member', values: ['{dn}'] }
    expect(await roundTrip([lock], 'u3')).toBe(true)
  })

  it('does several things at once, in several entries', async () => {
    const lock: LockAssignment[] = [
      { dn: null, op: 'set', attribute: 'loginShell', values: ['/usr/sbin/nologin'] },
      { dn: null, op: 'add', attribute: 'mail', values: ['locked+{login}@example.org'] },
      { dn: asDn(LOCKED_OUT), op: 'add', attribute: 'member', values: ['{dn}'] },
      { dn: asDn(ALLOWED), op: 'remove', attribute: 'member', values: ['{dn}'] },
    ]
    expect(await roundTrip(lock, 'u4')).toBe(true)
  })

  it('leaves nothing half done when a later entry refuses', async () => {
    await using port = open([
      { dn: null, op: 'set', attribute: 'loginShell', values: ['/usr/sbin/nologin'] },
      { dn: asDn(LOCKED_OUT), op: 'add', attribute: 'member', values: ['{dn}'] },
    ])
    const before = await stateOf()
    const change = changeFor(heldBy(T1), await look(port, 'u5'))
    await slapd.ldapmodify(`dn: ${LOCKED_OUT}\nchangetype: modify\nadd: member\nmember: ${slapd.userDn('u5')}\n`)
    expect(await codeOf(port.apply(change))).toBe('write-raced')
    await slapd.ldapmodify(`dn: ${LOCKED_OUT}\nchangetype: modify\ndelete: member\nmember: ${slapd.userDn('u5')}\n`)
    expect(await stateOf()).toEqual(before)
  })

  it('gives back what is left when somebody took one of several values out', async () => {
    const lock = { dn: null, op: 'add' as const, attribute: 'mail', values: ['a@locked.org', 'b@locked.org'] }
    await using port = open([lock])
    const before = await stateOf()
    const change = changeFor(heldBy(T1), await look(port, 'u9'))
    expect((await port.apply(change)).lock.state).toBe('as-ours')
    await slapd.ldapmodify(`dn: ${slapd.userDn('u9')}\nchangetype: modify\ndelete: mail\nmail: a@locked.org\n`)
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    const planned = plan(heldBy(T1), await look(port, 'u9'), ours, { onForeignUnlock: 'respect' })
    if (planned.kind !== 'foreign-unlock') throw new Error(planned.kind)
    await port.apply(changeFor(desired(), await look(port, 'u9'), { lock: planned.left }))
    expect(await stateOf()).toEqual(before)
  })

  it('notices a value that somebody added to an attribute that was to be ours alone', async () => {
    await using port = open([{ dn: null, op: 'set', attribute: 'title', values: ['locked'] }])
    const change = changeFor(heldBy(T1), await look(port, 'u6'))
    await slapd.ldapmodify(`dn: ${slapd.userDn('u6')}\nchangetype: modify\nadd: title\ntitle: Countess\n`)
    expect(await codeOf(port.apply(change))).toBe('write-raced')
  })

  it('knows a member in another spelling of its DN', async () => {
    await using port = open([{ dn: asDn(LOCKED_OUT), op: 'add', attribute: 'member', values: ['{dn}'] }])
    await slapd.ldapmodify(
      `dn: ${LOCKED_OUT}\nchangetype: modify\nadd: member\nmember: UID=U7,  OU=people,dc=example,dc=org\n`,
    )
    expect((await look(port, 'u7')).lock.state).toBe('as-ours')
  })

  it('knows its own DN in another spelling, as a value of the account itself', async () => {
    await using port = open([{ dn: null, op: 'add', attribute: 'seeAlso', values: ['{dn}'] }])
    const text = `dn: ${slapd.userDn('u8')}\nchangetype: modify\nadd: seeAlso\nseeAlso: UID=U8,  OU=people,dc=example,dc=org\n`
    await slapd.ldapmodify(text)
    expect((await look(port, 'u8')).lock.state).toBe('as-ours')
  })

  it('names the group that is not there', async () => {
    await using port = open([
      { dn: asDn('cn=none,ou=groups,dc=example,dc=org'), op: 'add', attribute: 'member', values: ['{dn}'] },
    ])
    const error = await errorOf(look(port, 'u8'))
    expect(error.message).toContain('cn=none')
  })
})
