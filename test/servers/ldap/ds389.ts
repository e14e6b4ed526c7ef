import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Client } from 'ldapts'
import * as files from './ds389-files.ts'
import { MISSING, NS_SLAPD, templateOf } from './ds389-template.ts'
import { freePort } from '../free-port.ts'
import { runTool, runToolOk, type ToolResult } from '../run-tool.ts'
import { makeTempDir } from '../temp-dir.ts'

export interface Ds389Options {
  readonly layout?: files.Layout
  /** Change records that the administrator applies once the server runs. */
  readonly setUp?: string
  /** Edits dse.ldif before the first start; for plugins, which a running server does not switch. */
  readonly editDse?: (dse: string) => string
}

export interface Credentials {
  readonly dn: string
  readonly password: string
}

/** A throw-away 389-DS on free ports of loopback, as the user that runs the tests. Stopped by pid when disposed. */
export interface Ds389 extends AsyncDisposable, files.Names {
  readonly layout: files.Layout
  readonly url: string
  readonly ldapsUrl: string
  /** Reaches the same server by a name that does not count as loopback, so that StartTLS is asked for. */
  readonly caFile: string
  readonly dir: string
  readonly base: string
  readonly servicePassword: string
  readonly userPassword: string
  readonly admin: Credentials
  readonly pid: number
  userDn(uid: string): string
  stop(): Promise<void>
  start(): Promise<void>
  pause(): void
  resume(): void
  /** Binds with the stock tool. @returns its exit code, which is the LDAP result, and what it said */
  bind(dn: string, password: string): Promise<{ code: number; said: string }>
  /** Standard output of `ldapsearch -LLL -o ldif-wrap=no` as the administrator. */
  ldapsearch(...args: string[]): Promise<string>
  /** As the administrator by default. */
  ldapmodify(text: string, as?: Credentials, args?: readonly string[]): Promise<ToolResult>
  /** As the administrator; fails unless all of it was done. */
  edit(text: string): Promise<void>
}

/** util-linux: ends the server when the test runner dies, however it dies. It becomes ns-slapd, so the pid is its own. */
const SETPRIV = '/usr/bin/setpriv'
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000
const START_TRIES_MAX = 5
const POLL_MS = 10
const ANSWER_LENGTH_MAX = 4096

