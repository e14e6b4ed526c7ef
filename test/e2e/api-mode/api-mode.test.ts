import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { INSTALL_TIMEOUT_MS, startPrivacyIdea, type PrivacyIdea } from '../../servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { asked } from '../../servers/privacyidea/privacyidea.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { clearTimeoutIsOver } from '../../support/api-servers.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import { hotp, isChosen, PIN, releaseOfRun } from '../../support/privacyidea-world.ts'

/** Mode `api`: a real privacyIDEA, a real slapd below both, the daemon, and no event handler unless a test says so. */

const SCAN_MS = 1_000
/** Trips at the last failure that a token bears. */
function lockoutPolicy(action: object): Record<string, unknown> {
  return {
    name: 'of the tests',
    target: 'user',
    time_window_seconds: 900,
    priority: 1,
    counter_types_to_track: ['PIN_FAIL', 'MFA_FAIL', 'PASSWORD_FAIL'],
    stages: [{ failure_threshold: FAILURES_MAX - 1, actions: [action] }],
  }
}

interface SourceStatus {
  readonly healthReasons: readonly { readonly code: string }[]
  readonly privacyidea: { readonly scan: { readonly doneAt: string | null; readonly failing: object | null } }
}

/** Two scans, each of which may take a while on a busy machine. */
const KEY = Buffer.from('12345678901234567890').toString('hex')
const FAILURES_MAX = 3

const release = releaseOfRun()

