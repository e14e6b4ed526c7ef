import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { look } from '../../support/account-view.ts'
import { createLockstep, startLockstep, type Lockstep, type Ran } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/**
 * Two directories, a realm for each, and the same logins in both: whom a LOGIN means, in every command that takes one.
 * `u3@r2` of realm r1 is a login that holds an `@`; `u3` of realm r2 is somebody else.
 */

let stack: AsyncDisposableStack
let corp: Slapd
let legacy: Slapd
let lockstep: Lockstep

const PEOPLE = 'ou=people,dc=example,dc=org'

function person(login: string): string {
  return `dn: uid=${login},${PEOPLE}\nobjectClass: inetOrgPerson\nuid: ${login}\ncn: ${login}\nsn: x\nuserPassword: userpw\n`
}

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const extraLdif = [person('u3@r2'), person('u4@r2'), person('mail@elsewhere.example')].join('\n')
  ;[corp, legacy] = await Promise.all([
    startSlapd({ users: 8, dbNoSync: true, extraLdif }),
    startSlapd({ users: 8, dbNoSync: true }),
  ])
  stack.use(corp)
  stack.use(legacy)
  lockstep = stack.use(await startLockstep(corp, { legacy, realms: '{ R1: corp, r2: legacy }' }))
  for (const [serial, login, realm] of [
    ['A1', 'u1', 'r1'],
    ['B1', 'u1', 'r2'],
    ['A3', 'u3@r2', 'r1'],
    ['B3', 'u3', 'r2'],
    ['M1', 'mail@elsewhere.example', 'r1'],
  ] as const) {
    await lockstep.shim('register', asAdmin(serial, login, realm))
  }
  await lockstep.settled()
})
afterAll(() => stack.disposeAsync())

interface Shown {
  readonly accounts: readonly {
    readonly account: { readonly key: string; readonly directory: string; readonly login: string }
    readonly tokens: readonly object[]
  }[]
}

function showed(ran: Ran): string[] {
  expect(ran.code, ran.stderr).toBe(0)
  return ran.json<Shown>().accounts.map(({ account }) => `${account.login} in ${account.directory}`)
}

async function canBind(login: string): Promise<{ corp: boolean; legacy: boolean }> {
  return { corp: (await look(corp, login)).canBind, legacy: (await look(legacy, login)).canBind }
}

test('show: login@realm is one account, the login alone is both, each with the way to name it', async () => {
  const both = await lockstep.cli('show', 'u1', '--json')
  expect(showed(both).toSorted()).toEqual(['u1 in corp', 'u1 in legacy'])
  expect(both.stderr).toMatch(/^lockstep: 2 accounts are called u1\. One of them alone: u1@r\d, or u1@r\d\n$/)
  for (const name of ['u1@r1', 'u1@R1', 'U1@r1']) {
    const one = await lockstep.cli('show', name, '--json')
    expect(showed(one), name).toEqual(['u1 in corp'])
    expect(one.stderr).toBe('')
  }
  expect(showed(await lockstep.cli('show', 'u1@r2', '--json'))).toEqual(['u1 in legacy'])
})

test('show: a login that holds an @ is tried first, and a note names whom else it could mean', async () => {
  const ran = await lockstep.cli('show', 'u3@r2', '--json')
  expect(showed(ran)).toEqual(['u3@r2 in corp'])
  expect(ran.stderr).toBe(
    `lockstep: u3@r2 is taken as a login. u3 of realm r2 is somebody else: ${legacy.userDn('u3')} in directory legacy\n`,
  )
  expect(showed(await lockstep.cli('show', 'u3@r2@r1', '--json'))).toEqual(['u3@r2 in corp'])
  const mail = await lockstep.cli('show', 'mail@elsewhere.example', '--json')
  expect(showed(mail)).toEqual(['mail@elsewhere.example in corp'])
  expect(mail.stderr).toBe('')
})

test('show: what is no realm is named, with the realms that there are', async () => {
  const ran = await lockstep.cli('show', 'u1@nowhere')
  expect(ran.code).toBe(67)
  expect(ran.stderr).toBe(
    'lockstep: nothing is on record about u1@nowhere\n' +
      '  nowhere is no realm that is known here (these are: r1, r2). Name one of them, or the login alone: u1.\n',
  )
  expect((await lockstep.cli('show', 'u1@nowhere', '--json')).document<object>()).toMatchObject({
    ok: false,
    error: { code: 'unknown-user' },
  })
  expect((await lockstep.cli('show', 'nobody@r1')).stderr).toContain('nothing is on record about nobody@r1')
})

