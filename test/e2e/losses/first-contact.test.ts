import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import {
  INSTALL_TIMEOUT_MS,
  startPrivacyIdea,
  type PrivacyIdea,
  type ReleaseName,
} from '../../servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { look, resetPeople, serialsOf } from '../../support/account-view.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { isChosen, PIN, releaseOfRun } from '../../support/privacyidea-world.ts'

/** Two real servers of privacyIDEA with the same users and a serial in common, one real directory, and a store that knows one. */

const KEY = Buffer.from('12345678901234567890').toString('hex')
const WITHIN_MS = 120_000
/** Several starts of the daemon, with a full resync each. */
const TEST_TIMEOUT_MS = 300_000

interface Status {
  readonly health: string
  readonly findings: readonly unknown[]
}

const release = releaseOfRun()

describe.skipIf(!isChosen(release))(`first contact with privacyIDEA ${release}`, () => {
  let slapd: Slapd
  let production: PrivacyIdea
  let other: PrivacyIdea

  beforeAll(async () => {
    slapd = await startSlapd({ users: 8, dbNoSync: true })
    production = await startPrivacyIdea({ release, userStore: slapd })
    other = await startPrivacyIdea({ release, userStore: slapd })
    // The same serial, and in both the first token.
    for (const pi of [production, other]) await newToken(pi, 'SAME', pi === production ? 'u1' : 'u2')
    for (const number of [2, 3, 4, 5, 6]) await newToken(production, `P${number}`, `u${number}`)
    for (const pi of [production, other]) await giveRights(pi, release)
  }, 2 * INSTALL_TIMEOUT_MS)

  afterEach(() =>
    resetPeople(
      slapd,
      [1, 2, 3, 4, 5, 6].map((number) => `u${number}`),
    ),
  )

  afterAll(async () => {
    for (const each of [production, other, slapd]) await each?.[Symbol.asyncDispose]()
  })

  async function states(): Promise<string[]> {
    const logins = [1, 2, 3, 4, 5, 6].map((number) => `u${number}`)
    const views = await Promise.all(logins.map((login) => look(slapd, login)))
    return views.map((view) => [view.canBind ? 'open' : 'locked', ...serialsOf(view)].join(' '))
  }

  const KNOWN = ['open SAME', 'open P2', 'open P3', 'open P4', 'open P5', 'open P6']

  async function pointAt(lockstep: Lockstep, to: PrivacyIdea): Promise<void> {
    await lockstep.stop()
    const [from] = [production, other].filter((each) => each !== to)
    lockstep.editConfig((yaml) => yaml.replace(from?.url ?? '', to.url))
    await serveSwept(lockstep)
    await lockstep.settled(WITHIN_MS)
  }

  test(
    'another server removes and unlocks nothing until it is accepted, and the first is known again',
    async () => {
      await using lockstep = await createAsRuntime(slapd, production)
      await serveSwept(lockstep)
      await eventually('all serials stand', async () => (await states()).join() === KNOWN.join(), WITHIN_MS)
      for (let count = 0; count < 3; count++) {
        await production.ask('POST', '/validate/check', { serial: 'P3', pass: `${PIN}999999` })
      }
      const locked = KNOWN.with(2, 'locked P3')
      await eventually('u3 is locked', async () => (await states()).join() === locked.join(), WITHIN_MS)

      await pointAt(lockstep, other)
      expect(await states()).toEqual(locked)
      const { health, findings } = await lockstep.json<Status>('status')
      expect(health).toBe('attention')
      // The first tokens of the two count as one where both were made in the same second.
      const shown = expect.toSatisfy((count) => count === 0 || count === 1)
      expect(findings).toMatchObject([{ code: 'source-changed', params: { tokens: 6, shown } }])
      const listed = await lockstep.json<{ rows: { serial: string; action: string }[] }>('resync', '--adopt')
      expect(listed.rows.map(({ serial, action }) => `${action} ${serial}`).toSorted()).toEqual(
        ['remove P2', 'remove P3', 'remove P4', 'remove P5', 'remove P6', 'unlock P3'].toSorted(),
      )
      expect(await states()).toEqual(locked)

      await pointAt(lockstep, production)
      expect(await states()).toEqual(locked)
      expect((await lockstep.json<Status>('status')).findings).toEqual([])
      // Normal life: a reset, and a deletion.
      await production.ask('POST', '/token/reset', { serial: 'P3' })
      await production.ask('DELETE', '/token/P6')
      await lockstep.json('resync')
      await lockstep.settled()
      const after = KNOWN.with(5, 'open')
      await eventually('both are followed', async () => (await states()).join() === after.join(), WITHIN_MS)

      await pointAt(lockstep, other)
      expect(await states()).toEqual(after)
      await lockstep.json('resync', '--adopt', '--yes')
      const accepted = ['open', 'open SAME', 'open', 'open', 'open', 'open']
      await eventually(
        'what it does not show is gone',
        async () => (await states()).join() === accepted.join(),
        WITHIN_MS,
      )
      expect((await lockstep.json<Status>('status')).findings).toEqual([])
      expect(await lockstep.cli('journal', '--verify')).toMatchObject({ code: 0 })
    },
    TEST_TIMEOUT_MS,
  )

  test(
    'a new store takes nothing off a directory that a server with one token does not know',
    async () => {
      const numbers = [1, 2, 3, 4, 5, 6]
      await slapd.ldapmodify(numbers.map((number) => carrying(slapd, `u${number}`, `OLD${number}`)).join('\n'))
      await slapd.ldapmodify(lockedBy(slapd, 'u1'))
      await using lockstep = await createAsRuntime(slapd, other)
      await serveSwept(lockstep)
      await lockstep.settled(WITHIN_MS)
      // The one token of that server is the second user's.
      const standing = ['locked OLD1', 'open OLD2 SAME', ...numbers.slice(2).map((number) => `open OLD${number}`)]
      expect(await states()).toEqual(standing)
      const { findings } = await lockstep.json<Status>('status')
      expect(findings).toMatchObject([{ code: 'unowned-marks', params: { serials: 6, locks: 1 } }])
      expect((await lockstep.cli('status')).stdout).toContain('lockstep resync --adopt')
      // An event that names the serial is proof enough.
      await lockstep.shim('unregister', ['--serial', 'OLD6', '--user', 'u6', '--realm', 'r1'])
      const left = standing.with(5, 'open')
      await eventually('it is removed', async () => (await states()).join() === left.join(), WITHIN_MS)
      const table = await lockstep.cli('resync', '--adopt')
      expect(table.stdout).toContain('5 serials to remove, 1 account to unlock')
      expect(await states()).toEqual(left)
      const done = await lockstep.json<{ rows: object[] }>('resync', '--adopt', '--yes')
      expect(done.rows).toHaveLength(6)
      const adopted = ['open', 'open SAME', 'open', 'open', 'open', 'open'].join()
      await eventually('all of it is done', async () => (await states()).join() === adopted)
      await lockstep.json('resync')
      await lockstep.settled()
      expect(await lockstep.json<Status>('status')).toMatchObject({ findings: [] })
    },
    TEST_TIMEOUT_MS,
  )
})

