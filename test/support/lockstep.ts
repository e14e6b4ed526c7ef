import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { TokenEventKind } from '../../src/core/events/event.ts'
import { eventually } from '../servers/eventually.ts'
import { KEEPS_FOLDERS, makeTempDir } from '../servers/temp-dir.ts'
import { documentIn } from './json-contract.ts'

/** The program as a user runs it: the built bundle, its daemon as a child process, the real shims. */

const LOCKSTEP = fileURLToPath(new URL('../../bin/lockstep', import.meta.url))
const RUN_TIMEOUT_MS = 180_000
const READY_TIMEOUT_MS = 120_000
/** More than the daemon takes to give up by itself. */
const STOP_TIMEOUT_MS = 60_000
const LOG_LENGTH_MAX = 1_000_000
export const HOOK_SECRET = 'hook-secret-of-the-tests'

/** What it takes of a directory server; test/servers/ldap/slapd.ts has it. */
export interface DirectoryServer {
  readonly url: string
  readonly serviceDn: string
  readonly servicePassword: string
  readonly peopleDn: string
  /** Lines of the directory's section that say what kind it is; OpenLDAP's where left out. */
  readonly directoryLines?: readonly string[]
}

const OPENLDAP_LINES = [
  'type: openldap',
  'userFilter: (uid={login})',
  'serialAttribute: description',
  "serialFormat: 'privacyIDEA:{serial}'",
]

export interface LockstepOptions {
  /** Further lines of the YAML, at its end. */
  readonly yaml?: string
  /** The servers of the directory, where they are several. */
  readonly urls?: readonly string[]
  /** A further directory `legacy`, whose service has the same password. */
  readonly legacy?: DirectoryServer
  /** One further line of the directory's section. */
  readonly directory?: string
  readonly realms?: string
  readonly breaker?: string
  /** The section `guards` as a whole; the breaker is then part of it. */
  readonly guards?: string
  /** The webhook's port; none when left out. */
  readonly httpPort?: number
  /** Runs everything as this user and group; the tests must run as root. */
  readonly uid?: number
  /** Another program than bin/lockstep. */
  readonly program?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Other places than below the instance's own folder. */
  readonly storeFile?: string
  readonly ldifDir?: string
  readonly spoolDir?: string
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
  /** What `data` is of the document on standard output; fails where that is not what docs/reference/json.md promises. */
  json<Shape>(): Shape
  /** The whole document, likewise. */
  document<Shape>(): Shape
}

export interface SpooledEvent {
  readonly kind: TokenEventKind
  readonly args: readonly string[]
  /** When the shim took it. */
  readonly takenAtMs: number
}

export interface Lockstep extends AsyncDisposable {
  readonly dir: string
  readonly configFile: string
  readonly storeFile: string
  readonly spoolDir: string
  readonly ldifDir: string
  readonly shimDir: string
  /** The daemon's process id; 0 while none runs. */
  readonly pid: number
  /** For the next start. */
  editConfig(edit: (yaml: string) => string): void
  /** What the daemons said on stderr so far. */
  log(): string
  /** Starts the daemon and waits until it is ready. */
  serve(): Promise<void>
  /** Starts the daemon, or a drain in its place, and does not wait. */
  startServing(command?: 'serve' | 'drain'): ChildProcess
  /** Another process of the same instance; the test ends it. */
  startBeside(...args: readonly string[]): ChildProcess
  untilReady(): Promise<void>
  /** SIGTERM; the daemon's exit code and how long it took. */
  stop(): Promise<{ code: number | null; ms: number }>
  /** SIGKILL. */
  kill9(): Promise<void>
  restart(): Promise<void>
  cli(...args: readonly string[]): Promise<Ran>
  /** As `cli`, with these variables as well. */
  cliWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran>
  /** As `cli` with `--json`; fails unless it exits with 0. */
  json<Shape>(...args: readonly string[]): Promise<Shape>
  drain(...args: readonly string[]): Promise<Ran>
  /** Runs the real shim. */
  shim(kind: TokenEventKind, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>
  /** Puts an event into the spool as the shim does, and returns its id. */
  spool(event: SpooledEvent): string
  /** Everything that came in was tried; with nothing left that is due. */
  settled(deadlineMs?: number): Promise<void>
  /** Names in one of the LDIF folders, sorted, as `ls` shows them: without folders and hidden files. */
  ldif(folder: string): string[]
}

export async function startLockstep(server: DirectoryServer, options: LockstepOptions = {}): Promise<Lockstep> {
  const instance = await createLockstep(server, options)
  try {
    await instance.serve()
    return instance
  } catch (error) {
    await instance[Symbol.asyncDispose]()
    throw error
  }
}

/** Configuration, secrets and shims; no daemon yet. */
export async function createLockstep(server: DirectoryServer, options: LockstepOptions = {}): Promise<Lockstep> {
  const temp = await makeTempDir('e2e')
  await chmod(temp.path, 0o711)
  const instance = new Instance(temp, options)
  try {
    instance.writeConfig(server)
    const ran = await instance.cli('shims', 'install', instance.shimDir)
    if (ran.code !== 0) throw new Error(`shims install failed with ${ran.code}: ${ran.stderr}`)
    return instance
  } catch (error) {
    await instance[Symbol.asyncDispose]()
    throw error
  }
}

class Instance implements Lockstep {
  readonly dir: string
  readonly configFile: string
  readonly storeFile: string
  readonly spoolDir: string
  readonly ldifDir: string
  readonly shimDir: string
  readonly #temp: AsyncDisposable & { readonly path: string }
  readonly #options: LockstepOptions
  #daemon: ChildProcess | null = null
  #logText = ''
  /** Where the present daemon's words begin. */
  #logFrom = 0
  #spooled = 0
  readonly #killAtExit = (): void => void this.#daemon?.kill('SIGKILL')

