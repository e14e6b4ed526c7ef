import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { changeOfKey } from '../../../src/config/flat-keys.ts'
import { parseConfig } from '../../../src/config/load.ts'
import type { Settings } from '../../../src/core/settings/settings.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { startMailSink, type MailSink } from '../../servers/mail/mail-sink.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep, openReadOnly, type Lockstep } from '../../support/lockstep.ts'

/** Each key of the configuration is changed while the daemon works, and seen in what it works with, or named as one that waits. */

type Json = { [key: string]: unknown }

const EACH_MS = 600_000

let pi: Simulator
let sink: MailSink
let lockstep: Lockstep
let base: Json
let dir: string

test.override('slapdOptions', { users: 1 })
test.beforeAll(async () => {
  pi = shared.use(await startSimulator({ version: '3.14' }))
  pi.world.admins.set('second', 'secret')
  sink = shared.use(await startMailSink())
  const env = {
    LOCKSTEP_TEST_SECRET: 'secret',
    LOCKSTEP_TEST_TOKEN: pi.world.jwtFor('admin', 'admin'),
    LOCKSTEP_TEST_LDAP: slapd.servicePassword,
    LOCKSTEP_TEST_HOOK: 'hook-secret-of-a-variable',
  }
  lockstep = shared.use(await createLockstep(slapd, { env }))
  dir = lockstep.dir
  for (const [name, text] of Object.entries(secrets())) writeFileSync(join(dir, name), text, { mode: 0o600 })
  mkdirSync(join(dir, 'templates'))
  base = await configuration()
  write(base)
  await lockstep.serve()
})

function secrets(): Readonly<Record<string, string>> {
  return {
    'pi-password': 'secret',
    'pi-password-2': 'secret',
    'pi-token': pi.world.jwtFor('admin', 'admin'),
    'ldap-password-2': slapd.servicePassword,
    'hook-secret-2': 'another-hook-secret',
    'mail-password': 'secret',
    'mail-password-2': 'secret',
  }
}

/** Every section is there. */
async function configuration(): Promise<Json> {
  return {
    privacyidea: { url: pi.url, user: 'admin', passwordFile: join(dir, 'pi-password') },
    directories: {
      corp: {
        type: 'openldap',
        urls: [slapd.url],
        bindDn: slapd.serviceDn,
        bindPasswordFile: join(dir, 'ldap-password'),
        base: slapd.peopleDn,
      },
    },
    realms: { r1: 'corp' },
    policy: { lockTtl: '30m', lockBackoff: {} },
    guards: { breaker: {}, lossBreaker: {} },
    intake: {
      spool: lockstep.spoolDir,
      http: { listen: `127.0.0.1:${await freePort()}`, hookSecretFile: join(dir, 'hook-secret') },
    },
    store: `sqlite:${lockstep.storeFile}`,
    ldif: { dir: lockstep.ldifDir },
    mail: {
      smtp: sink.url,
      user: 'lockstep',
      passwordFile: join(dir, 'mail-password'),
      from: 'lockstep@example.org',
      helpDesk: { addresses: ['helpdesk@example.org'] },
    },
  }
}

function write(config: Json): void {
  lockstep.editConfig(() => JSON.stringify(config))
}

/** The key is set to this; with `without` gone, and what else goes with it. */
interface To {
  readonly to: unknown
  readonly without?: string
  readonly beside?: Readonly<Record<string, unknown>>
}

const to = (value: unknown, without?: string, beside?: Readonly<Record<string, unknown>>): To => ({
  to: value,
  ...(without === undefined ? {} : { without }),
  ...(beside === undefined ? {} : { beside }),
})

const LOCK = [{ set: { title: 'locked' } }]

