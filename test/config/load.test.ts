import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkConfig } from '../../src/config/check.ts'
import { findConfig, loadConfig, parseConfig, placesOf } from '../../src/config/load.ts'
import { ConfigError, type Problem } from '../../src/config/problem.ts'
import { AppError } from '../../src/core/error.ts'

const DIRECTORY = `directories:
  corp:
    type: openldap
    urls: [ldaps://ldap.example.org]
    bindDn: cn=lockstep,dc=example,dc=org
    bindPasswordFile: /etc/lockstep/ldap-password
    base: ou=people,dc=example,dc=org
`
const FILE = '/etc/lockstep/lockstep.yaml'
const NOT_DRY = { isForAll: false, directories: [], realms: [] }
const LOSS_BREAKER = { maxLosses: 20, share: 0.1, perMs: 600_000, reset: 'manual' }
const BREAKER = { limits: [{ of: 'all', only: [], max: { locks: 20 }, perMs: 600_000 }], reset: 'auto', approvals: 1 }

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lockstep-config-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function errorOf(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('it was accepted')
}

function problemsOf(text: string): readonly Problem[] {
  const error = errorOf(() => parseConfig(text, FILE))
  if (error instanceof ConfigError) return error.problems
  throw error
}

/** `LINE:COLUMN KEY: MESSAGE` of every mistake. */
function mistakes(text: string): string[] {
  return problemsOf(text).map((each) => `${each.line}:${each.column} ${each.key}: ${each.message}`)
}

/** DIRECTORY with one of its lines changed, or with lines added at its end. */
function directoryWith(key: string, line: string | null): string {
  const lines = DIRECTORY.split('\n').flatMap((each) =>
    each.trim().startsWith(`${key}:`) ? (line === null ? [] : [`    ${line}`]) : [each],
  )
  return DIRECTORY.includes(`    ${key}:`) || line === null ? lines.join('\n') : `${DIRECTORY}    ${line}\n`
}