describe.skipIf(!isChosen(release))(`mode api with privacyIDEA ${release}`, () => {
  let slapd: Slapd
  let pi: PrivacyIdea
  let lockstep: Lockstep
  let users = 0
  const mirror = release === '3.14' ? 'user-lock' : 'disable-tokens'

  beforeAll(async () => {
    slapd = await startSlapd({ users: 30, dbNoSync: true })
    pi = await startPrivacyIdea({ release, userStore: slapd })
    lockstep = await createLockstep(slapd)
    const secret = join(lockstep.dir, 'pi-password')
    writeFileSync(secret, 'lockstep-secret\n', { mode: 0o600 })
    lockstep.editConfig(
      (yaml) =>
        `privacyidea: { url: '${pi.url}', user: lockstep, passwordFile: ${secret}, timeout: 30s }\nresync: { scan: ${SCAN_MS}ms, full: 1h }\npolicy: { onForeignUnlock: reset-token, mirrorDirectoryLocks: ${mirror} }\n${yaml}`,
    )
    await pi.ask('POST', '/system/setConfig', { failcounter_clear_timeout: 10 })
    await lockstep.serve()
    await eventually('the first full resync is done', () => lockstep.log().includes('full resync is done'))
  }, INSTALL_TIMEOUT_MS)
  afterAll(async () => {
    await lockstep?.[Symbol.asyncDispose]()
    await pi?.[Symbol.asyncDispose]()
    await slapd?.[Symbol.asyncDispose]()
  })

  const newUser = (): string => `u${++users}`
  const newToken = async (serial: string, user: string): Promise<void> => {
    const token = { type: 'hotp', serial, otpkey: KEY, genkey: 0, user, realm: 'r1', pin: PIN }
    await pi.ask('POST', '/token/init', token)
    await pi.ask('POST', '/token/set', { serial, max_failcount: FAILURES_MAX })
  }
  const fail = async (params: Record<string, string>): Promise<void> => {
    for (let count = 0; count < FAILURES_MAX; count++) {
      await asked(pi.url, 'POST', '/validate/check', { ...params, pass: `${PIN}999999` })
    }
  }
  const lockedIs = (user: string, isLocked: boolean): Promise<unknown> =>
    eventually(
      `${user} is ${isLocked ? 'locked' : 'open'}`,
      async () => (await look(slapd, user)).canBind === !isLocked,
    )
  const carries = (user: string, serials: readonly string[]): Promise<unknown> =>
    eventually(
      `${user} carries ${serials.join(' ')}`,
      async () => serialsOf(await look(slapd, user)).join(' ') === serials.join(' '),
    )
  const failCountOf = async (serial: string): Promise<number> => {
    const { tokens } = (await pi.ask('GET', '/token/', { serial })) as { tokens: { failcount: number }[] }
    return tokens[0]?.failcount ?? -1
  }

  test('with no event handler a full token locks its owner, and a reset unlocks them', async () => {
    const user = newUser()
    await newToken('A1', user)
    await fail({ user, realm: 'r1' })
    await lockedIs(user, true)
    expect(lockstep.ldif('unlock')).toEqual(['A1.ldif'])
    await carries(user, ['A1'])
    await pi.ask('POST', '/token/reset', { serial: 'A1' })
    await lockedIs(user, false)
    expect(lockstep.ldif('unlock')).toEqual([])
  })

  test('failed logins at privacyIDEA itself, which no event reports, lock, and a good one after the clear timeout unlocks', async () => {
    const user = newUser()
    await newToken('L1', user)
    await pi.ask('POST', '/system/setConfig', { failcounter_clear_timeout: 60 })
    const policy = { scope: 'webui', active: true, realm: 'r1', action: 'login_mode=privacyIDEA' }
    await pi.ask('POST', '/policy/login', policy)
    const logIn = (otp: string): Promise<unknown> =>
      asked(pi.url, 'POST', '/auth', { username: user, realm: 'r1', password: `${PIN}${otp}` })
    for (let count = 0; count < FAILURES_MAX; count++) await expect(logIn('999999')).rejects.toThrow('401')
    await lockedIs(user, true)
    clearTimeoutIsOver(pi, 'L1')
    expect(await logIn(hotp(1))).toMatchObject({ role: 'user' })
    await lockedIs(user, false)
  })

  test('a token of two that is full locks; its deletion unlocks and takes its serial away', async () => {
    const user = newUser()
    await newToken('B1', user)
    await newToken('B2', user)
    await fail({ serial: 'B2' })
    await lockedIs(user, true)
    await pi.ask('DELETE', '/token/B2')
    await lockedIs(user, false)
    await carries(user, ['B1'])
  })

  test('a full resync brings serials in step; one that somebody else wrote is listed, and goes once it is adopted', async () => {
    const [user, other] = [newUser(), newUser()]
    await newToken('C1', user)
    await slapd.ldapmodify(
      `dn: ${slapd.userDn(other)}\nchangetype: modify\nadd: description\ndescription: privacyIDEA:C1\ndescription: privacyIDEA:GHOST\n`,
    )
    const dry = await lockstep.json<{ drift: { serial: string }[] }>('resync', '--dry-run')
    expect(dry.drift.map(({ serial }) => serial)).toContain('C1')
    await lockstep.json('resync')
    await lockstep.settled()
    expect(serialsOf(await look(slapd, other))).toEqual(['C1', 'GHOST'])
    expect((await lockstep.cli('status')).stdout).toContain(`GHOST of ${slapd.userDn(other)}`)
    const account = slapd.userDn(other)
    const adopted = [
      { account, serial: 'C1', action: 'remove', why: { code: 'token-of-another-account' } },
      { account, serial: 'GHOST', action: 'remove', why: { code: 'token-unknown' } },
    ]
    expect(await lockstep.json('resync', '--adopt')).toMatchObject({ rows: adopted, isDone: false })
    expect(serialsOf(await look(slapd, other))).toEqual(['C1', 'GHOST'])
    expect(await lockstep.json('resync', '--adopt', '--yes')).toMatchObject({ rows: adopted, isDone: true })
    await carries(user, ['C1'])
    await carries(other, [])
    await pi.ask('POST', '/token/unassign', { serial: 'C1' })
    await lockstep.json('resync')
    await lockstep.settled()
    await carries(user, [])
    expect(await lockstep.json('resync', '--dry-run')).toMatchObject({ differences: 0 })
  })

  test('a forged event changes nothing, and a true one is followed at once', async () => {
    const user = newUser()
    await newToken('D1', user)
    await lockstep.shim('lock', ['--serial', 'D1', '--user', user, '--realm', 'r1'])
    await lockstep.shim('lock', ['--user', user, '--realm', 'r1'])
    await carries(user, ['D1'])
    await lockstep.settled()
    expect((await look(slapd, user)).lockedTime).toBeNull()
    await fail({ user, realm: 'r1' })
    await lockstep.shim('lock', ['--user', user, '--realm', 'r1'])
    await lockedIs(user, true)
    await lockstep.shim('unlock', ['--serial', 'D1'])
    await lockstep.settled()
    expect((await look(slapd, user)).canBind).toBe(false)
    await pi.ask('POST', '/token/reset', { serial: 'D1' })
    await lockstep.shim('unlock', ['--serial', 'D1'])
    await lockedIs(user, false)
  })

  test('a token that is given to somebody else takes its serial and its lock along', async () => {
    const [user, other] = [newUser(), newUser()]
    await newToken('E1', user)
    await fail({ serial: 'E1' })
    await lockedIs(user, true)
    await pi.ask('POST', '/token/unassign', { serial: 'E1' })
    await pi.ask('POST', '/token/assign', { serial: 'E1', user: other, realm: 'r1' })
    await fail({ serial: 'E1' })
    await lockedIs(other, true)
    await lockedIs(user, false)
    await carries(user, [])
    await carries(other, ['E1'])
  })

  test('while privacyIDEA is away nobody changes, a person is obeyed, and afterwards all is caught up', async () => {
    const [user, other] = [newUser(), newUser()]
    await newToken('F1', user)
    await fail({ serial: 'F1' })
    await lockedIs(user, true)
    await pi.stop()
    await lockstep.shim('unlock', ['--serial', 'F1'])
    await lockstep.json('lock', other, '--realm', 'r1', '--reason', 'a person')
    expect((await look(slapd, other)).canBind).toBe(false)
    expect((await look(slapd, user)).canBind).toBe(false)
    await eventually('status says what is wrong', async () =>
      (await lockstep.cli('status')).stdout.includes('privacyIDEA could not be read for'),
    )
    await pi.start()
    await pi.ask('POST', '/token/reset', { serial: 'F1' })
    await lockedIs(user, false)
    await lockstep.json('unlock', other, '--realm', 'r1', '--reason', 'enough')
    expect((await look(slapd, other)).canBind).toBe(true)
  })

  test('an unlock in the directory resets the token, by policy', async () => {
    const user = newUser()
    await newToken('G1', user)
    await fail({ serial: 'G1' })
    await lockedIs(user, true)
    await slapd.ldapmodify(`dn: ${slapd.userDn(user)}\nchangetype: modify\ndelete: pwdAccountLockedTime\n`)
    await lockstep.cli('retry')
    await eventually('the fail counter is 0', async () => (await failCountOf('G1')) === 0)
    expect((await look(slapd, user)).canBind).toBe(true)
    expect(await asked(pi.url, 'POST', '/validate/check', { serial: 'G1', pass: `${PIN}${hotp(0)}` })).toBe(true)
  })

  test('unlock --reset-token opens the account and resets the token', async () => {
    const user = newUser()
    await newToken('K1', user)
    await fail({ serial: 'K1' })
    await lockedIs(user, true)
    await lockstep.json('unlock', user, '--realm', 'r1', '--reason', 'they called', '--reset-token')
    expect((await look(slapd, user)).canBind).toBe(true)
    expect(await failCountOf('K1')).toBe(0)
    // Once, and not at every later reading.
    await fail({ serial: 'K1' })
    await lockedIs(user, true)
    await lockstep.json('resync')
    await lockstep.settled()
    expect(await failCountOf('K1')).toBe(FAILURES_MAX)
    expect((await look(slapd, user)).canBind).toBe(false)
  })

  test.runIf(release === '3.14')('a lockout of the user locks their account until it ends', async () => {
    const user = newUser()
    await newToken('H1', user)
    await pi.ask('POST', '/conditionalaccess/lock/user', { user, realm: 'r1' })
    await lockedIs(user, true)
    expect(lockstep.ldif('unlock')).toContainEqual(expect.stringMatching(/^lockout\.[0-9a-f]+\.ldif$/))
    await pi.ask('DELETE', '/conditionalaccess/lock/user', { user, realm: 'r1' })
    await lockedIs(user, false)
    // One that ends soon may be over before a scan on a busy machine: it takes the place of one that was seen.
    await pi.ask('POST', '/conditionalaccess/lock/user', { user, realm: 'r1' })
    await lockedIs(user, true)
    await pi.ask('POST', '/conditionalaccess/lock/user', { user, realm: 'r1', duration_seconds: 2 })
    await lockedIs(user, false)
  })

  const isKeptOut = async (user: string, serial: string): Promise<boolean> => {
    if (mirror === 'user-lock') {
      const lock = await pi.ask('GET', '/conditionalaccess/lock/user', { user, realm: 'r1' })
      return lock !== null
    }
    const { tokens } = (await pi.ask('GET', '/token/', { serial })) as { tokens: { active: boolean }[] }
    return tokens[0]?.active === false
  }

  test('a lock of others in the directory locks its user out of privacyIDEA, until it goes', async () => {
    const user = newUser()
    await newToken('P1', user)
    await lockstep.json('resync')
    await lockstep.settled()
    await carries(user, ['P1'])
    let counter = 0
    const isLetIn = async (): Promise<boolean> =>
      (await asked(pi.url, 'POST', '/validate/check', { user, realm: 'r1', pass: `${PIN}${hotp(counter)}` })) === true
    expect(await isLetIn()).toBe(true)
    counter++
    const dn = slapd.userDn(user)
    await slapd.ldapmodify(
      `dn: ${dn}\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`,
    )
    await lockstep.json('resync')
    // The daemon may have the account in work, and the command does not wait for what others have.
    await lockstep.settled()
    expect(await isLetIn()).toBe(false)
    await lockstep.json('resync')
    await lockstep.settled()
    expect(lockstep.ldif('unlock').filter((name) => /^P1|^lockout/.test(name))).toEqual([])
    expect(await lockstep.cli('show', user)).toMatchObject({ stdout: expect.stringMatching(/mirrored .* because/) })
    await slapd.ldapmodify(`dn: ${dn}\nchangetype: modify\ndelete: pwdAccountLockedTime\n`)
    await lockstep.cli('retry')
    // Up to 3.11 a one-time password is used up by an attempt with a token that is disabled: no attempt before its time.
    await eventually('nothing locks them out any more', async () => !(await isKeptOut(user, 'P1')))
    counter++
    expect(await isLetIn()).toBe(true)
    await lockstep.settled()
    expect((await look(slapd, user)).canBind).toBe(true)
  })

  test('a full counter whose clear timeout is over releases its owner, before the next attempt clears it', async () => {
    const user = newUser()
    await newToken('Q1', user)
    await fail({ serial: 'Q1' })
    await lockedIs(user, true)
    const database = new DatabaseSync(join(pi.dir, 'pi.db'), { timeout: 5_000 })
    database.exec("update tokeninfo set Value = '2026-01-01T00:00+0000' where Key = 'failcounter_exceeded'")
    database.close()
    await lockedIs(user, false)
    expect(await failCountOf('Q1')).toBe(FAILURES_MAX)
    expect(await asked(pi.url, 'POST', '/validate/check', { serial: 'Q1', pass: `${PIN}${hotp(0)}` })).toBe(true)
  })

  test.runIf(release === '3.14')(
    'a policy that locks users out locks their accounts, for a time and for good',
    async () => {
      const kinds = [
        { action_type: 'LOCK_USER', action_value: { duration_seconds: 5 } },
        { action_type: 'PERMANENT_LOCK_USER' },
      ]
      for (const action of kinds) {
        const user = newUser()
        await newToken(`P${user}`, user)
        const id = await pi.ask('POST', '/conditionalaccess/policy', lockoutPolicy(action))
        for (let count = 1; count < FAILURES_MAX; count++) {
          await asked(pi.url, 'POST', '/validate/check', { user, realm: 'r1', pass: `${PIN}999999` })
        }
        expect(await failCountOf(`P${user}`)).toBe(FAILURES_MAX - 1)
        await lockedIs(user, true)
        await pi.ask('DELETE', `/conditionalaccess/policy/${String(id)}`)
        if (action.action_type === 'PERMANENT_LOCK_USER') {
          await pi.ask('DELETE', '/conditionalaccess/lock/user', { user, realm: 'r1' })
        }
        await lockedIs(user, false)
      }
      // The row of the one that has ended is still there, and locks nobody.
      const { locked_users: rows } = (await pi.ask('GET', '/conditionalaccess/lock/users')) as {
        locked_users: { seconds_remaining: number | null; permanent: boolean; username: string }[]
      }
      const expired = rows.filter((row) => !row.permanent && row.seconds_remaining === 0)
      expect(expired.length).toBeGreaterThan(0)
      await lockstep.json('resync')
      await lockstep.settled()
      for (const { username } of expired) expect((await look(slapd, username)).canBind).toBe(true)
    },
  )

  test('what events held before privacyIDEA was asked is released where it is not so', async () => {
    const [user, other, third] = [newUser(), newUser(), newUser()]
    await newToken('M1', user)
    const events = await createLockstep(slapd)
    await using _ = events
    await events.serve()
    await events.shim('lock', ['--serial', 'M1', '--user', user, '--realm', 'r1'])
    await events.shim('lock', ['--serial', 'M2', '--user', other, '--realm', 'r1'])
    await events.shim('lock', ['--user', third, '--realm', 'r1'])
    for (const each of [user, other, third]) await lockedIs(each, true)
    await events.stop()
    const secret = join(events.dir, 'pi-password')
    writeFileSync(secret, 'lockstep-secret\n', { mode: 0o600 })
    events.editConfig((yaml) => `privacyidea: { url: '${pi.url}', user: lockstep, passwordFile: ${secret} }\n${yaml}`)
    await events.serve()
    for (const each of [user, other, third]) await lockedIs(each, false)
    await events.stop()
  })

  test('drained from cron, status says when privacyIDEA was looked at, and since when it cannot be', async () => {
    await using cron = await createLockstep(slapd)
    const secret = join(cron.dir, 'pi-password')
    writeFileSync(secret, 'lockstep-secret\n', { mode: 0o600 })
    cron.editConfig((yaml) => `privacyidea: { url: '${pi.url}', user: lockstep, passwordFile: ${secret} }\n${yaml}`)
    const status = (): Promise<SourceStatus> => cron.json<SourceStatus>('status')
    expect((await status()).privacyidea.scan).toEqual({ doneAt: null, failing: null })
    await cron.drain()
    const seen = await status()
    expect(seen.privacyidea.scan).toEqual({ doneAt: expect.any(String), failing: null })
    cron.editConfig((yaml) => yaml.replace(pi.url, 'http://127.0.0.1:1'))
    await cron.drain()
    const away = await status()
    expect(away.privacyidea.scan).toMatchObject({ failing: { text: expect.stringContaining('127.0.0.1:1') } })
    expect(away.healthReasons).toContainEqual(expect.objectContaining({ code: 'source-unread' }))
    cron.editConfig((yaml) => yaml.replace('http://127.0.0.1:1', pi.url))
    await cron.drain()
    expect((await status()).privacyidea.scan.failing).toBeNull()
  })

  test('after all of that the record is whole and nothing differs', async () => {
    await lockstep.json('resync')
    await lockstep.settled()
    expect(await lockstep.json('resync', '--dry-run')).toMatchObject({ differences: 0 })
    expect(await lockstep.json('journal', '--verify')).toMatchObject({ faults: [] })
    expect(lockstep.log()).not.toContain('lockstep-secret')
  })
})
