import { join } from 'node:path'
import { beforeEach, expect } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { applyManualAction } from '../../../src/operations/accounts/manual-action.ts'
import { openLog } from '../../../src/app/log.ts'
import { openSystem } from '../../../src/app/system.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import { everythingOf, look } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, slapd, user } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** What an administrator does in the directory with stock tools, and what Lockstep makes of it. */

const FOREIGN_TIME = '20200101000000Z'
const OUR_TIME = '000001010000Z'

test.override('slapdOptions', { users: 30 })
beforeEach(async () => {
  if (lockstep.pid === 0) await lockstep.serve()
})

/** `ldapmodify -f ldif/FILE`, with the service account that Lockstep has. */
async function applyByHand(file: string): Promise<void> {
  const service = { dn: slapd.serviceDn, password: slapd.servicePassword }
  const ran = await slapd.ldapmodify('', service, ['-f', join(lockstep.ldifDir, file)])
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
}

async function writeLock(time: string | null): Promise<void> {
  const lines = [`dn: ${slapd.userDn(user)}`, 'changetype: modify', 'replace: pwdAccountLockedTime']
  if (time !== null) lines.push(`pwdAccountLockedTime: ${time}`)
  const ran = await slapd.ldapmodify(`${lines.join('\n')}\n`)
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
}

async function registered(...serials: string[]): Promise<void> {
  for (const serial of serials) await lockstep.shim('register', asAdmin(serial, user))
  await lockstep.settled()
}

async function locked(...serials: string[]): Promise<void> {
  for (const serial of serials) await lockstep.shim('lock', asNobody(serial, user))
  await lockstep.settled()
}

interface Shown {
  readonly account: {
    readonly standing: string
    readonly standingReason: { readonly text: string } | null
    readonly lockedByUs: boolean
    readonly holds: readonly { name: string }[]
  }
  readonly timeline: readonly { readonly what: string }[]
}

async function shown(): Promise<Shown> {
  const { accounts } = await lockstep.json<{ accounts: Shown[] }>('show', user)
  const [details] = accounts
  if (details === undefined) throw new Error(`nothing is shown of ${user}`)
  return details
}

function historyOf(serial: string, folder = 'unlock'): string[] {
  return lockstep.ldif(`${folder}/history`).filter((name) => name.startsWith(`${serial}--`))
}

test('with the daemon dead, ldapmodify alone gives the account back, byte for byte, and the next start closes the hold', async () => {
  await registered('HAND1')
  const before = await everythingOf(slapd, user)
  await locked('HAND1')
  await lockstep.kill9()
  expect((await look(slapd, user)).canBind).toBe(false)
  await applyByHand('unlock/HAND1.ldif')
  expect(await everythingOf(slapd, user)).toBe(before)
  expect((await look(slapd, user)).canBind).toBe(true)

  await lockstep.serve()
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
  expect(lockstep.ldif('unlock')).not.toContain('HAND1.ldif')
  expect(historyOf('HAND1')).toHaveLength(1)
  const { account, timeline } = await shown()
  expect(account).toMatchObject({ standing: 'in-step', lockedByUs: false, holds: [] })
  expect(timeline.at(-1)?.what).toBe('event directory-unlock')
})