  constructor(temp: AsyncDisposable & { readonly path: string }, options: LockstepOptions) {
    this.#temp = temp
    this.#options = options
    this.dir = join(temp.path, 'lockstep')
    this.configFile = join(this.dir, 'lockstep.yaml')
    this.storeFile = options.storeFile ?? join(this.dir, 'state', 'lockstep.db')
    this.spoolDir = options.spoolDir ?? join(this.dir, 'spool')
    this.ldifDir = options.ldifDir ?? join(this.dir, 'ldif')
    this.shimDir = join(this.dir, 'scripts')
    process.once('exit', this.#killAtExit)
  }

  writeConfig(server: DirectoryServer): void {
    const { uid } = this.#options
    for (const path of [this.dir, this.shimDir]) {
      mkdirSync(path, { mode: 0o755 })
      if (uid !== undefined) chownSync(path, uid, uid)
    }
    const secrets = { 'ldap-password': server.servicePassword, 'hook-secret': HOOK_SECRET }
    for (const [name, secret] of Object.entries(secrets)) {
      writeFileSync(join(this.dir, name), secret, { mode: 0o600 })
      if (uid !== undefined) chownSync(join(this.dir, name), uid, uid)
    }
    writeFileSync(this.configFile, this.#yaml(server), { mode: 0o644 })
  }

  editConfig(edit: (yaml: string) => string): void {
    writeFileSync(this.configFile, edit(readFileSync(this.configFile, 'utf8')))
  }

  #yaml(server: DirectoryServer): string {
    const { httpPort, realms = '{ r1: corp }', breaker = 'null', yaml = '', directory = '' } = this.#options
    const { urls = [server.url] } = this.#options
    const { guards = `{ breaker: ${breaker} }` } = this.#options
    const http =
      httpPort === undefined
        ? ''
        : `  http: { listen: '127.0.0.1:${httpPort}', hookSecretFile: ${join(this.dir, 'hook-secret')} }\n`
    return `directories:
  corp:
    ${(server.directoryLines ?? OPENLDAP_LINES).join('\n    ')}
    urls: [${urls.map((url) => `'${url}'`).join(', ')}]
    bindDn: '${server.serviceDn}'
    bindPasswordFile: ${join(this.dir, 'ldap-password')}
    base: '${server.peopleDn}'
${directory === '' ? '' : `    ${directory}\n`}${this.#legacyYaml()}realms: ${realms}
guards: ${guards}
intake:
  spool: ${this.spoolDir}
${http}store: sqlite:${this.storeFile}
ldif: { dir: ${this.ldifDir} }
${yaml}`
  }

  #legacyYaml(): string {
    const { legacy } = this.#options
    if (legacy === undefined) return ''
    return `  legacy:
    type: openldap
    urls: ['${legacy.url}']
    bindDn: '${legacy.serviceDn}'
    bindPasswordFile: ${join(this.dir, 'ldap-password')}
    base: '${legacy.peopleDn}'
    userFilter: (uid={login})
    serialAttribute: description
    serialFormat: 'privacyIDEA:{serial}'
    operationTimeout: 1s
`
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0
  }

  log(): string {
    return this.#logText
  }

