import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../free-port.ts'
import { runToolOk } from '../run-tool.ts'
import type { Slapd } from '../ldap/slapd.ts'
import { makeTempDir } from '../temp-dir.ts'

/** The releases that the tests install, by their short names. */
export const RELEASES = { '3.11': '3.11.4', '3.12': '3.12.3', '3.13': '3.13.4', '3.14': '3.14' } as const
export type ReleaseName = keyof typeof RELEASES

/** The first time a version is installed from the package index. */
export const INSTALL_TIMEOUT_MS = 600_000
const START_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_MS = 10_000
const POLL_MS = 50
const SETPRIV = '/usr/bin/setpriv'
const SCRIPT = fileURLToPath(new URL('privacyidea.sh', import.meta.url))

export interface PrivacyIdeaOptions {
  readonly release: ReleaseName
  /** Its users become realm `r1` by the resolver `ldap1`, with entryUUID as the user id. Without it there is none. */
  readonly userStore?: UserStore
  /** An empty database, as SQLAlchemy has it; left out: SQLite, which tells the case of a serial apart. */
  readonly databaseUri?: string
}

/** The directory that a realm's users live in. */
export type UserStore = Pick<Slapd, 'url' | 'peopleDn' | 'adminDn' | 'adminPassword'>

/** A throw-away privacyIDEA on a free port of loopback, one worker. Stopped by pid when disposed. */
export interface PrivacyIdea extends AsyncDisposable {
  readonly url: string
  readonly release: ReleaseName
  readonly dir: string
  /** PI_SCRIPT_HANDLER_DIRECTORY. */
  readonly scriptsDir: string
  readonly pid: number
  /** Asks as the administrator `admin`. @returns `result.value`; fails with what the server said */
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, params?: Record<string, unknown>): Promise<unknown>
  stop(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP to the worker that answers: connections are accepted and nothing is answered. */
  pause(): Promise<void>
  resume(): Promise<void>
}

/** What the administrators of the tests may do; an admin policy is needed, or 3.12 and 3.13 ignore `otpkey`. */
const ACTIONS = [
  ...[
    'enrollHOTP',
    'enrollTOTP',
    'enrollpin',
    'assign',
    'unassign',
    'reset',
    'delete',
    'set',
    'enable',
    'disable',
    'revoke',
  ],
  ...[
    'tokenlist',
    'userlist',
    'auditlog',
    'eventhandling_read',
    'eventhandling_write',
    'resolverwrite',
    'resolverread',
  ],
  ...['policywrite', 'policyread', 'policydelete', 'configwrite', 'configread'],
  ...['enrollEMAIL', 'setpin', 'losttoken', 'smtpserver_write', 'smtpserver_read'],
]
const ACTIONS_3_14 = [
  ...['user_lock_read', 'user_lock_set', 'user_lock_reset', 'authentication_log_read', 'token_rollover'],
  ...['conditional_access_policy_read', 'conditional_access_policy_write'],
]

