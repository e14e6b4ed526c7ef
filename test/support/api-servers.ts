import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { eventually } from '../servers/eventually.ts'
import {
  asked,
  startPrivacyIdea,
  type PrivacyIdea,
  type PrivacyIdeaOptions,
  type ReleaseName,
} from '../servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd, type SlapdOptions } from '../servers/ldap/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../servers/tcp-proxy.ts'
import { look, serialsOf } from './account-view.ts'
import { createLockstep, type Lockstep, type LockstepOptions } from './lockstep.ts'
import { PIN } from './privacyidea-world.ts'

/** A real privacyIDEA whose user store is a real slapd behind a relay, and Lockstep in mode `api` beside both. */

const KEY = Buffer.from('12345678901234567890').toString('hex')
export const FAILURES_MAX = 3
/** A busy machine is waited for; what is quick is measured besides. */
const WRONG = '999999'

export interface ApiServers extends AsyncDisposable {
  readonly release: ReleaseName
  readonly slapd: Slapd
  /** Between privacyIDEA and slapd; Lockstep reaches slapd without it. */
  readonly userStore: TcpProxy
  readonly pi: PrivacyIdea
  /** One that nobody has used yet. */
  newUser(): string
  /** A HOTP token that takes three failures. */
  newToken(serial: string, user: string, pin?: string): Promise<void>
  /** Wrong attempts until a token is full. `pass` is what is tried; right PIN and wrong OTP when left out. */
  fail(params: Readonly<Record<string, string>>, pass?: string): Promise<void>
  /** Waits for it; returns how long that took in milliseconds. */
  becomes(user: string, state: 'locked' | 'open'): Promise<number>
  carries(user: string, ...serials: readonly string[]): Promise<number>
  /** What stands there now, in a word: `locked S1 S2`. */
  state(user: string): Promise<string>
  failCountOf(serial: string): Promise<number>
}

export async function startApiServers(
  release: ReleaseName,
  options: SlapdOptions = {},
  source: Pick<PrivacyIdeaOptions, 'databaseUri'> = {},
): Promise<ApiServers> {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 60, dbNoSync: true, ...options }))
  const userStore = stack.use(await startTcpProxy(Number(new URL(slapd.url).port)))
  const url = `ldap://127.0.0.1:${userStore.port}`
  const { peopleDn, adminDn, adminPassword } = slapd
  const pi = stack.use(
    await startPrivacyIdea({ release, userStore: { url, peopleDn, adminDn, adminPassword }, ...source }),
  )
  const owned = stack.move()
  let users = 0
  const state = async (user: string): Promise<string> => {
    const view = await look(slapd, user)
    return [view.canBind ? 'open' : 'locked', ...serialsOf(view)].join(' ')
  }
  const waited = async (what: string, isSo: () => Promise<boolean>): Promise<number> => {
    const startedMs = performance.now()
    await eventually(what, isSo)
    return performance.now() - startedMs
  }
  return {
    release,
    slapd,
    userStore,
    pi,
    newUser: () => `u${++users}`,
    newToken: async (serial, user, pin = PIN) => {
      await pi.ask('POST', '/token/init', { type: 'hotp', serial, otpkey: KEY, genkey: 0, user, realm: 'r1', pin })
      await pi.ask('POST', '/token/set', { serial, max_failcount: FAILURES_MAX })
    },
    fail: async (params, pass = `${PIN}${WRONG}`) => {
      for (let count = 0; count < FAILURES_MAX; count++) {
        await asked(pi.url, 'POST', '/validate/check', { ...params, pass })
      }
    },
    becomes: (user, wanted) =>
      waited(`${user} is ${wanted}`, async () => (await look(slapd, user)).canBind === (wanted === 'open')),
    carries: (user, ...serials) =>
      waited(
        `${user} carries ${serials.join(' ') || 'no serial'}`,
        async () => serialsOf(await look(slapd, user)).join(' ') === serials.join(' '),
      ),
    state,
    failCountOf: async (serial) => {
      const { tokens } = (await pi.ask('GET', '/token/', { serial })) as { tokens: { failcount: number }[] }
      return tokens[0]?.failcount ?? -1
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export interface ApiOptions extends LockstepOptions {
  /** Another way to the same server. */
  readonly url?: string
  /** Further keys of the section `privacyidea`. */
  readonly source?: string
  readonly scan?: string
  readonly full?: string
}

/** Not started yet. As the administrator `lockstep`, unless `source` says otherwise. */
export async function createApiLockstep(
  { slapd, pi }: { readonly slapd: Slapd; readonly pi: Pick<PrivacyIdea, 'url'> },
  options: ApiOptions = {},
): Promise<Lockstep> {
  const lockstep = await createLockstep(slapd, options)
  const secret = join(lockstep.dir, 'pi-password')
  writeFileSync(secret, 'lockstep-secret\n', { mode: 0o600 })
  const { url = pi.url, source = '', scan = '1s', full = '1h' } = options
  lockstep.editConfig(
    (yaml) => `privacyidea: { url: '${url}', user: lockstep, passwordFile: ${secret}, timeout: 5s${source} }
resync: { scan: ${scan}, full: ${full} }
${yaml}`,
  )
  return lockstep
}

/** Starts it, and waits until it has compared everything once. */
export async function serveSwept(lockstep: Lockstep): Promise<void> {
  const before = sweeps(lockstep)
  await lockstep.serve()
  await eventually('the first full resync is done', () => sweeps(lockstep) > before)
}

function sweeps(lockstep: Lockstep): number {
  return lockstep.log().split('full resync is done').length
}

export type Via = 'script' | 'webhook'

/** `lockstep privacyidea setup`, as an administrator does it. */
export async function bind({ pi, release }: ApiServers, lockstep: Lockstep, via: Via): Promise<void> {
  const password = join(lockstep.dir, 'admin-password')
  writeFileSync(password, 'secret\n', { mode: 0o600 })
  const who = ['--url', pi.url, '--user', 'admin', '--password-file', password, '--yes']
  const how = via === 'script' ? ['--scripts-dir', pi.scriptsDir] : ['--via', 'webhook']
  const ran = await lockstep.cli('privacyidea', 'setup', ...who, ...how)
  if (ran.code !== 0) throw new Error(`${release}: ${ran.stderr}`)
}

/** Moves the moment at which the token became full back by hours, in privacyIDEA's own database. */
export function clearTimeoutIsOver(pi: PrivacyIdea, serial: string): void {
  const database = new DatabaseSync(join(pi.dir, 'pi.db'), { timeout: 5_000 })
  try {
    const { changes } = database
      .prepare(
        `update tokeninfo set "Value" = ? where "Key" = 'failcounter_exceeded' and token_id = (select id from token where serial = ?)`,
      )
      .run('2026-01-01T00:00+0000', serial)
    if (changes !== 1) throw new Error(`${serial} is not full`)
  } finally {
    database.close()
  }
}