describe('a good file', () => {
  test('may set the breaker of losses, or switch it off; without the API it has no effect, and that is said', () => {
    const api = `privacyidea: { url: 'https://pi.example.org', user: lockstep, passwordFile: /etc/lockstep/pi }\n`
    const guards = (text: string): string => `${DIRECTORY}\nguards: { lossBreaker: ${text} }\n`
    const own = '{ maxLosses: 7, share: 25%, per: 1h, reset: auto }'
    const set = parseConfig(`${api}${guards(own)}`, FILE)
    expect(set.settings.guards.lossBreaker).toEqual({ maxLosses: 7, share: 0.25, perMs: 3_600_000, reset: 'auto' })
    expect(set.warnings).toEqual([])
    expect(parseConfig(guards('null'), FILE).settings.guards.lossBreaker).toBeNull()
    const { warnings } = parseConfig(guards(own), FILE)
    expect(warnings.map(({ message }) => message)).toEqual(['has no effect without the section privacyidea'])
  })

  test('with the least that is needed gets a safe default for everything else', () => {
    const { settings, warnings } = parseConfig(DIRECTORY, FILE)
    expect(warnings).toEqual([])
    expect(settings).toEqual({
      file: FILE,
      health: { file: '/run/lockstep/health' },
      keys: expect.objectContaining({ 'guards.dryRun': expect.any(String), privacyidea: 'null' }),
      privacyidea: null,
      directories: [
        {
          name: 'corp',
          type: 'openldap',
          urls: ['ldaps://ldap.example.org'],
          startTls: 'required',
          bindDn: 'cn=lockstep,dc=example,dc=org',
          bindPassword: { file: '/etc/lockstep/ldap-password' },
          caFile: null,
          tlsServerName: null,
          base: 'ou=people,dc=example,dc=org',
          userFilter: '(uid={login})',
          loginAttribute: 'uid',
          idAttribute: 'entryUUID',
          serialAttribute: 'description',
          serialFormat: 'privacyIDEA:{serial}',
          connectTimeoutMs: 5000,
          operationTimeoutMs: 10_000,
          connectionsMax: 2,
          inFlightMax: 16,
          lock: [],
          clearLockout: true,
          protect: { filters: [], dns: [], subtrees: [], groups: [], attributes: [] },
        },
      ],
      realms: {},
      policy: {
        onForeignUnlock: 'respect',
        lockWhen: 'any-token-locked',
        disabledTokens: 'ignore',
        revokedTokens: 'ignore',
        mirrorDirectoryLocks: 'off',
        lockTtlMs: null,
        lockBackoff: null,
        resetsTokenOnTtl: false,
      },
      guards: { dryRun: NOT_DRY, breaker: BREAKER, lossBreaker: LOSS_BREAKER },
      intake: { spool: '/var/spool/lockstep', http: null },
      resync: { scanMs: 5000, fullMs: 900_000, shrinkLimit: 0.1 },
      store: { kind: 'sqlite', file: '/var/lib/lockstep/lockstep.db' },
      ldif: { dir: '/var/lib/lockstep/ldif' },
      log: { format: 'logfmt', level: 'info', persons: 'login' },
      recipes: { dir: '/etc/lockstep/recipes' },
      retention: {
        eventsMs: 30 * 86_400_000,
        journalMs: 90 * 86_400_000,
        journalRecordsMax: 1_000_000,
        historyMs: 365 * 86_400_000,
      },
      mail: null,
    })
  })

  test('of Active Directory gets what is usual there', () => {
    const text = directoryWith('type', 'type: active-directory')
    const { settings } = parseConfig(`${text}policy: { clearLockout: false }\n`, FILE)
    expect(settings.directories[0]).toMatchObject({
      type: 'active-directory',
      userFilter: '(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={login})(userPrincipalName={login})))',
      loginAttribute: 'sAMAccountName',
      idAttribute: 'objectGUID',
      serialAttribute: 'description',
      clearLockout: false,
    })
    const own = parseConfig(`${text}    userFilter: (mail={login})\n    idAttribute: objectSid\n`, FILE).settings
    expect(own.directories[0]).toMatchObject({ loginAttribute: 'mail', idAttribute: 'objectSid' })
  })

  test('with privacyIDEA reads tokens from it, and all that this allows', () => {
    const text = `${DIRECTORY}privacyidea:
  url: https://pi.example.org/pi/
  user: lockstep
  realm: admins
  passwordFile: pi-password
  ca: pi-ca.pem
  timeout: 20s
  knownToken: TOTP0001
policy: { lockWhen: all-tokens-locked, onForeignUnlock: reset-token, disabledTokens: lock, revokedTokens: count, mirrorDirectoryLocks: user-lock }
resync: { scan: 2s, shrinkLimit: 2.5% }
`
    const { settings, warnings } = parseConfig(text, FILE)
    expect(warnings).toEqual([])
    expect(settings.privacyidea).toEqual({
      url: 'https://pi.example.org/pi',
      login: { kind: 'password', user: 'lockstep', realm: 'admins', password: { file: '/etc/lockstep/pi-password' } },
      caFile: '/etc/lockstep/pi-ca.pem',
      connectTimeoutMs: 5000,
      timeoutMs: 20_000,
      connectionsMax: 4,
      pageSize: 500,
      knownToken: 'TOTP0001',
    })
    expect(settings.policy).toEqual({
      onForeignUnlock: 'reset-token',
      lockWhen: 'all-tokens-locked',
      disabledTokens: 'lock',
      revokedTokens: 'count',
      mirrorDirectoryLocks: 'user-lock',
      lockTtlMs: null,
      lockBackoff: null,
      resetsTokenOnTtl: false,
    })
    expect(settings.resync).toEqual({ scanMs: 2000, fullMs: 900_000, shrinkLimit: 0.025 })
  })

  test('may log in to privacyIDEA with a token in place of a password', () => {
    const login = (key: string) =>
      parseConfig(`${DIRECTORY}privacyidea: { url: "https://x", ${key} }\n`, FILE).settings.privacyidea?.login
    expect(login('tokenFile: t')).toEqual({ kind: 'token', token: { file: '/etc/lockstep/t' } })
    expect(login('apiKeyFile: k')).toEqual({ kind: 'token', token: { file: '/etc/lockstep/k' } })
    expect(login('tokenEnv: PI')).toEqual({ kind: 'token', token: { env: 'PI' } })
  })

  test('warns about a password for privacyIDEA in the clear, but not on this machine', () => {
    const keys = (url: string) =>
      parseConfig(`${DIRECTORY}privacyidea: { url: "${url}", tokenFile: t }\n`, FILE).warnings.map(({ key }) => key)
    expect(keys('http://pi.example.org')).toEqual(['privacyidea.url'])
    expect(keys('http://127.0.0.1:5000')).toEqual([])
  })

  test('with every key of the manual is understood, and paths are relative to its folder', () => {
    const text = `${DIRECTORY}    ca: ca.pem
    userFilter: (&(objectClass=person)(sAMAccountName={login}))
    startTls: off
    connectTimeout: 250ms
realms: { Example: corp, other: [corp], admins: null }
policy: { lockWhen: any-token-locked, onForeignUnlock: relock, lockTtl: 2h }
guards:
  dryRun: true
  protect: { filter: "(memberOf=cn=admins,dc=example,dc=org)", dns: ["cn=admin,dc=example,dc=org"] }
  breaker: null
intake:
  spool: ../spool
  http: { listen: "[::1]:8640", hookSecretEnv: HOOK, allow: [10.0.0.0/8, "2001:db8::/32"], bodyLimit: 1MiB, rateLimit: 5 }
resync: { full: 1d }
store: sqlite:data/lockstep.db
ldif: { dir: /srv/ldif }
retention: { events: 1d, journal: 2d, journalRecords: 1000, history: 3d }
`
    const { settings } = parseConfig(text, FILE)
    expect(settings.directories[0]).toMatchObject({
      caFile: '/etc/lockstep/ca.pem',
      loginAttribute: 'sAMAccountName',
      startTls: 'off',
      connectTimeoutMs: 250,
      protect: {
        filters: [{ key: 'guards.protect.filter', value: '(memberOf=cn=admins,dc=example,dc=org)' }],
        dns: [{ key: 'guards.protect.dns', value: 'cn=admin,dc=example,dc=org' }],
      },
    })
    expect(settings.realms).toEqual({ example: ['corp'], other: ['corp'], admins: [] })
    expect(settings.policy).toMatchObject({ onForeignUnlock: 'relock', lockTtlMs: 7_200_000 })
    expect(settings.guards).toEqual({
      dryRun: { ...NOT_DRY, isForAll: true },
      breaker: null,
      lossBreaker: LOSS_BREAKER,
    })
    expect(settings.intake).toEqual({
      spool: '/etc/spool',
      http: {
        host: '::1',
        port: 8640,
        hookSecret: { env: 'HOOK' },
        allow: ['10.0.0.0/8', '2001:db8::/32'],
        bodyBytesMax: 1_048_576,
        requestsPerSecondMax: 5,
      },
    })
    expect(settings.store.file).toBe('/etc/lockstep/data/lockstep.db')
    expect(settings.ldif.dir).toBe('/srv/ldif')
  })

  test('of a custom directory gives its steps as assignments', () => {
    const lock = `lock: [{ set: { loginShell: /bin/false, shadowExpire: ["1"] } }, { add: { member: "{dn}" }, dn: "cn=locked,dc=x" }, { remove: { memberUid: "{login}" }, dn: "cn=vpn,dc=x" }]`
    const { settings } = parseConfig(`${directoryWith('type', 'type: custom')}    ${lock}\n`, FILE)
    expect(settings.directories[0]?.lock).toEqual([
      { dn: null, op: 'set', attribute: 'loginShell', values: ['/bin/false'] },
      { dn: null, op: 'set', attribute: 'shadowExpire', values: ['1'] },
      { dn: 'cn=locked,dc=x', op: 'add', attribute: 'member', values: ['{dn}'] },
      { dn: 'cn=vpn,dc=x', op: 'remove', attribute: 'memberUid', values: ['{login}'] },
    ])
  })

  test('warns about resync.scan, which does nothing without privacyIDEA, and about a password in the clear', () => {
    const text = `${directoryWith('urls', 'urls: [ldap://ldap.example.org, ldap://127.0.0.1, "ldap://[::1]:389", ldap://localhost]')}    startTls: off\nresync: { scan: 5s }\n`
    const { warnings } = parseConfig(text, FILE)
    expect(warnings.map((each) => `${each.line} ${each.key}`)).toEqual(['4 directories.corp.urls[0]', '9 resync.scan'])
  })
})