test('lock and unlock: login@realm is the account of that directory; without a realm both are listed', async () => {
  const unclear = await lockstep.cli('lock', 'u1', '--reason', 'x', '--json')
  expect(unclear.code).not.toBe(0)
  const { error } = unclear.document<{ error: { code: string; message: string; hint: string } }>()
  expect(error).toEqual({
    code: 'ambiguous-match',
    message: `u1 is the name of 2 accounts: u1@r1 (${corp.userDn('u1')} in directory corp), u1@r2 (${legacy.userDn('u1')} in directory legacy)`,
    hint: 'Name one of them: u1@r1, or u1@r2.',
  })
  expect(await canBind('u1')).toEqual({ corp: true, legacy: true })

  expect(await lockstep.cli('lock', 'u1@R2', '--reason', 'x')).toMatchObject({ code: 0, stderr: '' })
  expect(await canBind('u1')).toEqual({ corp: true, legacy: false })
  expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).stderr).toContain('u1 is the name of 2 accounts')
  expect(await lockstep.cli('unlock', 'u1@r2', '--reason', 'x')).toMatchObject({ code: 0, stderr: '' })
  expect(await canBind('u1')).toEqual({ corp: true, legacy: true })

  expect(await lockstep.cli('lock', 'u1@r2', '--realm', 'r2', '--reason', 'x')).toMatchObject({ code: 0 })
  expect(await lockstep.cli('unlock', 'u1', '--realm', 'r2', '--reason', 'x')).toMatchObject({ code: 0 })
  const two = await lockstep.cli('lock', 'u1@r1', '--realm', 'r2', '--reason', 'x')
  expect([two.code, two.stderr]).toEqual([67, expect.stringContaining('--realm r2 and @r1 are two realms')])
  expect(await canBind('u1')).toEqual({ corp: true, legacy: true })
})

test('lock and unlock: a login that holds an @ is tried first, and needs no realm where one directory has it', async () => {
  const ran = await lockstep.cli('lock', 'u3@r2', '--reason', 'x')
  expect([ran.code, ran.stderr]).toEqual([
    0,
    `lockstep: u3@r2 is taken as a login. u3 of realm r2 is somebody else: ${legacy.userDn('u3')} in directory legacy\n`,
  ])
  expect((await look(corp, 'u3@r2')).canBind).toBe(false)
  expect(await canBind('u3')).toEqual({ corp: true, legacy: true })
  expect(await lockstep.cli('unlock', 'u3@r2@r1', '--reason', 'x')).toMatchObject({ code: 0 })
  expect((await look(corp, 'u3@r2')).canBind).toBe(true)
  // The other one, by the option.
  expect(await lockstep.cli('lock', 'u3', '--realm', 'r2', '--reason', 'x')).toMatchObject({ code: 0 })
  expect(await canBind('u3')).toEqual({ corp: true, legacy: false })
  expect(await lockstep.cli('unlock', 'u3', '--realm', 'R2', '--reason', 'x')).toMatchObject({ code: 0 })
})

test('lock: somebody who is unknown, and a realm that is, are told apart', async () => {
  const nobody = await lockstep.cli('lock', 'nobody@r1', '--reason', 'x')
  expect([nobody.code, nobody.stderr]).toEqual([67, expect.stringContaining('nobody')])
  expect(nobody.stderr).not.toContain('no realm that is known')
  const nowhere = await lockstep.cli('lock', 'u1@nowhere', '--reason', 'x')
  expect([nowhere.code, nowhere.stderr]).toEqual([
    67,
    expect.stringContaining('nowhere is no realm that is known here (these are: r1, r2)'),
  ])
})

test('lock, unlock, show: a name that is proposed means that account and nobody else', async () => {
  const hintOf = async (...args: readonly string[]): Promise<string> => {
    const ran = await lockstep.cli(...args, '--json')
    expect(ran.code).toBe(65)
    return ran.document<{ error: { hint: string } }>().error.hint
  }
  for (const command of ['lock', 'unlock']) {
    expect(await hintOf(command, 'u3', '--reason', 'x')).toBe('Name one of them: u3@r1, or u3 --realm r2.')
  }
  // Of u3 of realm r1 there is something on record as well now: show has no --realm.
  expect(await lockstep.cli('lock', 'u3@r1', '--reason', 'x')).toMatchObject({ code: 0 })
  const both = await lockstep.cli('show', 'u3')
  const [, key = ''] = /(legacy\/[^\s,]+)/.exec(both.stderr.split('One of them alone')[1] ?? '') ?? []
  expect(both.stderr).toContain('u3@r1')
  expect(both.stderr).not.toContain('u3@r2')
  expect(showed(await lockstep.cli('show', key, '--json'))).toEqual(['u3 in legacy'])
  expect(await lockstep.cli('lock', key, '--reason', 'x')).toMatchObject({ code: 0, stderr: '' })
  expect(await canBind('u3')).toEqual({ corp: false, legacy: false })
  expect(await lockstep.cli('unlock', key, '--reason', 'x')).toMatchObject({ code: 0, stderr: '' })
  expect(await lockstep.cli('unlock', 'u3@r1', '--reason', 'x')).toMatchObject({ code: 0, stderr: '' })
  expect((await look(corp, 'u3@r2')).canBind).toBe(true)
  expect(await canBind('u3')).toEqual({ corp: true, legacy: true })
})

