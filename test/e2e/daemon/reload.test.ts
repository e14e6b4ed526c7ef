import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { startMailSink } from '../../servers/mail/mail-sink.ts'
import { startSilentServer } from '../../servers/silent-server.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look, lookAtAll } from '../../support/account-view.ts'
import { opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { HOOK_SECRET, type Lockstep, type LockstepOptions } from '../../support/lockstep.ts'
import { describePeople, mailYaml } from '../mail/mail-fixture.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The configuration is loaded anew while the daemon works. */

const USERS = 40
const PEOPLE = Array.from({ length: USERS }, (_, at) => `u${at + 1}`)
const GUARDS = '{ breaker: null, dryRun: false, protect: { dns: [] } }'

test.override('slapdOptions', { users: USERS })

const start = async (options: LockstepOptions = {}): Promise<Lockstep> => startOwn({ guards: GUARDS, ...options })

interface Reloaded {
  readonly changed: readonly string[]
  readonly restart: readonly string[]
}

async function reload(lockstep: Lockstep, edit: (yaml: string) => string): Promise<Reloaded> {
  lockstep.editConfig(edit)
  return lockstep.json<Reloaded>('reload')
}

/** The daemon is the one from before, and locks. */
async function stillWorks(lockstep: Lockstep, pid: number, login: string): Promise<void> {
  expect(lockstep.pid).toBe(pid)
  await lockstep.shim('lock', asNobody(null, login))
  await eventually(`${login} is locked`, async () => !(await look(slapd, login)).canBind)
}

test('what is changed is in effect once the command ends, and is named', async () => {
  const lockstep = await start()
  expect(await reload(lockstep, (yaml) => yaml.replace('dryRun: false', 'dryRun: true'))).toEqual({
    changed: ['guards.dryRun'],
    restart: [],
    warnings: [],
  })
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  expect((await look(slapd, 'u1')).canBind).toBe(true)
  expect(await lockstep.json<object>('status')).toMatchObject({ dryRun: true, configuration: { difference: null } })
  expect(lockstep.log()).toMatch(/^info the configuration is loaded anew changed=guards\.dryRun/m)
  await reload(lockstep, (yaml) => yaml.replace('dryRun: true', 'dryRun: false'))
  await eventually('what waited is locked', async () => !(await look(slapd, 'u1')).canBind)
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

test('protection that comes into effect opens who is locked', async () => {
  const lockstep = await start()
  await lockstep.cli('lock', 'u1', '--reason', 'x')
  await reload(lockstep, (yaml) => yaml.replace('dns: []', `dns: ['${slapd.userDn('u1')}']`))
  await eventually('the protected account is open', async () => (await look(slapd, 'u1')).canBind)
})

describe('on a mistake the daemon goes on with what it had, and the exit code is 78:', () => {
  test.each([
    ['a key that is not known', (yaml: string): string => `${yaml}nonsense: 1\n`, /unknown key/],
    ['what is no YAML', (yaml: string): string => `${yaml}guards: [\n`, /never closed/],
    [
      'a secret that is not there',
      (yaml: string): string => yaml.replace('ldap-password', 'ldap-passwort'),
      /ldap-passwort does not exist/,
    ],
    [
      'a certificate that is not there',
      (yaml: string): string => yaml.replace('type: openldap', 'type: openldap\n    ca: /nowhere/ca.pem'),
      /ca\.pem does not exist/,
    ],
    ['a base that is not there', (yaml: string): string => yaml.replace('ou=people,', 'ou=nobody,'), /sees no entry/],
  ])('%s', async (_what, spoil, words) => {
    const lockstep = await start()
    const { pid } = lockstep
    lockstep.editConfig(spoil)
    const ran = await lockstep.cli('reload')
    expect(ran.stderr).toMatch(words)
    expect(ran.stderr).toContain('the daemon goes on with its old configuration')
    expect(ran.code).toBe(78)
    process.kill(pid, 'SIGHUP')
    await eventually('the log tells it', () => /^error the configuration is not loaded/m.test(lockstep.log()))
    await stillWorks(lockstep, pid, 'u1')
  })
})

test('a password that is refused and a server that is not there are found before the old one is stopped', async () => {
  const lockstep = await start()
  const { pid } = lockstep
  const wrong = join(lockstep.dir, 'wrong-password')
  writeFileSync(wrong, 'wrong', { mode: 0o600 })
  lockstep.editConfig((yaml) => yaml.replace(/bindPasswordFile: .*/, `bindPasswordFile: ${wrong}`))
  expect((await lockstep.cli('reload')).code).toBe(77)
  lockstep.editConfig((yaml) => yaml.replace(/bindPasswordFile: .*/, `bindPasswordFile: ${lockstep.dir}/ldap-password`))
  lockstep.editConfig((yaml) => yaml.replace(slapd.url, 'ldap://127.0.0.1:1'))
  const ran = await lockstep.cli('reload')
  expect(ran.code).toBe(75)
  const { healthReasons } = await lockstep.json<{ healthReasons: { text: string }[] }>('status')
  expect(healthReasons.map(({ text }) => text).join('\n')).toMatch(/the last reload failed \d+ s ago: .*127\.0\.0\.1:1/)
  await stillWorks(lockstep, pid, 'u1')
})

test('a directory that is down as it was before refuses no reload', async () => {
  const legacy = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
  const lockstep = await start({ legacy, realms: '{ r1: corp, r2: legacy }' })
  await legacy.stop()
  const { changed } = await reload(lockstep, (yaml) => yaml.replace('dryRun: false', 'dryRun: { realms: [r2] }'))
  expect(changed).toEqual(['guards.dryRun'])
})

test('SIGHUP never ends it, however many come, and no event is lost', async () => {
  const lockstep = await start()
  const { pid } = lockstep
  const locked = PEOPLE.slice(0, 30)
  for (const [at, login] of locked.entries()) {
    lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
    if (at % 3 === 0) process.kill(pid, 'SIGHUP')
    if (at % 10 === 0) await lockstep.cli('reload')
  }
  await eventually('all are locked', async () => {
    const all = await lookAtAll(slapd)
    return locked.every((login) => all.get(login)?.lockedTime !== null)
  })
  await lockstep.settled()
  expect(lockstep.pid).toBe(pid)
  type Journal = { records: { kind: string; body: { kind?: string } }[] }
  const { records } = await lockstep.json<Journal>('journal', '--limit', '1000')
  const planned = records.filter(({ kind, body }) => kind === 'planned' && body.kind === 'lock')
  expect(planned).toHaveLength(locked.length)
  expect(lockstep.ldif('unlock')).toHaveLength(locked.length)
  expect((await lockstep.stop()).code).toBe(0)
})

test('a hang-up before it is ready is a reload after that', async () => {
  const lockstep = await start()
  await lockstep.stop()
  const child = lockstep.startServing()
  await eventually('the daemon is on record', async () => {
    const { daemon } = await lockstep.json<{ daemon: { pid: number } | null }>('status')
    return daemon?.pid === child.pid
  })
  process.kill(lockstep.pid, 'SIGHUP')
  await lockstep.untilReady()
  await eventually('it was loaded anew', () => lockstep.log().includes('the configuration is loaded anew'))
})

test('keys that need a restart are named and stay as they were; all others are in effect', async () => {
  const httpPort = await freePort()
  const lockstep = await start({ httpPort })
  const other = await freePort()
  const result = await reload(lockstep, (yaml) =>
    yaml
      .replace(`127.0.0.1:${httpPort}`, `127.0.0.1:${other}`)
      .replace(lockstep.ldifDir, `${lockstep.ldifDir}2`)
      .replace('dryRun: false', 'dryRun: { realms: [r1] }'),
  )
  expect(result).toMatchObject({ changed: ['guards.dryRun'], restart: ['intake.http.listen', 'ldif.dir'] })
  const answered = await fetch(`http://127.0.0.1:${httpPort}/healthz`)
  expect(answered.status).toBe(200)
  expect(await lockstep.json<object>('status')).toMatchObject({
    configuration: { difference: { reload: [], restart: ['intake.http.listen', 'ldif.dir'] } },
  })
  const { stdout, stderr } = await lockstep.cli('reload')
  expect(stdout).toMatch(/as it is now, but for what needs a restart; no other key was changed\n$/)
  expect(stderr).toMatch(/^ {2}not yet in effect, needs a restart: intake\.http\.listen, ldif\.dir$/m)
})

test('the webhook takes a new secret and new networks on the connections that it has', async () => {
  const httpPort = await freePort()
  const lockstep = await start({ httpPort })
  const call = async (secret: string): Promise<number> => {
    const url = `http://127.0.0.1:${httpPort}/hooks/privacyidea/${secret}/lock`
    const body = JSON.stringify({ logged_in_user: { username: 'u1', realm: 'r1' } })
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    return answer.status
  }
  expect(await call('another-secret')).toBe(404)
  const file = join(lockstep.dir, 'hook-secret-2')
  writeFileSync(file, 'another-secret', { mode: 0o600 })
  await reload(lockstep, (yaml) => yaml.replace(join(lockstep.dir, 'hook-secret'), file))
  expect(await call(HOOK_SECRET)).toBe(404)
  expect(await call('another-secret')).not.toBe(404)
  await reload(lockstep, (yaml) => yaml.replace(file, `${file}, allow: [192.0.2.0/24]`))
  expect(await call('another-secret')).toBe(404)
})

test('a realm that gets its directory frees the events that waited for it', async () => {
  const lockstep = await start()
  await lockstep.shim('lock', asNobody(null, 'u1', 'r9'))
  await eventually('it waits', async () => {
    const { waits } = await lockstep.json<{ waits: { code: string }[] }>('status')
    return waits.some(({ code }) => code === 'realm-unmapped')
  })
  await reload(lockstep, (yaml) => yaml.replace('{ r1: corp }', '{ r1: corp, r9: corp }'))
  await eventually('it is locked', async () => !(await look(slapd, 'u1')).canBind)
})

test('a directory is added while another one works', async () => {
  const legacy = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
  const lockstep = await start()
  const { changed } = await reload(lockstep, (yaml) => {
    const corp = /^ {2}corp:\n(?: {4}.*\n)+/m.exec(yaml)?.[0] ?? ''
    const second = corp
      .replace('corp:', 'legacy:')
      .replace(slapd.url, legacy.url)
      .replace(slapd.peopleDn, legacy.peopleDn)
    return yaml.replace(corp, corp + second).replace('{ r1: corp }', '{ r1: corp, r2: legacy }')
  })
  expect(changed).toEqual(['directories.legacy', 'realms'])
  await lockstep.shim('lock', asNobody(null, 'u1', 'r2'))
  await eventually('it is locked there', async () => !(await look(legacy, 'u1')).canBind)
  expect((await look(slapd, 'u1')).canBind).toBe(true)
})

describe('which directory answers', () => {
  const add = (yaml: string, name: string, server: { url: string; peopleDn: string }): string => {
    const corp = /^ {2}corp:\n(?: {4}.*\n)+/m.exec(yaml)?.[0] ?? ''
    const more = corp
      .replace('corp:', `${name}:`)
      .replace(slapd.url, server.url)
      .replace(slapd.peopleDn, server.peopleDn)
    return yaml.replace(corp, corp + more).replace('{ r1: corp', `{ ${name}: ${name}, r1: corp`)
  }

  test('is not on record by a reload that is refused', async () => {
    const right = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
    const wrong = opened.use(await startSlapd({ users: 1, dbNoSync: true }))
    const silent = opened.use(await startSilentServer())
    const lockstep = await start()
    const before = readFileSync(lockstep.configFile, 'utf8')
    lockstep.editConfig((yaml) => {
      const third = add(add(yaml, 'legacy', wrong), 'third', { url: silent.url, peopleDn: slapd.peopleDn })
      return third.replaceAll(
        '    type: openldap\n',
        '    type: openldap\n    connectTimeout: 2s\n    operationTimeout: 2s\n',
      )
    })
    expect((await lockstep.cli('reload')).code).toBe(75)
    lockstep.editConfig(() => add(before, 'legacy', right))
    expect((await lockstep.cli('reload')).code).toBe(0)
  })

  test('is accepted of a directory that the daemon has not loaded, as the refusal advises', async () => {
    const [first, second] = [
      opened.use(await startSlapd({ users: 1, dbNoSync: true })),
      opened.use(await startSlapd({ users: 1, dbNoSync: true })),
    ]
    const lockstep = await start()
    const before = readFileSync(lockstep.configFile, 'utf8')
    await reload(lockstep, (yaml) => add(yaml, 'legacy', first))
    await reload(lockstep, () => before)
    lockstep.editConfig((yaml) => add(yaml, 'legacy', second))
    const refused = await lockstep.cli('reload')
    expect(refused.code).toBe(78)
    expect(refused.stderr).toContain('lockstep directory accept legacy')
    expect((await lockstep.cli('directory', 'accept', 'legacy')).code).toBe(0)
    expect((await lockstep.cli('reload')).code).toBe(0)
  })
})

test('mail is switched on, and goes to another server, without a restart', async () => {
  const [first, second] = [opened.use(await startMailSink()), opened.use(await startMailSink())]
  await describePeople(slapd, { u1: { mail: 'u1@example.org' }, u2: { mail: 'u2@example.org' } })
  const lockstep = await start()
  await reload(lockstep, (yaml) => `${yaml}${mailYaml(first)}`)
  await lockstep.cli('lock', 'u1', '--reason', 'a test')
  await eventually('the first server has it', () => first.count() >= 2)
  const before = first.count()
  await reload(lockstep, (yaml) => yaml.replace(first.url, second.url))
  await lockstep.cli('lock', 'u2', '--reason', 'a test')
  await eventually('the second server has it', () => second.count() > 0)
  expect(first.count()).toBe(before)
})

test('the log follows as well', async () => {
  const lockstep = await start()
  await reload(lockstep, (yaml) => `${yaml}log: { format: json }\n`)
  const last = lockstep.log().trimEnd().split('\n').at(-1) ?? ''
  expect(JSON.parse(last)).toMatchObject({ level: 'info' })
})

test('without a daemon it says so, with 69', async () => {
  const lockstep = await start()
  await lockstep.stop()
  const ran = await lockstep.cli('reload')
  expect(ran.code).toBe(69)
  expect(ran.stderr).toContain('no daemon serves the store')
})

describe('what is ours is not lost by a change of the configuration:', () => {
  const withLegacy = '{ r1: corp, r2: corp }'

  test.each([
    ['serialFormat', (yaml: string) => yaml.replace('privacyIDEA:{serial}', 'PI={serial}'), /1 serial of ours/],
    [
      'serialAttribute',
      (yaml: string) => yaml.replace('serialAttribute: description', 'serialAttribute: title'),
      /1 serial of ours/,
    ],
    [
      'what a lock is (type, lock)',
      (yaml: string) => yaml.replace('type: openldap', 'type: custom\n    lock: [{ set: { loginShell: /bin/false } }]'),
      /1 lock of ours/,
    ],
    [
      'idAttribute',
      (yaml: string) => yaml.replace('type: openldap', 'type: openldap\n    idAttribute: uid'),
      /1 lock and 1 serial of ours/,
    ],
    ['no longer has directory corp', (yaml: string) => yaml.replaceAll('corp', 'other'), /1 lock and 1 serial of ours/],
  ])('%s: neither a reload nor a start, nor a drain', async (what, edit, number) => {
    const lockstep = await start({ realms: withLegacy })
    await lockstep.shim('register', asAdmin('T1', 'u1'))
    await lockstep.shim('lock', asNobody('T1', 'u1'))
    await lockstep.settled()
    lockstep.editConfig(edit)
    const refused = await lockstep.cli('reload')
    expect(refused.code).toBe(78)
    expect(refused.stderr).toContain(what)
    expect(refused.stderr).toMatch(number)
    expect(refused.stderr).toContain('lockstep retire corp')
    await lockstep.stop()
    const started = lockstep.startServing()
    await eventually('the start is refused', () => started.exitCode !== null)
    expect(started.exitCode).toBe(78)
    await lockstep.stop()
    const drained = await lockstep.drain()
    expect(drained.code).toBe(78)
    expect(drained.stderr).toMatch(number)
    expect((await look(slapd, 'u1')).canBind).toBe(false)
  })

  test('a realm keeps the directory in which its accounts hold some: neither a reload nor a start, nor a drain', async () => {
    const legacy = opened.use(await startSlapd({ users: 2, dbNoSync: true }))
    const before = '{ r1: corp, r2: legacy }'
    const lockstep = await start({ legacy, realms: before })
    await lockstep.shim('register', asAdmin('T1', 'u1', 'r1'))
    await lockstep.shim('lock', asNobody('T1', 'u1', 'r1'))
    await lockstep.settled()
    for (const after of ['{ r1: legacy, r2: legacy }', '{ r2: [corp, legacy] }', '{ r1: null, r2: legacy }']) {
      lockstep.editConfig((yaml) => yaml.replace(before, after))
      const refused = await lockstep.cli('reload')
      expect(refused.code, after).toBe(78)
      expect(refused.stderr).toMatch(/realm r1 no longer has directory corp; 1 lock and 1 serial of ours/)
      expect(refused.stderr).toContain('lockstep retire corp')
      lockstep.editConfig((yaml) => yaml.replace(after, before))
    }
    await reload(lockstep, (yaml) => yaml.replace(before, '{ r1: [legacy, corp], r2: legacy }'))
    lockstep.editConfig((yaml) => yaml.replace('{ r1: [legacy, corp], r2: legacy }', '{ r1: legacy, r2: legacy }'))
    await lockstep.stop()
    const started = lockstep.startServing()
    await eventually('the start is refused', () => started.exitCode !== null)
    expect(started.exitCode).toBe(78)
    await lockstep.stop()
    const drained = await lockstep.drain()
    expect(drained.code).toBe(78)
    expect(drained.stderr).toContain('realms: { r1: [corp, legacy] }')
    expect((await look(slapd, 'u1')).canBind).toBe(false)
  })

  test('a directory that took every realm keeps those in which its accounts hold some', async () => {
    const lockstep = await start({ realms: '{}' })
    await lockstep.shim('lock', asNobody(null, 'u1', 'r5'))
    await lockstep.settled()
    lockstep.editConfig((yaml) => yaml.replace('realms: {}', 'realms: { r1: corp }'))
    const refused = await lockstep.cli('reload')
    expect(refused.code).toBe(78)
    expect(refused.stderr).toContain('realm r5 no longer has directory corp; 1 lock of ours')
    const { changed } = await reload(lockstep, (yaml) => yaml.replace('{ r1: corp }', '{ r1: corp, r5: corp }'))
    expect(changed).toEqual(['realms'])
  })

  test('an unlock works all the same, with no daemon', async () => {
    const lockstep = await start()
    await lockstep.shim('register', asAdmin('T1', 'u1'))
    await lockstep.cli('lock', 'u1', '--reason', 'x')
    await lockstep.settled()
    await lockstep.stop()
    lockstep.editConfig((yaml) => yaml.replace('privacyIDEA:{serial}', 'PI={serial}'))
    expect((await lockstep.cli('lock', 'u2', '--reason', 'x')).code).toBe(78)
    await lockstep.cli('unlock', 'u1', '--reason', 'back')
    expect((await look(slapd, 'u1')).canBind).toBe(true)
  })

  test('where nothing of ours stands they may change', async () => {
    const lockstep = await start()
    await lockstep.shim('register', asAdmin('T1', 'u1'))
    await lockstep.shim('unregister', asAdmin('T1', 'u1'))
    await lockstep.settled()
    const { changed } = await reload(lockstep, (yaml) => yaml.replace('privacyIDEA:{serial}', 'PI={serial}'))
    expect(changed).toEqual(['directories.corp.serialFormat'])
    await lockstep.shim('register', asAdmin('T2', 'u2'))
    await lockstep.settled()
    expect((await look(slapd, 'u2')).descriptions).toEqual(['PI=T2'])
  })
})