describe('a mistake in one key is told with its line, column, path and what is expected', () => {
  const cases: [name: string, text: string, expected: string | RegExp][] = [
    [
      'a mistyped key',
      directoryWith('userFiltr', 'userFiltr: (uid={login})'),
      '8:5 directories.corp.userFiltr: unknown key; did you mean "userFilter"?',
    ],
    ['a key in another spelling', directoryWith('bind_dn', 'bind_dn: cn=a'), /8:5 .*did you mean "bindDn"/],
    [
      'the password itself as a key',
      directoryWith('bindPassword', 'bindPassword: hunter2'),
      /did you mean "bindPasswordFile"/,
    ],
    [
      'a key of another section',
      `${DIRECTORY}guards: { spool: /x }\n`,
      /8:11 guards.spool: unknown key here; it belongs into intake$/,
    ],
    [
      'a section under the directory by mistake',
      directoryWith('intake', 'intake: {}'),
      /it belongs into the top level/,
    ],
    [
      'a key like nothing known',
      `${DIRECTORY}zzzzzzzz: 1\n`,
      /8:1 zzzzzzzz: unknown key; known here are privacyidea, directories, realms/,
    ],
    [
      'a missing base',
      directoryWith('base', null),
      /2:3 directories.corp.base: this key is missing; expected a distinguished name/,
    ],
    ['no directories', 'realms: {}\n', /1:1 directories: this key is missing; expected at least one/],
    ['an empty list of directories', 'directories: {}\n', /directories: at least one directory is needed/],
    [
      'a directory with a bad name',
      DIRECTORY.replace('corp:', 'Corp Inc:'),
      /2:3 directories.Corp Inc: the name of a directory/,
    ],
    [
      'an unknown type',
      directoryWith('type', 'type: openldp'),
      /^3:11 directories\.corp\.type: expected one of openldap, .*custom; got "openldp"$/,
    ],
    [
      'a URL of the web',
      directoryWith('urls', 'urls: [https://ldap.example.org]'),
      /4:12 directories.corp.urls\[0\]: expected an ldap:\/\/ or ldaps:\/\/ URL/,
    ],
    [
      'a URL without a host',
      directoryWith('urls', 'urls: ["ldap://"]'),
      /urls\[0\]: (it has no host|expected an ldap)/,
    ],
    ['a URL with a base', directoryWith('urls', 'urls: [ldaps://x/dc=example]'), /something after the host and port/],
    [
      'one URL instead of a list',
      directoryWith('urls', 'urls: ldaps://x'),
      /expected a list with 1 to 8 entries.*; got "ldaps:\/\/x"/,
    ],
    ['no URL at all', directoryWith('urls', 'urls: []'), /expected a list with 1 to 8 entries.*; got a list of 0/],
    [
      'a bind DN that is none',
      directoryWith('bindDn', 'bindDn: lockstep'),
      /5:13 directories.corp.bindDn: part 1 has no "="/,
    ],
    [
      'a login in place of a DN, where the server is not Active Directory',
      directoryWith('bindDn', 'bindDn: lockstep@example.org'),
      /5:\d+ directories.corp.bindDn: only type active-directory takes user@domain or DOMAIN\\user; type openldap needs the DN/,
    ],
    [
      'a line feed that double quotes made of a login',
      directoryWith('bindDn', 'bindDn: "EXAMPLE\\nservice"').replace('openldap', 'active-directory'),
      /5:13 directories.corp.bindDn: part 1 has no "="/,
    ],
    ['a base with an empty value', directoryWith('base', 'base: "ou=,dc=x"'), /part 1 has a bad or empty value/],
    [
      'no secret',
      directoryWith('bindPasswordFile', null),
      /2:3 directories.corp: the secret is missing: write one of bindPasswordFile and bindPasswordEnv/,
    ],
    ['two secrets', directoryWith('bindPasswordEnv', 'bindPasswordEnv: X'), /the secret is there twice/],
    [
      'an environment variable that can be none',
      directoryWith('bindPasswordFile', 'bindPasswordEnv: a-b'),
      /expected the name of an environment variable.*; got a string \(not shown\)/,
    ],
    [
      'a user filter without {login}',
      directoryWith('userFilter', 'userFilter: (uid=x)'),
      /8:17 .*does not hold \{login\}/,
    ],
    [
      'a user filter with another placeholder',
      directoryWith('userFilter', 'userFilter: "(uid={login}{user})"'),
      /it holds \{user\}; known are/,
    ],
    [
      'a user filter that does not close',
      directoryWith('userFilter', 'userFilter: (uid={login}'),
      /lacks a closing "\)"/,
    ],
    [
      'a user filter without parentheses',
      directoryWith('userFilter', 'userFilter: uid={login}'),
      /lacks a "\(" at character 1/,
    ],
    [
      'an empty "and"',
      `${DIRECTORY}guards: { protect: { filter: "(&)" } }\n`,
      /guards.protect.filter: there is nothing after "&"/,
    ],
    [
      'DNs that came apart at their commas',
      `${DIRECTORY}guards: { protect: { dns: [cn=admin, dc=example, dc=org] } }\n`,
      /guards.protect.dns.*: cn=admin lies in none of the directories. Within \[ \] a DN stands in quotes/,
    ],
    [
      'the DN of a limit that came apart',
      `${DIRECTORY}guards: { breaker: { limits: [{ of: ou, maxLocks: 1, only: [ou=board, dc=example, dc=org] }] } }\n`,
      /guards.breaker.limits.*only.*: ou=board lies in none of the directories/,
    ],
    [
      'a serial format without {serial}',
      directoryWith('serialFormat', 'serialFormat: token'),
      /it holds \{serial\} 0 times/,
    ],
    [
      'a serial format with two',
      directoryWith('serialFormat', 'serialFormat: "{serial}{serial}"'),
      /it holds \{serial\} 2 times/,
    ],
    [
      'an attribute with a space',
      directoryWith('serialAttribute', 'serialAttribute: a b'),
      /expected the name of an LDAP attribute/,
    ],
    [
      'a duration without a unit',
      directoryWith('connectTimeout', 'connectTimeout: 5'),
      /8:21 .*expected a duration from 100ms to 2m.*; got the number 5/,
    ],
    [
      'a duration that is too long',
      directoryWith('connectTimeout', 'connectTimeout: 1h'),
      /expected a duration from 100ms to 2m.*got "1h"/,
    ],
    [
      'a number out of range',
      directoryWith('connectionsMax', 'connectionsMax: 0'),
      /expected a whole number from 1 to 16; got the number 0/,
    ],
    [
      'half a number',
      directoryWith('connectionsMax', 'connectionsMax: 1.5'),
      /expected a whole number from 1 to 16; got the number 1.5/,
    ],
    [
      'a text for true or false',
      `${DIRECTORY}guards: { dryRun: "yes" }\n`,
      /8:19 guards.dryRun: expected true, false, or directories and realms, .*; got "yes"/,
    ],
    [
      'a realm without its directory',
      `${DIRECTORY}realms: { example: crop }\n`,
      /8:11 realms.example: there is no directory of this name; directories are: corp/,
    ],
    [
      'a list of directories of which one is not there',
      `${DIRECTORY}realms: { example: [corp, crop] }\n`,
      /8:11 realms.example: there is no directory crop; directories are: corp/,
    ],
    [
      'a directory that stands twice in a realm',
      `${DIRECTORY}realms: { example: [corp, corp] }\n`,
      /8:20 realms.example: a directory is there twice/,
    ],
    [
      'a realm with an empty list',
      `${DIRECTORY}realms: { example: [] }\n`,
      /8:20 realms.example: expected the name of one/,
    ],
    [
      'several directories and no realms',
      `${DIRECTORY}${DIRECTORY.replace('directories:\n', '').replace('corp', 'two')}`,
      /with several directories, name here/,
    ],
    [
      'a bad address to listen on',
      `${DIRECTORY}intake: { http: { listen: 8640, hookSecretEnv: X } }\n`,
      /intake.http.listen: expected an address and a port/,
    ],
    [
      'a port too high',
      `${DIRECTORY}intake: { http: { listen: "127.0.0.1:99999", hookSecretEnv: X } }\n`,
      /a port is at most 65535/,
    ],
    [
      'the webhook without its secret',
      `${DIRECTORY}intake: { http: {} }\n`,
      /8:11 intake.http: the secret is missing: write one of hookSecretFile/,
    ],
    [
      'a network without its length',
      `${DIRECTORY}intake: { http: { hookSecretEnv: X, allow: [10.0.0.0] } }\n`,
      /intake.http.allow\[0\]: the prefix length is missing/,
    ],
    [
      'a network that is too long',
      `${DIRECTORY}intake: { http: { hookSecretEnv: X, allow: [10.0.0.0/33] } }\n`,
      /the prefix length is 0 to 32/,
    ],
    ['a store of another kind', `${DIRECTORY}store: mysql:x\n`, /8:8 store: expected sqlite: and the path of a file/],
    ['a custom directory without a lock', directoryWith('type', 'type: custom'), /type custom needs the key lock/],
    [
      'a lock of an openldap directory',
      directoryWith('lock', 'lock: [{ set: { a: b } }]'),
      /8:5 directories.corp.lock: this key is for type custom/,
    ],
    [
      'a step with two ways',
      `${directoryWith('type', 'type: custom')}    lock: [{ set: { a: b }, add: { a: c } }]\n`,
      /lock\[0\]: a step has exactly one of set, add, remove; here are 2/,
    ],
    [
      'a step with an unknown way',
      `${directoryWith('type', 'type: custom')}    lock: [{ sets: { a: b } }]\n`,
      /lock\[0\].sets: unknown key; did you mean "set"/,
    ],
    [
      'a section that is a text',
      `${DIRECTORY}guards: no\n`,
      /8:9 guards: expected a section with keys of its own; got "no"/,
    ],
    [
      'privacyIDEA without a secret',
      `${DIRECTORY}privacyidea: { url: https://x, user: lockstep }\n`,
      /8:1 privacyidea: the secret is missing: write one of passwordFile, passwordEnv, tokenFile, tokenEnv, apiKeyFile/,
    ],
    [
      'privacyIDEA with two secrets',
      `${DIRECTORY}privacyidea: { url: https://x, user: lockstep, passwordFile: p, tokenFile: t }\n`,
      /8:1 privacyidea: the secret is there several times/,
    ],
    [
      'a password of nobody',
      `${DIRECTORY}privacyidea: { url: https://x, passwordFile: p }\n`,
      /8:1 privacyidea: the key user is missing/,
    ],
    [
      'a user beside a token',
      `${DIRECTORY}privacyidea: { url: https://x, user: lockstep, tokenFile: t }\n`,
      /privacyidea.user: belongs to a password; with tokenFile leave it out/,
    ],
    [
      'credentials in the URL of privacyIDEA',
      `${DIRECTORY}privacyidea: { url: "https://u:hunter2@x", tokenFile: t }\n`,
      /privacyidea.url: it holds credentials; they belong into user and passwordFile/,
    ],
    [
      'a limit of shrinking that is no percentage',
      `${DIRECTORY}resync: { shrinkLimit: 110% }\n`,
      /resync.shrinkLimit: expected a percentage from 0% to 100%/,
    ],
    [
      'mail without a sender',
      `${DIRECTORY}mail: { smtp: smtp://x }\n`,
      /8:1 mail.from: this key is missing; expected a mail address/,
    ],
    [
      'a mail server with credentials in its URL',
      `${DIRECTORY}mail: { smtp: 'smtp://u:hunter2@x', from: a@b.c }\n`,
      /mail.smtp: it holds credentials; they belong into user and passwordFile/,
    ],
    [
      'a sender that would be two',
      `${DIRECTORY}mail: { smtp: smtp://x, from: "a@b.c, d@e.f" }\n`,
      /mail.from: expected a mail address/,
    ],
    [
      'a sender with a line end',
      `${DIRECTORY}mail: { smtp: smtp://x, from: "A\\r\\nBcc: d@e.f <a@b.c>" }\n`,
      /mail.from: expected a mail address/,
    ],
    [
      'an address of the help desk that is none',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, helpDesk: { addresses: ["x y@z"] } }\n`,
      /mail.helpDesk.addresses\[0\]: expected a mail address/,
    ],
    [
      'a kind that owners are not told',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, owner: { kinds: [breaker] } }\n`,
      /mail.owner.kinds\[0\]: expected one of not-effective, refused, locked, unlocked/,
    ],
    [
      'a time zone that there is not',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, timeZone: Europe/Bonn }\n`,
      /mail.timeZone: expected the name of a time zone/,
    ],
    [
      'an address in EHLO without brackets',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, ehloName: 192.0.2.1 }\n`,
      /mail.ehloName: an address is written in brackets/,
    ],
    [
      'brackets in EHLO that YAML reads as a list',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, ehloName: [192.0.2.1] }\n`,
      /mail.ehloName: YAML reads brackets as a list: put quotes around them/,
    ],
    [
      'a name in EHLO that could be another command',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, ehloName: "a.b\\r\\nRCPT TO:<x@y>" }\n`,
      /mail.ehloName: expected a name in DNS, as in lockstep.example.org/,
    ],
    [
      'a user of the mail server without a password',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, user: me }\n`,
      /mail: the secret is missing: write one of passwordFile and passwordEnv/,
    ],
    [
      'addresses from a privacyIDEA that is not configured',
      `${DIRECTORY}mail: { smtp: smtp://x, from: a@b.c, owner: { from: privacyidea } }\n`,
      /mail.owner.from: privacyidea needs privacyIDEA's API/,
    ],
    [
      'PostgreSQL',
      `${DIRECTORY}store: postgres://u:hunter2@db/x\n`,
      '8:8 store: not in this version yet: PostgreSQL; leave it out',
    ],
    [
      'a reset of the token without privacyIDEA',
      `${DIRECTORY}policy: { onForeignUnlock: reset-token }\n`,
      /policy.onForeignUnlock: reset-token needs privacyIDEA's API: write the section privacyidea/,
    ],
    [
      'a lock when all tokens are, without privacyIDEA',
      `${DIRECTORY}policy: { lockWhen: all-tokens-locked }\n`,
      /policy.lockWhen: all-tokens-locked needs privacyIDEA's API: write the section privacyidea/,
    ],
    [
      'a lock in the directory that is to reach privacyIDEA, without it',
      `${DIRECTORY}policy: { mirrorDirectoryLocks: disable-tokens }\n`,
      /policy.mirrorDirectoryLocks: disable-tokens needs privacyIDEA's API: write the section privacyidea/,
    ],
    ['a key that stands there twice', `${DIRECTORY}realms: {}\nrealms: {}\n`, /9:1 : this key is here a second time/],
    ['a wrong indentation', 'directories:\n  corp:\n    type: openldap\n   base: x\n', /4:1 : the indentation/],
    ['a tab', 'directories:\n\tcorp: {}\n', /2:1 : the indentation has a tab; use spaces/],
    [
      'braces without quotes',
      `${DIRECTORY}guards: { protect: { filter: (a={b}) } }\n`,
      /8:\d+ : .*put quotes around a value/,
    ],
    ['a quote that does not close', `${DIRECTORY}store: "sqlite:x\n`, /^8:8 : the " that begins here is never closed/],
    [
      'a quote that ends in an escaped one',
      `${DIRECTORY}store: "sqlite:x\\"\nrealms: {}\n`,
      /^8:8 : the " that begins here is never closed; put " where the value ends$/,
    ],
    [
      'a bracket that does not close, in the middle of a section',
      DIRECTORY.replace(/urls: .*/, 'urls: [ldaps://a, ldaps://b'),
      /^\d+:11 : the \[ that begins here is never closed; put \] where the value ends$/,
    ],
    [
      'a brace that does not close, with more sections after it',
      `${DIRECTORY}realms: { example: corp\nguards: { dryRun: true }\n`,
      /^8:9 : the \{ that begins here is never closed; put \} where the value ends$/,
    ],
    [
      'a quote within brackets, which takes their end in',
      `${DIRECTORY}realms: { "example: corp }\nguards: { dryRun: true }\n`,
      /^8:11 : the " that begins here is never closed/,
    ],
    [
      'another bracket than the one that was opened',
      `${DIRECTORY}guards: { protect: { dns: [dc=x} } }\n`,
      /^8:27 : the \[ that begins here is never closed/,
    ],
    ['an empty file', '', '1:1 : the file is empty; "lockstep init" writes one'],
    ['a file of comments', '# nothing\n', /the file is empty/],
    ['a list', '- a\n', /keys are expected, as in "directories:"/],
    ['two documents', `${DIRECTORY}---\na: 1\n`, /a second document/],
    ['an alias without its anchor', `${DIRECTORY}store: *x\n`, /8:8 : an alias .* cannot be resolved/],
  ]
  test.each(cases)('%s', (_name, text, expected) => {
    const found = mistakes(text)
    expect(
      found.some((each) => (typeof expected === 'string' ? each === expected : expected.test(each))),
      found.join('\n'),
    ).toBe(true)
    expect(found.join('\n')).not.toContain('hunter2')
  })

  test('all of them at once, in the order of the file', () => {
    const text =
      DIRECTORY.replace('urls: [ldaps://ldap.example.org]', 'urls: [x]').replace('base: ou=people', 'base: people') +
      'realms: { a: b }\nstore: x\n'
    expect(mistakes(text).map((each) => each.split(':', 1)[0])).toEqual(['4', '7', '8', '9'])
  })

  test('its text names the file, the count and the next step', () => {
    const error = errorOf(() => parseConfig(directoryWith('ulrs', 'ulrs: 1'), FILE))
    expect(error.code).toBe('config-invalid')
    expect(error.message).toBe(
      `the configuration has a mistake:\n  ${FILE}:8:5: directories.corp.ulrs: unknown key; did you mean "urls"?`,
    )
    expect(error.hint).toMatch(/lockstep check/)
  })
})