/** To what each key is changed. */
const changes = (): Readonly<Record<string, To>> => ({
  ...sectionChanges('privacyidea', {
    url: to(pi.url.replace('127.0.0.1', 'localhost')),
    user: to('second'),
    realm: to('admins'),
    passwordFile: to(join(dir, 'pi-password-2')),
    passwordEnv: to('LOCKSTEP_TEST_SECRET', 'privacyidea.passwordFile'),
    tokenFile: to(join(dir, 'pi-token'), 'privacyidea.user', { 'privacyidea.passwordFile': undefined }),
    tokenEnv: to('LOCKSTEP_TEST_TOKEN', 'privacyidea.user', { 'privacyidea.passwordFile': undefined }),
    apiKeyFile: to(join(dir, 'pi-token'), 'privacyidea.user', { 'privacyidea.passwordFile': undefined }),
    ca: to(slapd.caFile),
    connectTimeout: to('4s'),
    timeout: to('14s'),
    connectionsMax: to(3),
    pageSize: to(100),
    knownToken: to('TOTP0001'),
  }),
  ...sectionChanges('directories.corp', {
    type: to('custom', undefined, { 'directories.corp.lock': LOCK, 'directories.corp.userFilter': '(uid={login})' }),
    lock: to(LOCK, undefined, { 'directories.corp.type': 'custom', 'directories.corp.userFilter': '(uid={login})' }),
    urls: to([slapd.url, 'ldap://127.0.0.1:1']),
    startTls: to('off'),
    ca: to(slapd.caFile),
    tlsServerName: to('ldap.example.org'),
    bindDn: to(slapd.manageDn),
    bindPasswordFile: to(join(dir, 'ldap-password-2')),
    bindPasswordEnv: to('LOCKSTEP_TEST_LDAP', 'directories.corp.bindPasswordFile'),
    base: to(slapd.base),
    userFilter: to('(&(uid={login})(objectClass=person))'),
    loginAttribute: to('cn'),
    idAttribute: to('uid'),
    serialAttribute: to('title'),
    serialFormat: to('PI={serial}'),
    connectTimeout: to('4s'),
    operationTimeout: to('9s'),
    connectionsMax: to(3),
    inFlightMax: to(8),
  }),
  ...protectChanges('directories.corp.protect'),
  ...protectChanges('guards.protect'),
  realms: to({ r1: 'corp', r2: 'corp' }),
  ...sectionChanges('policy', {
    lockWhen: to('all-tokens-locked'),
    disabledTokens: to('lock'),
    revokedTokens: to('count'),
    clearLockout: to(false),
    onForeignUnlock: to('relock'),
    mirrorDirectoryLocks: to('disable-tokens'),
    lockTtl: to('31m'),
    resetTokenOnTtl: to(true),
    'lockBackoff.factor': to(3),
    'lockBackoff.max': to('12h'),
    'lockBackoff.resetAfter': to('12h'),
  }),
  ...sectionChanges('guards', {
    dryRun: to({ realms: ['r1'] }),
    'breaker.maxLocks': to(30),
    'breaker.per': to('15m'),
    'breaker.limits': to([{ of: 'ou', maxLocks: 5 }]),
    'breaker.reset': to('manual'),
    'breaker.approvals': to(2),
    'lossBreaker.maxLosses': to(30),
    'lossBreaker.share': to('20%'),
    'lossBreaker.per': to('15m'),
    'lossBreaker.reset': to('auto'),
  }),
  ...sectionChanges('intake', {
    spool: to(join(dir, 'spool-2')),
    'http.listen': to('127.0.0.1:1'),
    'http.hookSecretFile': to(join(dir, 'hook-secret-2')),
    'http.hookSecretEnv': to('LOCKSTEP_TEST_HOOK', 'intake.http.hookSecretFile'),
    'http.allow': to(['192.0.2.0/24']),
    'http.bodyLimit': to('32KiB'),
    'http.rateLimit': to(50),
  }),
  ...sectionChanges('resync', { scan: to('6s'), full: to('20m'), shrinkLimit: to('20%') }),
  store: to(`sqlite:${join(dir, 'store-2.db')}`),
  'ldif.dir': to(join(dir, 'ldif-2')),
  'health.file': to(join(dir, 'health-2')),
  ...sectionChanges('log', { format: to('json'), level: to('warn'), persons: to('account-id') }),
  'recipes.dir': to(join(dir, 'recipes-2')),
  ...sectionChanges('retention', {
    events: to('20d'),
    journal: to('60d'),
    journalRecords: to(500_000),
    history: to('300d'),
  }),
  ...sectionChanges('mail', {
    smtp: to(sink.url.replace('127.0.0.1', 'localhost')),
    startTls: to('off'),
    ca: to(slapd.caFile),
    tlsServerName: to('mail.example.org'),
    user: to('second'),
    passwordFile: to(join(dir, 'mail-password-2')),
    passwordEnv: to('LOCKSTEP_TEST_SECRET', 'mail.passwordFile'),
    ehloName: to('lockstep.example.org'),
    connectTimeout: to('5s'),
    timeout: to('2m'),
    from: to('other@example.org'),
    replyTo: to('helpdesk@example.org'),
    'owner.kinds': to(['locked']),
    'owner.from': to('privacyidea'),
    'owner.addressAttribute': to('cn'),
    'owner.languageAttribute': to('cn'),
    'owner.nameAttribute': to('cn'),
    'helpDesk.addresses': to(['second@example.org']),
    'helpDesk.kinds': to(['breaker']),
    'helpDesk.language': to('de'),
    language: to('de'),
    timeZone: to('Europe/Berlin'),
    contact: to('phone 1234'),
    templates: to(join(dir, 'templates')),
    'limits.gather': to('20s'),
    'limits.interval': to('10m'),
    'limits.maxAge': to('2d'),
    'limits.unresolvedAfter': to('10m'),
    'limits.perSecond': to(3),
  }),
  // Whole sections that may be missing.
  privacyidea: to(null),
  'policy.lockBackoff': to(null),
  'guards.breaker': to(null),
  'guards.lossBreaker': to(null),
  'intake.http': to(null),
  mail: to(null),
})