test('lock, unlock: while a directory is away that may have the login as it stands, nobody else is meant by it', async () => {
  // Nothing is on record of the login u4@r2 of corp.
  const names = ['u4@r2', 'u4@R2']
  expect(await lockstep.cli('lock', 'u4', '--realm', 'r2', '--reason', 'x')).toMatchObject({ code: 0 })
  for (const away of [corp, legacy]) {
    await away.stop()
    for (const command of ['lock', 'unlock']) {
      for (const name of names) {
        const ran = await lockstep.cli(command, name, '--reason', 'x')
        expect([ran.code, ran.stdout], ran.stderr).toEqual([75, ''])
        expect(ran.stderr).toContain(`directory ${away === corp ? 'corp' : 'legacy'}`)
        expect(ran.stderr).toContain('u4 --realm r2 (u4 of realm r2)')
        expect(ran.stderr).toContain(`${name} --realm r1 (the login ${name} of realm r1)`)
      }
    }
    await away.start()
    await lockstep.cli('retry')
    await lockstep.settled()
  }
  expect(await canBind('u4')).toEqual({ corp: true, legacy: false })
  // Both on record: still nobody is guessed.
  expect(await lockstep.cli('lock', 'u4@r2', '--reason', 'x')).toMatchObject({ code: 0 })
  await legacy.stop()
  const both = await lockstep.cli('unlock', 'u4@r2', '--reason', 'x')
  expect([both.code, both.stdout], both.stderr).toEqual([75, ''])
  expect(await lockstep.cli('unlock', 'u4@r2', '--realm', 'r1', '--reason', 'x')).toMatchObject({ code: 0 })
  await legacy.start()
  await lockstep.cli('retry')
  await lockstep.settled()
  expect((await look(corp, 'u4@r2')).canBind).toBe(true)
  expect(await canBind('u4')).toEqual({ corp: true, legacy: false })
  await corp.stop()
  expect(await lockstep.cli('unlock', 'u4', '--realm', 'r2', '--reason', 'x')).toMatchObject({ code: 0 })
  await corp.start()
  await lockstep.cli('retry')
  await lockstep.settled()
  expect(await canBind('u4')).toEqual({ corp: true, legacy: true })
})

test('unlock: while its directory is away the account is found on record', async () => {
  expect(await lockstep.cli('lock', 'u1@r2', '--reason', 'x')).toMatchObject({ code: 0 })
  await legacy.stop()
  const ran = await lockstep.cli('unlock', 'u1', '--realm', 'r2', '--reason', 'x')
  expect([ran.code, ran.stdout]).toEqual([75, expect.stringContaining(legacy.userDn('u1'))])
  expect((await lockstep.cli('unlock', 'u1', '--reason', 'x')).stderr).toContain('u1 is the name of 2 accounts')
  await legacy.start()
  await lockstep.cli('retry')
  await lockstep.settled()
  expect(await canBind('u1')).toEqual({ corp: true, legacy: true })
})

test('doctor --probe: login@realm is tried in the directory of that realm', async () => {
  const found = async (name: string, ...args: readonly string[]): Promise<readonly [string, string, string]> => {
    const ran = await lockstep.cli('doctor', '--probe', name, ...args, '--json')
    const { findings } = ran.json<{ findings: { check: string; area: string; status: string; what: string }[] }>()
    const [one] = findings.filter(({ check }) => check === 'probe-found')
    return [one?.status ?? '', one?.area ?? '', one?.what ?? '']
  }
  const isIn = (name: string, slapd: Slapd, login: string) => [
    'ok',
    `directory ${name}`,
    `the filter finds ${slapd.userDn(login)}`,
  ]
  expect(await found('u2@r2')).toEqual(isIn('legacy', legacy, 'u2'))
  expect(await found('u2@r1')).toEqual(isIn('corp', corp, 'u2'))
  expect(await found('u2', '--realm', 'r2')).toEqual(isIn('legacy', legacy, 'u2'))
  expect(await found('u3@r2')).toEqual([
    'ok',
    'directory corp',
    `the filter finds ${corp.userDn('u3@r2')} (u3@r2 is taken as a login. u3 of realm r2 is somebody else: ${legacy.userDn('u3')} in directory legacy)`,
  ])
  expect(await found('u2')).toEqual(['fail', expect.any(String), expect.stringContaining('u2@r1')])
})

