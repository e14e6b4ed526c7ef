import { readFileSync, rmSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import type { Ran } from '../../support/lockstep.ts'
import { hotp, PIN, type SetUpWorld } from '../../support/privacyidea-world.ts'

/** Each attempt with a PIN costs privacyIDEA half a second of computing. */
const SLOW_MS = 180_000

/** What only looks: the doctor's part about privacyIDEA, and the rehearsal. */
export function lookTests(world: () => SetUpWorld): void {
  const run = (config: string, ...args: readonly string[]): Promise<Ran> =>
    world().lockstep.cli('--config', config, ...args)

  describe('doctor', () => {
    async function found(
      admin: string,
      args: readonly string[] = [],
      edit?: (yaml: string) => string,
    ): Promise<Map<string, Finding>> {
      const { configAs, lockstep } = world()
      const ran = await run(configAs(admin, edit), 'doctor', '--json', ...args)
      const { findings } = ran.json<{ findings: Finding[] }>()
      expect(ran.stdout).not.toMatch(/-secret\b/)
      const own = findings.filter((finding) => finding.area === 'privacyIDEA')
      for (const finding of own) if (finding.status !== 'ok') expect(finding.fix, finding.what).not.toBe('')
      expect(lockstep.pid).toBeGreaterThan(0)
      return new Map(own.map((finding) => [finding.check, finding]))
    }
    const asAdmin = (): string[] => [
      ...['--privacyidea-admin', 'admin', '--password-file', join(world().lockstep.dir, 'admin-password')],
      ...['--scripts-dir', world().pi.scriptsDir, '--pi-user', userInfo().username],
    ]

    test('a server that is set up is found well', async () => {
      await world().newToken('DOC1', 'u9')
      await world().setup('--yes', '--scripts-dir', world().pi.scriptsDir)
      const all = await found('lockstep', asAdmin())
      const checks = [
        'reach',
        'login',
        'version',
        'rights',
        'tokens',
        'clock-skew',
        'realms',
        'bindings',
        'resolver-filter',
      ]
      expect([...all.keys()]).toEqual(expect.arrayContaining([...checks, 'shims']))
      for (const check of [...checks, 'shims']) expect(all.get(check), check).toMatchObject({ status: 'ok' })
      // The tests' account may do more than it needs.
      expect(all.get('rights-too-many')).toMatchObject({ status: 'warn' })
    })

    test('an account without rights, a handler that is off, a script that is gone and a filter that hides are told', async () => {
      const { pi } = world()
      const handlers = (await pi.ask('GET', '/event/')) as { id: number; name: string }[]
      await pi.ask('POST', `/event/disable/${handlers.find((each) => each.name === 'lockstep: lock')?.id}`)
      rmSync(join(pi.scriptsDir, 'lockstep-unregister'))
      const resolver = (await pi.ask('GET', '/resolver/ldap1')) as { ldap1: { data: Record<string, string> } }
      const { data } = resolver.ldap1
      const LDAPSEARCHFILTER = '(&(uid=*)(objectClass=inetOrgPerson)(!(pwdAccountLockedTime=*)))'
      const bind = { BINDPW: world().slapd.adminPassword }
      await pi.ask('POST', '/resolver/ldap1', { ...data, ...bind, type: 'ldapresolver', LDAPSEARCHFILTER })
      const all = await found('blind', asAdmin(), (yaml) => `${yaml}policy: { onForeignUnlock: reset-token }\n`)
      expect(all.get('rights')).toMatchObject({ status: 'fail', fix: expect.stringContaining('--policies') })
      expect(all.get('tokens')).toMatchObject({ status: 'fail', code: 'source-not-permitted' })
      expect(all.get('bindings')).toMatchObject({ status: 'fail', what: expect.stringContaining('active: no') })
      expect(all.get('scripts')).toMatchObject({ status: 'fail', what: expect.stringContaining('lockstep-unregister') })
      expect(all.get('shims')).toMatchObject({ status: 'fail', what: expect.stringContaining('is missing') })
      expect(all.get('resolver-filter')).toMatchObject({
        status: 'warn',
        what: expect.stringContaining('pwdAccountLockedTime'),
      })
      await pi.ask('POST', '/resolver/ldap1', { ...data, ...bind, type: 'ldapresolver' })
      const again = await world().setup('--yes', '--scripts-dir', pi.scriptsDir)
      expect(again, again.stderr).toMatchObject({ code: 0 })
    })

    test('without an administrator it says what it could not look at', async () => {
      const all = await found('blind')
      expect(all.get('bindings')).toMatchObject({ status: 'skip', fix: expect.stringContaining('--privacyidea-admin') })
    })

    test('a realm that no directory has, and a wrong login, are told', async () => {
      const realms = (yaml: string): string => yaml.replace('{ r1: corp }', '{ r2: corp }')
      const told = await found('lockstep', [], realms)
      expect(told.get('realms')).toMatchObject({ status: 'warn', what: 'the realm r1 belongs to no directory' })
      expect((await found('nobody')).get('login')).toMatchObject({ status: 'fail', code: 'source-login-refused' })
    })

    test('a server that is down is no fault of the set-up', async () => {
      const config = world().configAs('lockstep')
      await world().pi.stop()
      const ran = await run(config, 'doctor')
      await world().pi.start()
      expect(ran.stdout).toContain('FAIL')
      expect([69, 78]).toContain(ran.code)
      expect(ran.stdout).toMatch(/FAIL {2}privacyIDEA: /)
    })
  })

  describe('rehearse', () => {
    interface Rehearsed {
      readonly locks: readonly {
        login: string
        from: string
        to: string | null
        end: string
        confirmed: boolean
        fate: string
      }[]
      readonly rates: Readonly<Record<string, { count: number }>>
      readonly breaker: { readonly maxLocks: number }
      readonly cannotTell: readonly string[]
      readonly utcOffsetMinutes: number | null
    }

    test(
      'finds who would have been locked, and who would not, by what the server logged',
      { timeout: SLOW_MS },
      async () => {
        const { newToken, fail, check, pi, configAs, slapd, lockstep, release } = world()
        await newToken('R3', 'u3')
        await newToken('R4', 'u4')
        await newToken('R5', 'u5')
        await newToken('R6', 'u6')
        await newToken('R7', 'u7')
        await fail('u3', 2)
        await check({ user: 'u3', realm: 'r1', pass: `${PIN}${hotp(3)}` })
        await fail('u3', 2)
        await fail('u4', 4)
        await pi.ask('POST', '/token/reset', { serial: 'R4' })
        for (let count = 0; count < 4; count += 1) await check({ user: 'u5', realm: 'r1', pass: 'wrong' })
        await pi.ask('POST', '/token/unassign', { serial: 'R5' })
        for (let count = 0; count < 3; count += 1) await check({ serial: 'R6', pass: `${PIN}000000` })
        await fail('u7', 3)

        const before = await slapd.ldapsearch('-b', slapd.peopleDn, '*', '+')
        const page = join(lockstep.dir, 'rehearsal.html')
        const config = configAs(
          'lockstep',
          (yaml) => `${yaml}guards: { protect: { dns: ['${slapd.userDn('u7')}'] } }\n`,
        )
        const ran = await run(config, 'rehearse', '--since', '1h', '--json', '--out', page)
        expect(ran, ran.stderr).toMatchObject({ code: 0 })
        const { locks, rates, breaker, cannotTell, utcOffsetMinutes } = ran.json<Rehearsed>()
        const of = (login: string): object[] => locks.filter((lock) => lock.login === login)
        // 3.11 answers an attempt on a full token like any other failure.
        const tellsFull = release !== '3.11'
        expect(of('u3')).toEqual([])
        expect(of('u4')).toMatchObject([{ end: 'seen', confirmed: tellsFull, fate: 'locked', serials: ['R4'] }])
        expect(of('u5')).toMatchObject([{ end: 'seen', confirmed: tellsFull }])
        expect(of('u6')).toMatchObject([{ to: null, end: 'none', confirmed: false }])
        expect(of('u7')).toMatchObject([{ fate: 'protected', to: null }])
        expect(rates['day']?.count).toBe(locks.filter((lock) => lock.fate === 'locked').length)
        expect(breaker.maxLocks).toBeGreaterThanOrEqual(5)
        expect(cannotTell.length).toBeGreaterThan(2)
        expect(utcOffsetMinutes).not.toBeNull()
        const html = readFileSync(page, 'utf8')
        expect(html).toContain('<svg')
        expect(html).toContain(`privacyIDEA ${release}`)
        expect(html).not.toMatch(/<script|https?:\/\//)
        expect(await slapd.ldapsearch('-b', slapd.peopleDn, '*', '+')).toBe(before)
      },
    )

    test('without the right auditlog it says so', async () => {
      const ran = await run(world().configAs('blind'), 'rehearse')
      expect(ran).toMatchObject({ code: 77, stdout: '', stderr: expect.stringContaining('right') })
    })
  })
}
