import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'ldapts'
import { freePort } from '../free-port.ts'
import { runTool, runToolOk, type ToolResult } from '../run-tool.ts'
import * as files from './slapd-files.ts'
import type { SlapdOptions } from './slapd-files.ts'
import { makeTempDir } from '../temp-dir.ts'
import { makeCertificates } from '../test-certificates.ts'

export type { SlapdOptions }

export interface Credentials {
  readonly dn: string
  readonly password: string
}

/** A throw-away slapd on free ports of loopback, with its data in a folder of its own. Stopped by pid when disposed. */
export interface Slapd extends AsyncDisposable {
  readonly url: string
  readonly ldapsUrl: string
  /** Reaches the same server by an address that does not count as loopback, so that StartTLS is asked for. */
  readonly startTlsUrl: string
  readonly caFile: string
  readonly dir: string
  readonly base: string
  readonly peopleDn: string
  readonly policyDn: string
  readonly adminDn: string
  readonly adminPassword: string
  /** May write `pwdAccountLockedTime` and `description`, and read the rest. */
  readonly serviceDn: string
  readonly servicePassword: string
  /** As the service, with `manage` on the lock. Same password. */
  readonly manageDn: string
  /** May read only. Same password. */
  readonly readerDn: string
  readonly userPassword: string
  readonly admin: Credentials
  readonly pid: number
  userDn(uid: string): string
  /** SIGTERM, and waits for its end. The data stay. */
  stop(): Promise<void>
  /** Starts again on the same ports and data. */
  start(): Promise<void>
  /** SIGSTOP: connections are accepted by the kernel and nothing is answered. */
  pause(): void
  resume(): void
  /** True when the password is good and the account is not locked: exit 0; false for exit 49. */
  ldapwhoami(dn: string, password: string): Promise<boolean>
  /** Standard output of `ldapsearch -LLL -o ldif-wrap=no` as the administrator. */
  ldapsearch(...args: string[]): Promise<string>
  /** Feeds change records to `ldapmodify`; with arguments before them, as in `-a`. As the administrator by default. */
  ldapmodify(text: string, as?: Credentials, args?: readonly string[]): Promise<ToolResult>
}

const SLAPD = '/usr/sbin/slapd'
/** util-linux: ends the server when the test runner dies, however it dies. It becomes slapd, so the pid is slapd's. */
const SETPRIV = '/usr/bin/setpriv'
const MISSING =
  'slapd is not installed; install it with: apt-get install -y --no-install-recommends slapd ldap-utils slapd-contrib'
const START_TIMEOUT_MS = 300_000
/** Hundreds of thousands of entries of a benchmark take their time. */
const FILL_TIMEOUT_MS = 300_000
const STOP_TIMEOUT_MS = 10_000
const START_TRIES_MAX = 5
const POLL_MS = 5
const ANSWER_LENGTH_MAX = 4096