/** As an administrator who has the rights of run time and no others. */
async function createAsRuntime(slapd: Slapd, pi: PrivacyIdea): Promise<Lockstep> {
  const lockstep = await createApiLockstep({ slapd, pi })
  lockstep.editConfig((yaml) => yaml.replace('user: lockstep,', 'user: blind,'))
  writeFileSync(join(lockstep.dir, 'pi-password'), 'blind-secret\n', { mode: 0o600 })
  return lockstep
}

async function giveRights(pi: PrivacyIdea, release: ReleaseName): Promise<void> {
  const more = release === '3.14' ? ', user_lock_read, authentication_log_read' : ''
  const fixed = { scope: 'admin', active: true, realm: '' }
  await pi.ask('POST', '/policy/runtime', {
    ...fixed,
    adminuser: 'blind',
    action: `tokenlist, userlist, auditlog${more}`,
  })
}

async function newToken(pi: PrivacyIdea, serial: string, user: string): Promise<void> {
  await pi.ask('POST', '/token/init', { type: 'hotp', serial, otpkey: KEY, genkey: 0, user, realm: 'r1', pin: PIN })
  await pi.ask('POST', '/token/set', { serial, max_failcount: 3 })
}

function carrying(slapd: Slapd, login: string, serial: string): string {
  return `dn: ${slapd.userDn(login)}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:${serial}\n`
}

function lockedBy(slapd: Slapd, login: string): string {
  return `dn: ${slapd.userDn(login)}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`
}
