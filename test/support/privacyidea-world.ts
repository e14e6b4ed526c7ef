import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { freePort } from '../servers/free-port.ts'
import {
  asked,
  INSTALL_TIMEOUT_MS,
  startPrivacyIdea,
  type PrivacyIdea,
  type ReleaseName,
} from '../servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { startLockstep, type Lockstep, type Ran } from './lockstep.ts'

/** A real privacyIDEA with a real slapd as its user store, and a daemon on the same slapd. */
export interface SetUpWorld extends AsyncDisposable {
  readonly release: ReleaseName
  readonly slapd: Slapd
  readonly pi: PrivacyIdea
  readonly lockstep: Lockstep
  /** `lockstep privacyidea setup` as the administrator, who is not asked. */
  setup(...args: readonly string[]): Promise<Ran>
  /** A configuration with the section `privacyidea`, beside the daemon's; logs in as this administrator of the tests. */
  configAs(admin: string, edit?: (yaml: string) => string): string
  /** A HOTP token that takes three failures. */
  newToken(serial: string, login: string): Promise<void>
  /** Wrong OTPs with the right PIN. */
  fail(login: string, times: number): Promise<void>
  check(params: Readonly<Record<string, string>>): Promise<unknown>
  /** The rights that a login says it has. */
  rightsOf(admin: string, password: string): Promise<string[]>
}

const KEY = '12345678901234567890'
export const PIN = '1234'
/** The versions whose real servers are tried: LOCKSTEP_PRIVACYIDEA, as in `3.11 3.13` or `all`; else 3.12 and 3.14. */
const CHOSEN = (process.env['LOCKSTEP_PRIVACYIDEA'] ?? '3.12 3.14').split(/[ ,]+/)

export function isChosen(release: ReleaseName): boolean {
  return CHOSEN.includes(release) || CHOSEN.includes('all')
}

/** Where nobody chose, the newest one stands for all. */
export function isChosenByName(release: ReleaseName): boolean {
  return isChosen(release) && (release === '3.14' || process.env['LOCKSTEP_PRIVACYIDEA'] !== undefined)
}

/** The long run, `npm run test:privacyidea -- all`. */
export function isEveryReleaseChosen(): boolean {
  return CHOSEN.includes('all')
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Set in the projects of the versions alone. */
    readonly release: ReleaseName | undefined
  }
}

/** The version that the file runs for now (test/releases.ts). */
export function releaseOfRun(): ReleaseName {
  const release = inject('release')
  if (release === undefined) throw new Error('this file runs for versions of privacyIDEA; name it in test/releases.ts')
  return release
}

/** Runs the tests against the version of the run, where it is chosen. */
export function onReleaseOfRun(
  tests: (world: () => SetUpWorld) => void,
  isMeant: (release: ReleaseName) => boolean = isChosen,
): void {
  const release = releaseOfRun()
  describe.skipIf(!isMeant(release))(`privacyIDEA ${release}`, () => {
    let world: SetUpWorld
    beforeAll(async () => {
      world = await startWorld(release)
    }, INSTALL_TIMEOUT_MS)
    afterAll(async () => world?.[Symbol.asyncDispose]())
    tests(() => world)
  })
}

async function startWorld(release: ReleaseName): Promise<SetUpWorld> {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 40, dbNoSync: true }))
  const pi = stack.use(await startPrivacyIdea({ release, userStore: slapd }))
  const lockstep = stack.use(await startLockstep(slapd, { httpPort: await freePort() }))
  const password = join(lockstep.dir, 'admin-password')
  writeFileSync(password, 'secret\n', { mode: 0o600 })
  const owned = stack.move()
  const check = (params: Readonly<Record<string, string>>): Promise<unknown> =>
    asked(pi.url, 'POST', '/validate/check', params)
  return {
    release,
    slapd,
    pi,
    lockstep,
    setup: (...args) =>
      lockstep.cli('privacyidea', 'setup', '--url', pi.url, '--user', 'admin', '--password-file', password, ...args),
    configAs: (admin, edit = (yaml) => yaml) => {
      const secret = join(lockstep.dir, `pi-${admin}`)
      writeFileSync(secret, admin === 'admin' ? 'secret\n' : `${admin}-secret\n`, { mode: 0o600 })
      const file = join(lockstep.dir, `with-pi-${admin}.yaml`)
      writeFileSync(file, edit(configWith(pi, lockstep, slapd, { admin, secret })))
      return file
    },
    newToken: async (serial, login) => {
      const otpkey = Buffer.from(KEY).toString('hex')
      await pi.ask('POST', '/token/init', {
        type: 'hotp',
        serial,
        otpkey,
        genkey: 0,
        user: login,
        realm: 'r1',
        pin: PIN,
      })
      await pi.ask('POST', '/token/set', { serial, max_failcount: 3 })
    },
    fail: async (login, times) => {
      for (let count = 0; count < times; count += 1) await check({ user: login, realm: 'r1', pass: `${PIN}000000` })
    },
    check,
    rightsOf: async (username, adminPassword) => {
      const login = await asked(pi.url, 'POST', '/auth', { username, password: adminPassword })
      return (login as { rights: string[] }).rights.toSorted()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configWith(
  pi: PrivacyIdea,
  lockstep: Lockstep,
  slapd: Slapd,
  login: { admin: string; secret: string },
): string {
  return `privacyidea: { url: '${pi.url}', user: ${login.admin}, passwordFile: ${login.secret} }
directories:
  corp:
    type: openldap
    urls: ['${slapd.url}']
    bindDn: '${slapd.serviceDn}'
    bindPasswordFile: ${join(lockstep.dir, 'ldap-password')}
    base: '${slapd.peopleDn}'
realms: { r1: corp }
intake:
  spool: ${lockstep.spoolDir}
  http: { listen: '127.0.0.1:8640', hookSecretFile: ${join(lockstep.dir, 'hook-secret')} }
store: sqlite:${lockstep.storeFile}
ldif: { dir: ${lockstep.ldifDir} }
`
}

/** The HOTP value (RFC 4226) of the tests' key. */
export function hotp(counter: number): string {
  const message = Buffer.alloc(8)
  message.writeBigUInt64BE(BigInt(counter))
  const digest = createHmac('sha1', KEY).update(message).digest()
  const offset = (digest.at(-1) ?? 0) & 15
  const value = (digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000
  return String(value).padStart(6, '0')
}