  startServing(command: 'serve' | 'drain' = 'serve'): ChildProcess {
    if (this.#daemon !== null) throw new Error('a daemon of this instance runs already')
    const child = this.#spawn([command], {})
    this.#daemon = child
    this.#logFrom = this.#logText.length
    const take = (chunk: Buffer): void => {
      if (this.#logText.length < LOG_LENGTH_MAX) this.#logText += chunk.toString()
      if (KEEPS_FOLDERS) appendFileSync(join(this.dir, 'daemon.log'), chunk)
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    return child
  }

  startBeside(...args: readonly string[]): ChildProcess {
    return this.#spawn(args, {})
  }

  async untilReady(): Promise<void> {
    const isReady = (): boolean => /^info ready /m.test(this.#logText.slice(this.#logFrom))
    const child = this.#daemon
    const ended = (): boolean => child === null || child.exitCode !== null || child.signalCode !== null
    await eventually('the daemon is ready', () => isReady() || ended(), READY_TIMEOUT_MS)
    if (!isReady()) throw new Error(`the daemon ended: ${this.#logText.slice(this.#logFrom)}`)
  }

  async serve(): Promise<void> {
    this.startServing()
    await this.untilReady()
  }

  async stop(): Promise<{ code: number | null; ms: number }> {
    return this.#end('SIGTERM')
  }

  async kill9(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.serve()
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ code: number | null; ms: number }> {
    const child = this.#daemon
    const startedMs = performance.now()
    this.#daemon = null
    if (child === null) return { code: null, ms: 0 }
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      await closed
      clearTimeout(timer)
    }
    return { code: child.exitCode, ms: performance.now() - startedMs }
  }

  async cli(...args: readonly string[]): Promise<Ran> {
    return finished(this.#spawn(args, {}), args)
  }

  async cliWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
    return finished(this.#spawn(args, env), args)
  }

  async json<Shape>(...args: readonly string[]): Promise<Shape> {
    const ran = await this.cli(...args, '--json')
    if (ran.code !== 0) throw new Error(`lockstep ${args.join(' ')} ended with ${ran.code}: ${ran.stderr}${ran.stdout}`)
    return ran.json<Shape>()
  }

  drain(...args: readonly string[]): Promise<Ran> {
    return this.cli('drain', ...args)
  }

  shim(kind: TokenEventKind, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    return finished(this.#start([join(this.shimDir, `lockstep-${kind}`), ...args], env))
  }

  spool({ kind, args, takenAtMs }: SpooledEvent): string {
    const number = String(++this.#spooled).padStart(7, '0')
    const name = `${number}-${args.length}-${randomUUID()}`
    const temporary = join(this.spoolDir, 'tmp', name)
    writeFileSync(temporary, [kind, ...args].map((text) => `${text}\0`).join(''), { mode: 0o644 })
    utimesSync(temporary, takenAtMs / 1000, takenAtMs / 1000)
    renameSync(temporary, join(this.spoolDir, 'new', name))
    return name
  }

  /** First the spool, then the store: what left the spool is in the store. */
  async settled(deadlineMs?: number): Promise<void> {
    const isIdle = (): boolean => {
      if (readdirSync(join(this.spoolDir, 'new')).length > 0) return false
      using store = openReadOnly(this.storeFile)
      const row = store
        .prepare(
          `select (select count(*) from event where state = 'waiting' and (attempts = 0 or next_try_ms <= ?)) +
             (select count(*) from queue where due_ms <= ? or lease_owner is not null) as n`,
        )
        .get(Date.now(), Date.now())
      return row?.['n'] === 0
    }
    await eventually('nothing is due', isIdle, deadlineMs)
  }

  ldif(folder: string): string[] {
    const entries = readdirSync(join(this.ldifDir, folder), { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isFile() && !entry.name.startsWith('.') ? [entry.name] : [])).toSorted()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.removeListener('exit', this.#killAtExit)
    await this.#end('SIGKILL')
    await this.#temp[Symbol.asyncDispose]()
  }

  #spawn(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const program = this.#options.program ?? [LOCKSTEP]
    return this.#start([...program, '--config', this.configFile, ...args], env)
  }

  #start([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const { uid } = this.#options
    const { LOCKSTEP_CONFIG: _config, LOCKSTEP_SPOOL: _spool, NOTIFY_SOCKET: _socket, ...inherited } = process.env
    return spawn(program, args, {
      cwd: '/',
      env: { ...inherited, ...this.#options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
  }
}

/** Disposed at the end of its block, so that no file stays open. */
export function openReadOnly(file: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 1_000 })
  return Object.assign(database, { [Symbol.dispose]: () => database.close() })
}

export function readLdif(instance: Lockstep, path: string): string {
  return readFileSync(join(instance.ldifDir, path), 'utf8')
}

async function finished(child: ChildProcess, args: readonly string[] = []): Promise<Ran> {
  const startedMs = performance.now()
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  const [code, ms] = await new Promise<[number, number]>((resolve, reject) => {
    let endedMs = 0
    child.once('error', reject)
    child.once('exit', () => (endedMs = performance.now()))
    child.once('close', (exit) => resolve([exit ?? -1, endedMs - startedMs]))
  })
  clearTimeout(timer)
  const document = <Shape>(): Shape => documentIn(stdout, args, code) as Shape
  return { code, stdout, stderr, ms, document, json: <Shape>() => document<{ data: Shape }>().data }
}