export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  if (!existsSync(SLAPD)) throw new Error(MISSING)
  const stack = new AsyncDisposableStack()
  try {
    const temp = stack.use(await makeTempDir('slapd'))
    const { caFile } = await writeFiles(temp.path, options)
    const server = await startOnFreePorts(temp.path)
    stack.defer(() => server.kill())
    const owned = stack.move()
    return slapdFrom(server, temp.path, caFile, () => owned.disposeAsync())
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

async function writeFiles(dir: string, options: SlapdOptions): Promise<{ caFile: string }> {
  await Promise.all(['db', 'other', 'tls'].map((name) => mkdir(join(dir, name))))
  const tls = await makeCertificates(join(dir, 'tls'), options.certificate)
  const conf = join(dir, 'slapd.conf')
  const ldif = options.content ?? join(dir, 'first.ldif')
  await writeFile(conf, files.slapdConf(dir, tls, options))
  if (options.content === undefined && options.dataOf === undefined) await writeFile(ldif, files.slapdLdif(options))
  else if (options.dataOf !== undefined)
    await runToolOk('/usr/sbin/slapcat', ['-f', join(options.dataOf, 'slapd.conf'), '-l', ldif], { missing: MISSING })
  await runToolOk('/usr/sbin/slapadd', ['-q', '-w', '-f', conf, '-l', ldif], {
    missing: MISSING,
    timeoutMs: FILL_TIMEOUT_MS,
  })
  return { caFile: tls.caFile }
}

/** Another process may take a port between finding it and slapd's listening on it. */
async function startOnFreePorts(dir: string): Promise<SlapdProcess> {
  for (let tries = 1; ; tries++) {
    const server = new SlapdProcess(dir, await freePort(), await freePort())
    try {
      await server.start()
      return server
    } catch (error) {
      await server.kill()
      if (tries >= START_TRIES_MAX) throw error
    }
  }
}

/** The child process; it may be started again after it was stopped. */
class SlapdProcess {
  readonly #dir: string
  readonly port: number
  readonly securePort: number
  #child: ChildProcess | null = null
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL')

  constructor(dir: string, port: number, securePort: number) {
    this.#dir = dir
    this.port = port
    this.securePort = securePort
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  async start(): Promise<void> {
    if (this.#child !== null) return
    const urls = `ldap://127.0.0.1:${this.port}/ ldaps://127.0.0.1:${this.securePort}/`
    const slapd = [SLAPD, '-d', '0', '-f', join(this.#dir, 'slapd.conf'), '-h', urls]
    const [program = SLAPD, ...args] = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...slapd] : slapd
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    process.once('exit', this.#killAtExit)
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(0, ANSWER_LENGTH_MAX)))
    await this.#untilAnswers(child, () => said)
  }

  async #untilAnswers(child: ChildProcess, said: () => string): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS
    while (!(await answers(this.port))) {
      if (child.exitCode !== null) throw new Error(`slapd ended with ${child.exitCode}: ${said()}`)
      if (performance.now() > deadlineMs) throw new Error(`slapd did not answer in ${START_TIMEOUT_MS} ms: ${said()}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    if (child.exitCode !== null) throw new Error('another server answered on the port')
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

  kill(): Promise<void> {
    return this.stop('SIGKILL')
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }
}

async function answers(port: number): Promise<boolean> {
  const client = new Client({ url: `ldap://127.0.0.1:${port}`, connectTimeout: 10_000, timeout: 10_000 })
  try {
    await client.search('', { scope: 'base', attributes: ['1.1'] })
    return true
  } catch {
    return false
  } finally {
    await client.unbind()
  }
}

function slapdFrom(server: SlapdProcess, dir: string, caFile: string, dispose: () => Promise<void>): Slapd {
  const admin = { dn: files.ADMIN_DN, password: files.ADMIN_PASSWORD }
  const url = `ldap://127.0.0.1:${server.port}`
  const auth = (who: Credentials) => ['-x', '-H', url, '-D', who.dn, '-w', who.password]
  return {
    url,
    ldapsUrl: `ldaps://localhost:${server.securePort}`,
    startTlsUrl: `ldap://0.0.0.0:${server.port}`,
    caFile,
    dir,
    base: files.BASE,
    peopleDn: `ou=people,${files.BASE}`,
    policyDn: files.POLICY_DN,
    adminDn: admin.dn,
    adminPassword: admin.password,
    serviceDn: files.SERVICE_DN,
    servicePassword: files.SERVICE_PASSWORD,
    manageDn: files.MANAGE_DN,
    readerDn: files.READER_DN,
    userPassword: files.USER_PASSWORD,
    admin,
    get pid() {
      return server.pid
    },
    userDn: (uid) => `uid=${uid},ou=people,${files.BASE}`,
    stop: () => server.stop(),
    start: () => server.start(),
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    ldapwhoami: async (dn, password) => {
      const { code, stderr } = await runTool('ldapwhoami', auth({ dn, password }), { missing: MISSING })
      if (code !== 0 && code !== 49) throw new Error(`ldapwhoami failed with ${code}: ${stderr}`)
      return code === 0
    },
    ldapsearch: async (...args) => {
      const fixed = [...auth(admin), '-LLL', '-o', 'ldif-wrap=no']
      return (await runToolOk('ldapsearch', [...fixed, ...args], { missing: MISSING })).stdout
    },
    ldapmodify: (text, as = admin, args = []) =>
      runTool('ldapmodify', [...auth(as), ...args], { input: text, missing: MISSING }),
    [Symbol.asyncDispose]: dispose,
  }
}