test('review show, approve and reject: login@realm is the account of that directory; one name never decides about two', async () => {
  await using held = await createLockstep(corp, {
    legacy,
    realms: '{ r1: corp, r2: legacy }',
    guards: '{ breaker: { maxLocks: 1, per: 10m } }',
  })
  await held.shim('register', asAdmin('R0', 'u4', 'r1'))
  await held.shim('lock', asNobody('R0', 'u4', 'r1'))
  await held.drain()
  for (const [serial, login, realm] of [
    ['R1', 'u5', 'r1'],
    ['R2', 'u5', 'r2'],
    ['R3', 'u6', 'r2'],
  ] as const) {
    await held.shim('register', asAdmin(serial, login, realm))
    await held.shim('lock', asNobody(serial, login, realm))
  }
  await held.drain()
  const waiting = async (): Promise<string[]> => {
    const { reviews } = await held.json<{ reviews: { login: string; directory: string }[] }>('review', 'list')
    return reviews.map(({ login, directory }) => `${login} in ${directory}`).toSorted()
  }
  expect(await waiting()).toEqual(['u5 in corp', 'u5 in legacy', 'u6 in legacy'])
  const shown = await held.json<{ reviews: { directory: string; ldif: { forward: string } }[] }>(
    ...(['review', 'show', 'u5@r2'] as const),
  )
  expect(shown.reviews.map(({ directory }) => directory)).toEqual(['legacy'])
  expect(shown.reviews[0]?.ldif.forward).toContain('\n# login: u5\n# realm: r2\n')

  for (const order of ['approve', 'reject'] as const) {
    const unclear = await held.cli('review', order, 'u5', '--reason', 'x', '--json')
    expect(unclear.document<object>()).toMatchObject({
      ok: false,
      error: {
        code: 'ambiguous-match',
        hint: expect.stringMatching(/^Name one of them: u5@r\d, or u5@r\d\.$/) as string,
      },
    })
  }
  expect(await waiting()).toHaveLength(3)
  expect(await held.cli('review', 'reject', 'u5@r2', '--reason', 'x')).toMatchObject({ code: 0 })
  expect(await waiting()).toEqual(['u5 in corp', 'u6 in legacy'])
  // Of two accounts of that name one alone waits now.
  expect(await held.cli('review', 'approve', 'u5', '--reason', 'x')).toMatchObject({ code: 0 })
  expect(await waiting()).toEqual(['u6 in legacy'])
  expect(await canBind('u5')).toEqual({ corp: false, legacy: true })
  const nowhere = await held.cli('review', 'approve', 'u6@nowhere', '--reason', 'x')
  expect([nowhere.code, nowhere.stderr]).toEqual([67, expect.stringContaining('(these are: r1, r2)')])
  await held.cli('review', 'approve', 'u6@r2', '--reason', 'x')
  expect(await waiting()).toEqual([])
})

test('review: the name that is proposed is of one account, where a login of another realm looks like it', async () => {
  await using held = await createLockstep(corp, {
    legacy,
    realms: '{ r1: corp, r2: legacy }',
    guards: '{ breaker: { maxLocks: 1, per: 10m } }',
  })
  for (const [serial, login, realm] of [
    ['R0', 'u6', 'r1'],
    ['R1', 'u3', 'r1'],
    ['R2', 'u3', 'r2'],
    ['R3', 'u3@r2', 'r1'],
  ] as const) {
    await held.shim('register', asAdmin(serial, login, realm))
    await held.shim('lock', asNobody(serial, login, realm))
    await held.drain()
  }
  const unclear = await held.cli('review', 'reject', 'u3', '--reason', 'x', '--json')
  const { hint } = unclear.document<{ error: { hint: string } }>().error
  expect(hint).toMatch(/u3@r1/)
  expect(hint).not.toMatch(/u3@r2/)
  const [key = ''] = /legacy\/[^\s,.]+/.exec(hint) ?? []
  expect(await held.cli('review', 'reject', key, '--reason', 'x')).toMatchObject({ code: 0 })
  const { reviews } = await held.json<{ reviews: { login: string; directory: string }[] }>('review', 'list')
  expect(reviews.map(({ login, directory }) => `${login} in ${directory}`).toSorted()).toEqual([
    'u3 in corp',
    'u3@r2 in corp',
  ])
})