/** The first one of a layout imports its users, which takes some seconds. */
export async function startDs389(options: Ds389Options = {}): Promise<Ds389> {
  if (!existsSync(NS_SLAPD)) throw new Error(MISSING)
  const { layout = 'plain' } = options
  const stack = new AsyncDisposableStack()
  try {
    const template = await templateOf(layout)
    const temp = stack.use(await makeTempDir('ds389'))
    const dir = join(temp.path, 'instance')
    await cp(template, dir, { recursive: true, preserveTimestamps: true })
    for (const name of await readdir(join(dir, 'db'))) {
      if (/^(?:__db\.\d+|guardian)$/.test(name)) await rm(join(dir, 'db', name))
    }
    const name = basename(temp.path)
    await rename(join(dir, 'etc'), join(dir, name))
    stack.defer(() => rm(`/dev/shm/sem.${name}.stats`, { force: true }))
    const server = await startOnFreePorts(dir, name, options.editDse ?? ((dse) => dse))
    stack.defer(() => server.stop('SIGKILL'))
    const found = ds389From(server, dir, layout)
    if (options.setUp !== undefined) await found.edit(options.setUp)
    const owned = stack.move()
    return Object.assign(found, { [Symbol.asyncDispose]: () => owned.disposeAsync() })
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** Another process may take a port between finding it and the server's listening on it. */
async function startOnFreePorts(dir: string, name: string, editDse: (dse: string) => string): Promise<Ds389Process> {
  const madeAt = await readFile(join(dir, 'made-at'), 'utf8')
  const file = join(dir, name, 'dse.ldif')
  const first = await readFile(file, 'utf8')
  for (let tries = 1; ; tries++) {
    const ports = { plain: await freePort(), secure: await freePort() }
    await writeFile(file, editDse(files.relocated(first, madeAt, dir, name, ports)))
    const server = new Ds389Process(dir, name, ports)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop('SIGKILL')
      if (tries >= START_TRIES_MAX) throw error
    }
  }
}

/** The child process; it may be started again after it was stopped. */
class Ds389Process {
  readonly #dir: string
  readonly #name: string
  readonly ports: { readonly plain: number; readonly secure: number }
  #child: ChildProcess | null = null
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL')

  constructor(dir: string, name: string, ports: { readonly plain: number; readonly secure: number }) {
    this.#dir = dir
    this.#name = name
    this.ports = ports
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  async start(): Promise<void> {
    const args = [NS_SLAPD, '-D', join(this.#dir, this.#name), '-i', join(this.#dir, 'run', 'slapd.pid'), '-d', '0']
    const child = spawn(SETPRIV, ['--pdeathsig', 'KILL', ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    process.once('exit', this.#killAtExit)
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      if (said.length < ANSWER_LENGTH_MAX) said += chunk.toString()
    })
    child.once('error', (error) => (said += error.message))
    const deadlineMs = performance.now() + START_TIMEOUT_MS
    while (!(await answers(this.ports.plain)) || !(await answers(this.ports.secure, 'ldaps'))) {
      if (child.exitCode !== null)
        throw new Error(`ns-slapd ended with ${child.exitCode}: ${said}${await this.#errors()}`)
      if (performance.now() > deadlineMs) throw new Error(`ns-slapd did not answer: ${said}${await this.#errors()}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    if (child.exitCode !== null) throw new Error('another server answered on the port')
  }

  async #errors(): Promise<string> {
    const log = await readFile(join(this.#dir, 'log', 'errors'), 'utf8').catch(() => '')
    return log.slice(-ANSWER_LENGTH_MAX)
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    process.removeListener('exit', this.#killAtExit)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }
}

async function answers(port: number, scheme: 'ldap' | 'ldaps' = 'ldap'): Promise<boolean> {
  const tlsOptions = scheme === 'ldaps' ? { tlsOptions: { rejectUnauthorized: false } } : {}
  const client = new Client({
    url: `${scheme}://127.0.0.1:${port}`,
    connectTimeout: 1000,
    timeout: 1000,
    ...tlsOptions,
  })
  try {
    await client.search('', { scope: 'base', attributes: ['1.1'] })
    return true
  } catch {
    return false
  } finally {
    await client.unbind()
  }
}

function ds389From(server: Ds389Process, dir: string, layout: files.Layout): Omit<Ds389, typeof Symbol.asyncDispose> {
  const admin = { dn: files.ADMIN_DN, password: files.ADMIN_PASSWORD }
  const url = `ldap://127.0.0.1:${server.ports.plain}`
  const auth = (who: Credentials) => ['-x', '-H', url, '-D', who.dn, '-w', who.password]
  const names = files.namesOf(layout)
  const ldapmodify = (text: string, as: Credentials = admin, args: readonly string[] = []) =>
    runTool('ldapmodify', [...auth(as), ...args], { input: text, missing: MISSING })
  return {
    ...names,
    layout,
    url,
    ldapsUrl: `ldaps://localhost:${server.ports.secure}`,
    caFile: join(dir, 'tls', 'ca.pem'),
    dir,
    base: files.BASE,
    servicePassword: files.SERVICE_PASSWORD,
    userPassword: files.USER_PASSWORD,
    admin,
    get pid() {
      return server.pid
    },
    userDn: (uid) => `uid=${uid},${names.peopleDn}`,
    stop: () => server.stop(),
    start: () => server.start(),
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    bind: async (dn, password) => {
      const { code, stderr } = await runTool('ldapwhoami', auth({ dn, password }), { missing: MISSING })
      return { code, said: stderr }
    },
    ldapsearch: async (...args) => {
      const fixed = [...auth(admin), '-LLL', '-o', 'ldif-wrap=no']
      return (await runToolOk('ldapsearch', [...fixed, ...args], { missing: MISSING })).stdout
    },
    ldapmodify,
    edit: async (text) => {
      const { code, stderr } = await ldapmodify(text)
      if (code !== 0) throw new Error(`ldapmodify: ${code} ${stderr}`)
    },
  }
}