test('with several holds any one of the files releases the account, and the next start closes them all', async () => {
  await registered('HAND2', 'HAND3')
  const before = await everythingOf(slapd, user)
  await locked('HAND2', 'HAND3')
  await lockstep.kill9()
  await applyByHand('unlock/HAND3.ldif')
  expect(await everythingOf(slapd, user)).toBe(before)
  await lockstep.serve()
  await lockstep.settled()
  expect(lockstep.ldif('unlock').filter((name) => name.startsWith('HAND'))).toEqual([])
  expect([historyOf('HAND2').length, historyOf('HAND3').length]).toEqual([1, 1])
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('while the daemon runs, retry notices that somebody applied a file', async () => {
  await registered('HAND4')
  await locked('HAND4')
  await applyByHand('unlock/HAND4.ldif')
  await lockstep.json('retry')
  await lockstep.settled()
  expect(lockstep.ldif('unlock')).not.toContain('HAND4.ldif')
  expect(historyOf('HAND4')).toHaveLength(1)
  expect((await shown()).account.holds).toEqual([])
})

test('after an unlock by hand that was noticed the next lock of the token locks again', async () => {
  await registered('HAND5')
  await locked('HAND5')
  await applyByHand('unlock/HAND5.ldif')
  await lockstep.json('retry')
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
  await locked('HAND5')
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(lockstep.ldif('unlock')).toContain('HAND5.ldif')
})

test('the file that waits in unregister takes the serial out again, byte for byte', async () => {
  const before = await everythingOf(slapd, user)
  await registered('HAND6')
  await lockstep.kill9()
  await applyByHand('unregister/HAND6.ldif')
  expect(await everythingOf(slapd, user)).toBe(before)
})

test('somebody else’s lock is neither claimed nor released', async () => {
  await registered('FOR1')
  await writeLock(FOREIGN_TIME)
  const before = await everythingOf(slapd, user)
  await locked('FOR1')
  expect((await shown()).account).toMatchObject({ standing: 'foreign-lock', lockedByUs: false })
  expect(lockstep.ldif('unlock')).not.toContain('FOR1.ldif')
  await lockstep.shim('unlock', asAdmin('FOR1', null))
  await lockstep.settled()
  expect(await everythingOf(slapd, user)).toBe(before)
  expect((await shown()).account).toMatchObject({ standing: 'in-step', lockedByUs: false })
})

test('an account that has ended is named beside our lock, and still when an unlock ends with 69', async () => {
  const otherLock = { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', until: null }
  await registered('FOR4')
  await locked('FOR4')
  const modify = (lines: string) => slapd.ldapmodify(`dn: ${slapd.userDn(user)}\nchangetype: modify\n${lines}\n`)
  expect((await modify('add: pwdEndTime\npwdEndTime: 20200101000000Z')).code).toBe(0)
  await lockstep.json('retry')
  await lockstep.settled()
  expect((await shown()).account).toMatchObject({ standing: 'foreign-lock', lockedByUs: true, otherLock })
  const unlock = await lockstep.cli('unlock', user, '--reason', 'asked for', '--json')
  expect(unlock.code).toBe(69)
  expect(unlock.document()).toMatchObject({ error: { code: 'still-locked' }, data: { account: { otherLock } } })
  expect((await look(slapd, user)).lockedTime).toBeNull()
  const { account } = await shown()
  expect(account).toMatchObject({ standing: 'in-step', lockedByUs: false, otherLock })
  expect(account.standingReason?.text).toContain('pwdEndTime')
  const text = await lockstep.cli('show', user)
  expect(text.stdout).toContain('the account has expired')
})

test('a lock of the same value that somebody else wrote before us stays as well', async () => {
  await registered('FOR2')
  await writeLock(OUR_TIME)
  await locked('FOR2')
  await lockstep.shim('unlock', asAdmin('FOR2', null))
  await lockstep.settled()
  expect((await look(slapd, user)).lockedTime).toBe(OUR_TIME)
  expect(lockstep.ldif('unlock')).not.toContain('FOR2.ldif')
})

test('our lock that somebody replaced by theirs is theirs from then on', async () => {
  await registered('FOR3')
  await locked('FOR3')
  await writeLock(FOREIGN_TIME)
  await lockstep.shim('unlock', asAdmin('FOR3', null))
  await lockstep.settled()
  expect((await look(slapd, user)).lockedTime).toBe(FOREIGN_TIME)
  expect(lockstep.ldif('unlock')).not.toContain('FOR3.ldif')
})

test('when somebody else’s lock goes, the hold that stood behind it locks', async () => {
  await registered('FOR4')
  await writeLock(FOREIGN_TIME)
  await locked('FOR4')
  await writeLock(null)
  await lockstep.json('retry')
  await lockstep.settled()
  expect((await look(slapd, user)).lockedTime).toBe(OUR_TIME)
  expect(lockstep.ldif('unlock')).toContain('FOR4.ldif')
})

test('with onForeignUnlock: relock a lock that was taken away by hand is written again', async () => {
  await using own = await startLockstep(slapd, { yaml: 'policy: { onForeignUnlock: relock }\n' })
  await own.shim('register', asAdmin('RELOCK1', user))
  await own.shim('lock', asNobody('RELOCK1', user))
  await own.settled()
  await writeLock(null)
  await own.json('retry')
  await own.settled()
  expect((await look(slapd, user)).lockedTime).toBe(OUR_TIME)
  expect(own.ldif('unlock')).toEqual(['RELOCK1.ldif'])
  await own.shim('unlock', asAdmin('RELOCK1', user))
  await own.settled()
  expect((await look(slapd, user)).lockedTime).toBe(null)
})

test('a lock that equals ours and is on no record is left alone, named, and released by unlock --adopt', async () => {
  await registered('ADOPT1')
  await locked('ADOPT1')
  await lockstep.json('unlock', user, '--reason', 'x')
  await writeLock(OUR_TIME)
  await lockstep.json('retry')
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  const refused = await lockstep.cli('unlock', user, '--reason', 'x')
  expect(refused.code).toBe(69)
  expect(refused.stdout).toContain(`lockstep unlock ${user} --adopt`)
  expect((await lockstep.cli('undo', '--since', '1h')).stdout).toContain(`lockstep unlock ${user} --adopt`)
  const adopted = await lockstep.cli('unlock', user, '--adopt', '--reason', 'it came late')
  expect({ code: adopted.code, canBind: (await look(slapd, user)).canBind }).toEqual({ code: 0, canBind: true })
  expect(adopted.stdout).toContain('adopted as ours, and released')
  const timeline = (await lockstep.cli('show', user)).stdout
  expect(timeline).toMatch(/ lock adopted +- +\S+ +it came late\n/)
  expect(timeline).toMatch(/ unlock applied +- +[^\s-]\S* +it came late\n/)
  const journal = await lockstep.cli('journal', '--json')
  expect(journal.stdout).toContain('it came late')
  expect(lockstep.ldif('unlock/history').some((name) => name.startsWith('account.'))).toBe(true)
  // What is no lock of ours is not taken over.
  await writeLock(FOREIGN_TIME)
  const others = await lockstep.cli('unlock', user, '--adopt', '--reason', 'x')
  expect(others.code).toBe(69)
  expect(others.stdout).toContain('not what Lockstep would write')
})

test('lockstep unlock opens an account whose lock came with a time of the future', async () => {
  await registered('AHEAD1')
  lockstep.spool({ kind: 'lock', args: asNobody('AHEAD1', user), takenAtMs: Date.now() + 290_000 })
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  expect((await lockstep.cli('unlock', user, '--reason', 'x')).code).toBe(0)
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('lockstep unlock opens an account that was locked while the clock was an hour ahead', async () => {
  await lockstep.stop()
  const { settings } = loadConfig({ flag: lockstep.configFile, env: {}, cwd: lockstep.dir })
  const ahead: Clock = { nowMs: () => Date.now() + 3_600_000, random: () => 0.5 }
  {
    await using system = await openSystem(settings, ahead)
    const order = {
      kind: 'hold',
      login: user,
      realm: null,
      reason: 'x',
      actor: 'test',
      forMs: null,
      resetsTokens: false,
      adopts: false,
    } as const
    await applyManualAction(system, order, openLog({ write: () => true }, false))
  }
  expect((await look(slapd, user)).canBind).toBe(false)
  expect((await lockstep.cli('unlock', user, '--reason', 'x')).code).toBe(0)
  expect((await look(slapd, user)).canBind).toBe(true)
})

interface Trouble {
  readonly lockFindings: readonly { readonly login: string; readonly code: string }[]
}

/** Whether status still names the user: others of this file may be named as well. */
async function isTrouble(): Promise<boolean> {
  const { lockFindings } = await lockstep.json<Trouble>('status')
  return lockFindings.some(({ login, code }) => login === user && code === 'removed')
}

async function removedByHand(serial: string): Promise<void> {
  await registered(serial)
  await locked(serial)
  await applyByHand(`unlock/${serial}.ldif`)
  await lockstep.cli('retry')
  await lockstep.settled()
  expect(await isTrouble()).toBe(true)
}

test('that the file was applied is shown until the token can be used again', async () => {
  await removedByHand('H1')
  await lockstep.shim('unlock', asAdmin('H1', user))
  await lockstep.settled()
  expect(await isTrouble()).toBe(false)
})

test('… or until the token is gone', async () => {
  await removedByHand('H2')
  await lockstep.shim('unregister', asAdmin('H2', user))
  await lockstep.settled()
  expect(await isTrouble()).toBe(false)
})

test('… or until a person says that it is well; in between monitoring has it by kind and number', async () => {
  await removedByHand('H3')
  await lockstep.restart()
  const { stdout } = await lockstep.cli('status', '--check')
  expect(stdout).toMatch(/lock-trouble \(kind=removed count=\d+\)/)
  expect((await lockstep.cli('unlock', user, '--reason', 'it was me')).code).toBe(0)
  expect(await isTrouble()).toBe(false)
})

test('… or until Lockstep locked it anew; the unlock that follows is ours', async () => {
  await removedByHand('H4')
  expect((await lockstep.cli('lock', user, '--reason', 'again')).code).toBe(0)
  expect(await isTrouble()).toBe(false)
  expect((await lockstep.cli('unlock', user, '--reason', 'well')).code).toBe(0)
  expect(await isTrouble()).toBe(false)
  expect((await lockstep.cli('show', user)).stdout).not.toContain('removed')
})