test('each file of the LDIF folders names login and realm, and the stock ldapmodify takes it', async () => {
  await lockstep.shim('lock', asNobody('B1', 'u1', 'r2'))
  await lockstep.settled()
  const read = (path: string): string => readFileSync(join(lockstep.ldifDir, path), 'utf8')
  const newest = (folder: string, serial: string): string =>
    lockstep
      .ldif(folder)
      .filter((name) => name.startsWith(`${serial}--`))
      .at(-1) ?? ''
  const named = '\n# login: u1\n# realm: r2\n# account: legacy/'
  for (const path of [
    'unlock/B1.ldif',
    'unregister/B1.ldif',
    `lock/history/${newest('lock/history', 'B1')}`,
    `register/history/${newest('register/history', 'B1')}`,
  ]) {
    expect(read(path), path).toContain(named)
  }
  expect(read('unregister/A3.ldif')).toContain('\n# login: u3@r2\n# realm: r1\n')
  // A further hold gives the lock a further file, which is written by another way.
  await lockstep.cli('lock', 'u1@r2', '--reason', 'x')
  const [manual = ''] = lockstep.ldif('unlock').filter((name) => name.startsWith('manual.'))
  expect(read(`unlock/${manual}`)).toContain(named)
  expect(await legacy.ldapmodify(read('unlock/B1.ldif'))).toMatchObject({ code: 0 })
  expect((await look(legacy, 'u1')).canBind).toBe(true)
})

test('enroll: login@realm is the user of that realm; a login that holds an @ is tried first', async () => {
  await using simulator: Simulator = await startSimulator()
  const { stock, realms } = simulator.world
  realms.set('r1', ['ldap-r1']).set('r2', ['ldap-r2'])
  for (const [login, realm] of [
    ['u7', 'r1'],
    ['u7', 'r2'],
    ['u3@r2', 'r1'],
    ['u3', 'r2'],
  ] as const) {
    stock.addUser(login, `id-of-${login}-${realm}`, `ldap-${realm}`, realm)
  }
  await using instance = await createLockstep(corp, {
    legacy,
    realms: '{ r1: corp, r2: legacy }',
    yaml: `privacyidea: { url: '${simulator.url}', user: admin, passwordEnv: PI_PASSWORD }\n`,
    env: { PI_PASSWORD: 'secret' },
  })
  const enroll = (...args: readonly string[]): Promise<Ran> => instance.cli('enroll', ...args, '--dry-run', '--json')
  const whom = async (...args: readonly string[]): Promise<readonly [string, string]> => {
    const { login, realm } = (await enroll(...args)).json<{ login: string; realm: string }>()
    return [login, realm]
  }
  expect(await whom('u7@r2')).toEqual(['u7', 'r2'])
  expect(await whom('u7@R1')).toEqual(['u7', 'r1'])
  expect(await whom('u7', '--realm', 'r2')).toEqual(['u7', 'r2'])
  expect(await whom('u7@r2', '--realm', 'r2')).toEqual(['u7', 'r2'])
  const odd = await enroll('u3@r2')
  expect(odd.json<object>()).toMatchObject({ login: 'u3@r2', realm: 'r1' })
  expect(odd.stderr).toContain('u3@r2 is taken as a login. u3 of realm r2 is somebody else')
  // Where r1 does not answer, u3@r2 may still be a login of it: nobody else gets a token in their place.
  simulator.world.downResolvers.add('ldap-r1')
  const silent = await enroll('u3@r2')
  expect([silent.code, silent.stdout.includes('"login"')], silent.stderr).toEqual([75, false])
  expect(await whom('u3', '--realm', 'r2')).toEqual(['u3', 'r2'])
  simulator.world.downResolvers.clear()
  realms.delete('r2')
  expect(await whom('u3@r2')).toEqual(['u3@r2', 'r1'])
  realms.set('r2', ['ldap-r2'])
  const without = await enroll('u7')
  expect([without.code, without.stderr]).toEqual([64, expect.stringContaining('Give --realm, or LOGIN@REALM')])
  const nowhere = await enroll('u7@nowhere')
  expect(nowhere.document<object>()).toMatchObject({
    ok: false,
    error: { code: 'unknown-user', hint: expect.stringContaining('(these are: r1, r2)') as string },
  })
  expect((await enroll('nobody@r1')).document<object>()).toMatchObject({ error: { code: 'unknown-user' } })
})