describe('secrets are never repeated', () => {
  test.each([
    ['credentials in a URL', directoryWith('urls', 'urls: [ldaps://lockstep:hunter2@ldap.example.org]')],
    ['a secret under an unknown key', `${DIRECTORY}secret: hunter2\n`],
    ['a password that is a number', directoryWith('bindPasswordFile', 'bindPasswordEnv: 4711815')],
    ['a broken text around it', `bindPassword: "hunter2\n`],
    ['a secret in a key of the wrong kind', directoryWith('bindPasswordFile', 'bindPasswordFile: [hunter2]')],
  ])('%s', (_name, text) => {
    const error = errorOf(() => parseConfig(text, FILE))
    expect(`${error.message} ${error.hint}`).not.toMatch(/hunter2|4711815/)
  })
})

describe('which file counts', () => {
  test('--config, then LOCKSTEP_CONFIG, then ./lockstep.yaml', () => {
    const here = join(dir, 'lockstep.yaml')
    writeFileSync(here, DIRECTORY)
    expect(findConfig({ flag: 'a.yaml', env: { LOCKSTEP_CONFIG: '/b.yaml' }, cwd: dir })).toBe(join(dir, 'a.yaml'))
    expect(findConfig({ env: { LOCKSTEP_CONFIG: '/b.yaml' }, cwd: dir })).toBe('/b.yaml')
    expect(findConfig({ env: { LOCKSTEP_CONFIG: '' }, cwd: dir })).toBe(here)
    expect(loadConfig({ env: {}, cwd: dir }).settings.file).toBe(here)
  })

  test('a file that is named and missing is an error, not a reason to look elsewhere', () => {
    writeFileSync(join(dir, 'lockstep.yaml'), DIRECTORY)
    const error = errorOf(() => loadConfig({ flag: 'other.yaml', env: {}, cwd: dir }))
    expect(error.message).toBe(`the configuration file ${join(dir, 'other.yaml')} does not exist`)
    expect(error.hint).toMatch(/lockstep init/)
  })

  test('a folder, a huge file and a file that is no text are told apart', () => {
    writeFileSync(join(dir, 'huge'), '#'.repeat(300 * 1024))
    writeFileSync(join(dir, 'latin1'), Buffer.from([0x61, 0x3a, 0xe9]))
    expect(errorOf(() => loadConfig({ flag: '.', env: {}, cwd: dir })).message).toMatch(/is not a file/)
    expect(errorOf(() => loadConfig({ flag: 'huge', env: {}, cwd: dir })).message).toMatch(/larger than 256 KiB/)
    expect(errorOf(() => loadConfig({ flag: 'latin1', env: {}, cwd: dir })).message).toMatch(/not UTF-8/)
  })

  test('a byte that is not UTF-8 is a mistake with its line and column, and does not hide where the store is', () => {
    const file = join(dir, 'lockstep.yaml')
    writeFileSync(file, Buffer.from(`${DIRECTORY}# Grüße\nstore: sqlite:/x/store.db # Straße\n`, 'latin1'))
    const error = errorOf(() => loadConfig({ flag: file, env: {}, cwd: dir }))
    expect(error.message).toContain(`${file}:8:5: this byte is not UTF-8`)
    expect(placesOf(file).store).toBe('/x/store.db')
  })
})

