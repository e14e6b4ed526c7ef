import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asBindName } from '../../../src/core/settings/bind-name.ts'
import type { ObservedState } from '../../../src/core/account/state.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { openProbe } from '../../../src/directory/probe/probe.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { loginOf } from '../contract.ts'
import { sambaSettings } from './samba-world.ts'

/** The bind account by its login, on a real Samba: it lies among the people, where it could lock itself out. */

const OURS = 'it is the account that Lockstep binds as'
const BIND_NAMES = [
  'lockstep@example.org',
  'LOCKSTEP@Example.org',
  'lockstep@EXAMPLE',
  'EXAMPLE\\lockstep',
  'example\\Lockstep',
]
let samba: Samba
let serviceSid = ''
let aheadMs = 0
const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }

beforeAll(async () => {
  samba = await startSamba()
  await rename(samba.serviceDn, 'lockstep', samba.peopleDn)
  const shown = await samba.tool('user', 'show', 'lockstep', '--attributes=objectSid')
  serviceSid = /objectSid: (\S+)/.exec(shown)?.[1] ?? ''
}, SAMBA_TIMEOUT_MS)
afterAll(async () => {
  await samba?.[Symbol.asyncDispose]()
})

async function edit(text: string): Promise<void> {
  const { code, stderr } = await samba.ldapmodify(text)
  if (code !== 0) throw new Error(`ldapmodify: ${code} ${stderr}`)
}

const rename = (dn: string, to: string, below: string) =>
  edit(`dn: ${dn}\nchangetype: modrdn\nnewrdn: CN=${to}\ndeleteoldrdn: 1\nnewsuperior: ${below}\n`)
const replace = (dn: string, attribute: string, value: string) =>
  edit(`dn: ${dn}\nchangetype: modify\nreplace: ${attribute}\n${attribute}: ${value}\n`)
const settingsAs = (name: string) => sambaSettings(samba, { bindDn: asBindName(name) })
const portAs = (name: string): DirectoryPort => openDirectories({ directories: [settingsAs(name)], realms: {} }, clock)

async function look(port: DirectoryPort, login: string): Promise<ObservedState> {
  return port.observe((await port.findByLogin(loginOf(login), null)).key, [], 0)
}

/** Nothing of its own entry may be read by the bind account, so that no search finds it. @returns what ends that */
async function hideOwnEntry(): Promise<() => Promise<void>> {
  const dn = samba.userDn('lockstep')
  const before = await samba.ldapsearch('-b', dn, '-s', 'base', 'nTSecurityDescriptor')
  const descriptor = /^nTSecurityDescriptor:: \S+$/m.exec(before)?.[0] ?? ''
  await samba.tool('dsacl', 'set', `--objectdn=${dn}`, '--action=deny', `--sddl=(D;;RPLC;;;${serviceSid})`)
  return () => edit(`dn: ${dn}\nchangetype: modify\nreplace: nTSecurityDescriptor\n${descriptor}\n`)
}

describe('a bind account that is named by a login', () => {
  it.each(BIND_NAMES)('binds as %s, and is the one that is never locked', async (name) => {
    await using port = portAs(name)
    const own = await look(port, 'lockstep')
    expect([own.protectedBy, own.protectionUnread]).toEqual([OURS, undefined])
    const other = await look(port, 'u1')
    expect([other.protectedBy, other.protectionUnread]).toEqual([null, undefined])
  })

  it('is shown by the server as itself, and an account that is not there is not found', async () => {
    await using probe = openProbe(settingsAs('EXAMPLE\\lockstep'), clock)
    expect(await probe.servers()).toMatchObject([{ error: null, identity: `sid:${serviceSid}` }])
    expect(await probe.ownAccount()).toMatchObject({ dns: [samba.userDn('lockstep')], unread: null })
    expect(await probe.activeDirectory([])).toMatchObject({ sid: serviceSid, name: 'EXAMPLE\\lockstep' })
    await using port = portAs('EXAMPLE\\lockstep')
    await expect(look(port, 'nobody')).rejects.toMatchObject({ code: 'unknown-user' })
  })

  it('is the owner of the name at the bind, and not another account whose login is alike', async () => {
    const dn = samba.userDn('lockstep')
    await replace(dn, 'userPrincipalName', 'u9@services.example.org')
    try {
      await using port = portAs('u9@services.example.org')
      expect((await look(port, 'lockstep')).protectedBy).toBe(OURS)
      expect((await look(port, 'u9')).protectedBy).toBeNull()
    } finally {
      await replace(dn, 'userPrincipalName', 'lockstep@example.org')
    }
  })

  it('stays so under another name and in another place', async () => {
    await using port = portAs('EXAMPLE\\lockstep')
    const { key } = await look(port, 'lockstep')
    await rename(samba.userDn('lockstep'), 'another', samba.peopleDn)
    try {
      expect(await port.observe(key, [], 0)).toMatchObject({ dn: samba.userDn('another'), protectedBy: OURS })
    } finally {
      await rename(samba.userDn('another'), 'lockstep', samba.peopleDn)
    }
  })

  it('leaves everybody unlocked until its entry is found, and is looked for again', async () => {
    const unhide = await hideOwnEntry()
    await using port = portAs('lockstep@example.org')
    try {
      const { protectedBy, protectionUnread } = await look(port, 'u2')
      expect(protectedBy).toBeNull()
      expect(protectionUnread).toMatchObject({
        code: 'directory-not-permitted',
        reason: expect.stringContaining(
          'the entry of lockstep@example.org, the account that Lockstep binds as, was not found',
        ),
      })
    } finally {
      await unhide()
    }
    aheadMs += 10_001
    expect((await look(port, 'u2')).protectionUnread).toBeUndefined()
    expect((await look(port, 'lockstep')).protectedBy).toBe(OURS)
  })
})

interface Shown {
  readonly account: {
    readonly standing: string
    readonly standingReason: { readonly text: string } | null
    readonly lockedByUs: boolean
  }
}

describe('with the daemon', () => {
  it('a hold never locks the bind account, and a hold of anybody waits while its entry is not found', async () => {
    await using lockstep = await startLockstep({ ...samba, serviceDn: 'EXAMPLE\\lockstep' })
    const shown = async (login: string) =>
      (await lockstep.json<{ accounts: Shown[] }>('show', login)).accounts[0]?.account
    await lockstep.shim('lock', asNobody(null, 'lockstep'))
    await lockstep.settled()
    expect(await shown('lockstep')).toMatchObject({ standing: 'protected', lockedByUs: false })
    await lockstep.stop()
    const unhide = await hideOwnEntry()
    try {
      await lockstep.serve()
      await lockstep.shim('lock', asNobody(null, 'u3'))
      await lockstep.settled()
      expect(await shown('u3')).toMatchObject({
        lockedByUs: false,
        standingReason: { text: expect.stringContaining('was not found') as string },
      })
      expect(await samba.values('u3', 'userAccountControl')).toEqual(['512'])
    } finally {
      await unhide()
    }
    await lockstep.stop()
    await lockstep.serve()
    await lockstep.json('retry')
    await lockstep.settled()
    expect(await shown('u3')).toMatchObject({ lockedByUs: true })
    expect(await samba.values('u3', 'userAccountControl')).toEqual(['514'])
    expect(await samba.values('lockstep', 'userAccountControl')).toEqual(['512'])
  })
})