export async function startPrivacyIdea(options: PrivacyIdeaOptions): Promise<PrivacyIdea> {
  const stack = new AsyncDisposableStack()
  try {
    const temp = stack.use(await makeTempDir('privacyidea'))
    const { stdout } = await runToolOk('sh', [SCRIPT, RELEASES[options.release], temp.path], {
      timeoutMs: INSTALL_TIMEOUT_MS,
      env: options.databaseUri === undefined ? {} : { DB_URI: options.databaseUri },
    })
    const server = stack.use(new Gunicorn(stdout.trim(), temp.path, await freePort()))
    await server.start()
    const found = privacyIdeaFrom(server, options.release, temp.path)
    await setUp(found, options)
    const owned = stack.move()
    return Object.assign(found, { [Symbol.asyncDispose]: () => owned.disposeAsync() })
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** The master process and its worker. */
class Gunicorn implements AsyncDisposable {
  readonly #bin: string
  readonly #dir: string
  readonly port: number
  #child: ChildProcess | null = null
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL')

  constructor(bin: string, dir: string, port: number) {
    this.#bin = bin
    this.#dir = dir
    this.port = port
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  async start(): Promise<void> {
    const app = `privacyidea.app:create_app(config_name="production", config_file="${this.#dir}/pi.cfg")`
    const log = join(this.#dir, 'gunicorn.log')
    const args = [
      '-w',
      '1',
      '--threads',
      '4',
      '--keep-alive',
      '75',
      '-b',
      `127.0.0.1:${this.port}`,
      '--log-file',
      log,
      app,
    ]
    const gunicorn = [join(this.#bin, 'gunicorn'), ...args]
    const [program = '', ...rest] = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...gunicorn] : gunicorn
    const env = { ...process.env, PRIVACYIDEA_CONFIGFILE: join(this.#dir, 'pi.cfg') }
    const child = spawn(program, rest, { stdio: 'ignore', cwd: this.#dir, env })
    this.#child = child
    process.once('exit', this.#killAtExit)
    const deadlineMs = performance.now() + START_TIMEOUT_MS
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`privacyIDEA did not start: ${await readFile(log, 'utf8').catch(() => 'no log')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async #answers(): Promise<boolean> {
    return fetch(`http://127.0.0.1:${this.port}/token/`).then(
      ({ status }) => status === 401,
      () => false,
    )
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) return
    await this.signalWorkers('SIGCONT')
    this.#child = null
    process.removeListener('exit', this.#killAtExit)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGINT')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
  }

  async signalWorkers(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const children = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').catch(() => '')
    for (const pid of children.split(' ').filter((each) => each !== '')) process.kill(Number(pid), signal)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

function privacyIdeaFrom(
  server: Gunicorn,
  release: ReleaseName,
  dir: string,
): Omit<PrivacyIdea, typeof Symbol.asyncDispose> {
  const url = `http://127.0.0.1:${server.port}`
  let jwt: Promise<string> | null = null
  return {
    url,
    release,
    dir,
    scriptsDir: join(dir, 'scripts'),
    get pid() {
      return server.pid
    },
    ask: async (method, path, params) => {
      const logIn = (): Promise<string> =>
        asked(url, 'POST', '/auth', { username: 'admin', password: 'secret' }).then(
          (value) => (value as { token: string }).token,
        )
      jwt ??= logIn()
      try {
        return await asked(url, method, path, params, await jwt)
      } catch (thrown) {
        // The login has ended; nothing was done.
        if (!(thrown instanceof Error) || !thrown.message.includes(': 401 ')) throw thrown
        jwt = logIn()
        return asked(url, method, path, params, await jwt)
      }
    },
    stop: () => server.stop(),
    start: () => server.start(),
    pause: () => server.signalWorkers('SIGSTOP'),
    resume: () => server.signalWorkers('SIGCONT'),
  }
}

/** One request of the API; lists go in the body, also with DELETE. @returns `result.value`; fails with what the server said */
export async function asked(
  url: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  params: Record<string, unknown> = {},
  jwt = '',
): Promise<unknown> {
  const texts = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, String(value)]))
  const isBody = method === 'POST' || (method === 'DELETE' && Object.values(params).some(Array.isArray))
  const query = isBody ? '' : `?${new URLSearchParams(texts).toString()}`
  const response = await fetch(`${url}${path}${query}`, {
    method,
    headers: {
      ...(jwt === '' ? {} : { authorization: jwt }),
      ...(isBody ? { 'content-type': 'application/json' } : {}),
    },
    ...(isBody ? { body: JSON.stringify(params) } : {}),
  })
  const answer = await response.text()
  const { result } = JSON.parse(answer) as { result?: { status: boolean; value: unknown } }
  if (result?.status !== true) throw new Error(`${method} ${path}: ${response.status} ${answer}`)
  return result.value
}

async function setUp(pi: Pick<PrivacyIdea, 'ask' | 'release'>, { userStore }: PrivacyIdeaOptions): Promise<void> {
  const action = [...ACTIONS, ...(pi.release === '3.14' ? ACTIONS_3_14 : [])].join(', ')
  const fixed = { scope: 'admin', active: true, realm: '' }
  await pi.ask('POST', '/policy/admin', { ...fixed, adminuser: 'admin, lockstep', action })
  if (userStore === undefined) return
  await pi.ask('POST', '/resolver/ldap1', {
    type: 'ldapresolver',
    LDAPURI: userStore.url,
    LDAPBASE: userStore.peopleDn,
    BINDDN: userStore.adminDn,
    BINDPW: userStore.adminPassword,
    AUTHTYPE: 'Simple',
    LOGINNAMEATTRIBUTE: 'uid',
    LDAPSEARCHFILTER: '(uid=*)(objectClass=inetOrgPerson)',
    USERINFO: JSON.stringify({ username: 'uid', surname: 'sn', givenname: 'cn', email: 'mail' }),
    UIDTYPE: 'entryUUID',
    CACHE_TIMEOUT: '0',
    TIMEOUT: '5',
    NOREFERRALS: true,
  })
  await pi.ask('POST', '/realm/r1', { resolvers: 'ldap1' })
  await pi.ask('POST', '/defaultrealm/r1')
}