describe('check looks at the files that the configuration names', () => {
  function check(change: (text: string) => string = (text) => text): string[] {
    const text = DIRECTORY.replace('/etc/lockstep/ldap-password', 'password')
    writeFileSync(join(dir, 'lockstep.yaml'), change(text), { mode: 0o644 })
    return checkConfig({ env: {}, cwd: dir }).problems.map((each) => `${each.severity} ${each.key}: ${each.message}`)
  }

  test('a good one has no problem', () => {
    writeFileSync(join(dir, 'password'), 'pw\n', { mode: 0o600 })
    expect(check()).toEqual([])
  })

  test('a secret that is missing, empty, readable by others or several lines long', () => {
    const secret = join(dir, 'password')
    expect(check().join()).toMatch(
      /^error directories.corp.bindPasswordFile: the secret file .*password does not exist\. Fix: Write/,
    )
    writeFileSync(secret, '\n', { mode: 0o600 })
    expect(check().join()).toMatch(/holds an empty secret/)
    writeFileSync(secret, 'a\nb\n')
    expect(check().join()).toMatch(/has several lines/)
    writeFileSync(secret, 'pw')
    chmodSync(secret, 0o640)
    expect(check().join()).toMatch(/^warning .*mode 0640\)\. Fix: chmod 600/)
    chmodSync(secret, 0o644)
    expect(check().join()).toMatch(/^error .*mode 0644\)\. Fix: chmod 600/)
  })

  test('a missing certificate, a variable that is not set, a file that others may write', () => {
    writeFileSync(join(dir, 'password'), 'pw', { mode: 0o600 })
    expect(check((text) => `${text}    ca: ca.pem\n`).join()).toMatch(/corp.ca: the file .*ca.pem does not exist/)
    expect(check((text) => text.replace('bindPasswordFile: password', 'bindPasswordEnv: NOPE_X')).join()).toMatch(
      /NOPE_X is not set/,
    )
    chmodSync(join(dir, 'lockstep.yaml'), 0o666)
    const { problems } = checkConfig({ env: { NOPE_X: 'pw' }, cwd: dir })
    expect(problems.map((each) => each.message).join()).toMatch(/others may write this file \(mode 0666\)/)
  })

  test('a link to nowhere is a missing file', () => {
    symlinkSync(join(dir, 'nowhere'), join(dir, 'password'))
    expect(check().join()).toMatch(/does not exist/)
  })
})