function sectionChanges(path: string, of: Readonly<Record<string, To>>): Record<string, To> {
  return Object.fromEntries(Object.entries(of).map(([name, change]) => [`${path}.${name}`, change]))
}

function protectChanges(path: string): Record<string, To> {
  return sectionChanges(path, {
    dns: to([slapd.userDn('u1')]),
    subtrees: to([`ou=vip,${slapd.peopleDn}`]),
    filter: to('(title=boss)'),
    groups: to([`cn=admins,${slapd.base}`]),
    attributes: to({ employeeType: ['service'] }),
  })
}

function changed({ to: value, without, beside = {} }: To, path: string): Json {
  const config = structuredClone(base)
  put(config, path, value)
  if (without !== undefined) put(config, without, undefined)
  for (const [other, each] of Object.entries(beside)) put(config, other, each)
  return config
}

function put(config: Json, path: string, value: unknown): void {
  const names = path.split('.')
  const last = names.pop() ?? ''
  let at = config
  for (const name of names) at = (at[name] ??= {}) as Json
  if (value === undefined) delete at[last]
  else at[last] = value
}

function recorded<Row>(key: 'daemon-config' | 'daemon-reload'): Row | null {
  using store = openReadOnly(lockstep.storeFile)
  const row = store.prepare('select value from meta where key = ?').get(key)
  return row === undefined ? null : (JSON.parse(String(row['value'])) as Row)
}

/** What the daemon says it works with. */
function working(): Settings {
  const row = recorded<{ settings: Settings }>('daemon-config')
  if (row === null) throw new Error('the daemon does not say what it works with')
  return row.settings
}

/** By the signal alone: where the store has another name in the file the command would look for the daemon there. */
async function reloaded(): Promise<object> {
  const state = (): { ended: number; outcome: object } | null => recorded('daemon-reload')
  const before = state()?.ended ?? 0
  process.kill(lockstep.pid, 'SIGHUP')
  return eventually('the reload has ended', () => {
    const now = state()
    return now !== null && now.ended > before && now.outcome
  })
}

const plainly = (settings: Settings): unknown => JSON.parse(JSON.stringify({ ...settings, keys: null }))

test('every key has a change to be tried, and no other is tried', () => {
  const { keys } = parseConfig(JSON.stringify(base), lockstep.configFile).settings
  const tried = Object.keys(changes())
  const sections = tried.filter((path) => !Object.hasOwn(keys, path))
  expect(tried.filter((path) => !sections.includes(path)).toSorted()).toEqual(Object.keys(keys).toSorted())
  const isSection = (path: string): boolean => Object.keys(keys).some((key) => key.startsWith(`${path}.`))
  expect(sections.filter((path) => !isSection(path))).toEqual([])
})

test(
  'each key that is changed is in effect after a reload, or is named as one that waits for a restart',
  async () => {
    const pid = lockstep.pid
    const before = working()
    for (const [path, change] of Object.entries(changes())) {
      const config = changed(change, path)
      write(config)
      const outcome = await reloaded()
      const now = working()
      if (changeOfKey(path) === 'restart') {
        expect(outcome, path).toMatchObject({ is: 'done', changed: [], restart: [path] })
        expect(plainly(now), path).toEqual(plainly(before))
      } else {
        expect(outcome, path).toMatchObject({ is: 'done', changed: expect.arrayContaining([path]), restart: [] })
        const { settings } = parseConfig(JSON.stringify(config), lockstep.configFile)
        expect(plainly(now), path).toEqual(plainly(settings))
        expect(plainly(now), path).not.toEqual(plainly(before))
      }
      write(base)
      expect(await reloaded(), `${path}, and back`).toMatchObject({ is: 'done' })
      expect(plainly(working()), path).toEqual(plainly(before))
    }
    expect(lockstep.pid).toBe(pid)
  },
  EACH_MS,
)
