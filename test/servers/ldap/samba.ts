import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'ldapts'
import { eventually } from '../eventually.ts'
import { sidText } from '../../../src/directory/protocol/sid.ts'
import { runTool, runToolOk, type ToolResult } from '../run-tool.ts'
import type { Credentials } from './slapd.ts'
import { makeTempDir } from '../temp-dir.ts'
import { makeCertificates } from '../test-certificates.ts'

/** A throw-away Samba AD DC at an address of its own (127.x.y.z, ports 389 and 636). Stopped by pid when disposed. */
export interface Samba extends AsyncDisposable {
  readonly address: string
  /** With TLS. */
  readonly url: string
  /** The kind of directory, as the configuration says it. */
  readonly directoryLines: readonly string[]
  /** Secured by StartTLS before the bind. */
  readonly startTlsUrl: string
  readonly caFile: string
  readonly dir: string
  readonly base: string
  readonly peopleDn: string
  readonly serviceDn: string
  readonly servicePassword: string
  readonly userPassword: string
  readonly admin: Credentials
  readonly pid: number
  userDn(login: string): string
  /** SIGTERM, and waits for its end. The data stay. */
  stop(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP: connections are accepted by the kernel and nothing is answered. */
  pause(): void
  resume(): void
  /** What a bind says: '' when it is good, else the server's words, as in `… data 533, v1db1`. */
  bind(name: string, password: string): Promise<string>
  /** Standard output of `ldapsearch -LLL -o ldif-wrap=no` as the administrator. */
  ldapsearch(...args: string[]): Promise<string>
  /** Reads the `userAccountControl` of a user again and again on one connection. */
  watch(login: string): Promise<{ control(): Promise<string> } & AsyncDisposable>
  /** Feeds change records to `ldapmodify`, as the administrator by default. */
  ldapmodify(text: string, as?: Credentials, args?: readonly string[]): Promise<ToolResult>
  /** The plain values of an attribute of a user, sorted. */
  values(login: string, attribute: string): Promise<string[]>
  /** `samba-tool` on the data of the server. */
  tool(...args: string[]): Promise<string>
  /** Gives the service the rights of docs/how-to/active-directory.md, and no other. */
  delegate(): Promise<void>
}

export interface SambaOptions {
  /** Users `u1` to `uN`, each with the password `User-Passw0rd!`. One of few numbers: each has a template. */
  readonly users?: number
  /** False: the service has no rights yet but what everybody has. */
  readonly delegated?: boolean
}

/** The first time a domain is provisioned. */
export const SAMBA_TIMEOUT_MS = 120_000
const BASE = 'DC=example,DC=org'
const SAMBA = '/usr/sbin/samba'
const SETPRIV = '/usr/bin/setpriv'
const SCRIPT = fileURLToPath(new URL('samba.sh', import.meta.url))
const START_TIMEOUT_MS = 300_000
const STOP_TIMEOUT_MS = 10_000
const ADDRESS_TRIES_MAX = 50
const USERS = 60
const MISSING = 'OpenLDAP’s tools are not installed; install them with: sh scripts/ensure-packages.sh'

export async function startSamba(options: SambaOptions = {}): Promise<Samba> {
  const stack = new AsyncDisposableStack()
  try {
    const temp = stack.use(await makeTempDir('samba'))
    const address = await freeAddress()
    await runToolOk('sh', [SCRIPT, temp.path, address, String(options.users ?? USERS)], { timeoutMs: SAMBA_TIMEOUT_MS })
    const tls = await makeCertificates(join(temp.path, 'tls'), 'good', [`IP:${address}`])
    await chmod(tls.keyFile, 0o600)
    const server = stack.use(new SambaProcess(temp.path, address))
    await server.start()
    const found = sambaFrom(server, temp.path, tls.caFile)
    if (options.delegated !== false) await found.delegate()
    const owned = stack.move()
    return Object.assign(found, { [Symbol.asyncDispose]: () => owned.disposeAsync() })
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** An address of loopback on which nobody listens at 389. */
async function freeAddress(): Promise<string> {
  for (let tries = 0; tries < ADDRESS_TRIES_MAX; tries++) {
    const part = (): number => 1 + Math.floor(Math.random() * 254)
    const address = `127.${part()}.${part()}.${part()}`
    if (await canListen(address)) return address
  }
  throw new Error('no address of loopback has port 389 free; run the tests as root')
}

function canListen(address: string): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port: 389, host: address, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

class SambaProcess implements AsyncDisposable {
  readonly address: string
  readonly #dir: string
  #child: ChildProcess | null = null
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL')

  constructor(dir: string, address: string) {
    this.#dir = dir
    this.address = address
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  async start(): Promise<void> {
    const command = [SAMBA, '-F', '--no-process-group', '-M', 'single', '-s', join(this.#dir, 'etc/smb.conf')]
    const [program = '', ...args] = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...command] : command
    const child = spawn(program, args, { stdio: 'ignore', cwd: this.#dir })
    this.#child = child
    process.once('exit', this.#killAtExit)
    const log = join(this.#dir, 'log/log.samba')
    await eventually(
      'Samba answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${await readFile(log, 'utf8').catch(() => 'no log')}`)
        return (await connects(this.address)) && (await answers(this.address))
      },
      START_TIMEOUT_MS,
    )
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    process.removeListener('exit', this.#killAtExit)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
  }
}

function connects(address: string): Promise<boolean> {
  const socket = connect(389, address)
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function answers(address: string): Promise<boolean> {
  const client = new Client({ url: `ldap://${address}`, connectTimeout: 10_000, timeout: 10_000 })
  try {
    await client.search('', { scope: 'base', attributes: ['supportedControl'] })
    return true
  } catch {
    return false
  } finally {
    await client.unbind()
  }
}

function sambaFrom(server: SambaProcess, dir: string, caFile: string): Samba {
  const { address } = server
  const admin = { dn: `CN=Administrator,CN=Users,${BASE}`, password: 'Adm1n-Passw0rd!' }
  const ldapsUrl = `ldaps://${address}`
  const env = { LDAPTLS_CACERT: caFile }
  const auth = (who: Credentials): string[] => ['-x', '-H', ldapsUrl, '-D', who.dn, '-w', who.password]
  const serviceDn = `CN=lockstep,OU=services,${BASE}`
  const peopleDn = `OU=people,${BASE}`
  const tool = async (...args: string[]): Promise<string> => {
    return (await runToolOk('samba-tool', [...args, '-s', join(dir, 'etc/smb.conf')])).stdout
  }
  const ldapsearch = async (...args: string[]): Promise<string> => {
    const fixed = [...auth(admin), '-LLL', '-o', 'ldif-wrap=no']
    return (await runToolOk('ldapsearch', [...fixed, ...args], { missing: MISSING, env })).stdout
  }
  return {
    address,
    url: ldapsUrl,
    directoryLines: ['type: active-directory', `ca: ${caFile}`],
    startTlsUrl: `ldap://${address}`,
    caFile,
    dir,
    base: BASE,
    peopleDn,
    serviceDn,
    servicePassword: 'Serv1ce-Passw0rd!',
    userPassword: 'User-Passw0rd!',
    admin,
    get pid() {
      return server.pid
    },
    userDn: (login) => `CN=${login},${peopleDn}`,
    stop: () => server.stop(),
    start: () => server.start(),
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    bind: async (name, password) => {
      const own = ['-x', '-H', ldapsUrl, '-D', name, '-w', password, '-s', 'base', '-b', '', 'serverName']
      const { code, stderr } = await runTool('ldapsearch', own, { missing: MISSING, env })
      return code === 0 ? '' : stderr
    },
    ldapsearch,
    watch: (login) => watchControl(ldapsUrl, caFile, admin, `CN=${login},${peopleDn}`),
    values: async (login, attribute) => {
      const ldif = await ldapsearch('-b', `CN=${login},${peopleDn}`, '-s', 'base', attribute)
      const lines = ldif.split('\n').filter((line) => line.startsWith(`${attribute}: `))
      return lines.map((line) => line.slice(attribute.length + 2)).toSorted()
    },
    ldapmodify: (text, as = admin, args = []) =>
      runTool('ldapmodify', [...auth(as), ...args], { input: text, missing: MISSING, env }),
    tool,
    delegate: () => delegateTo(serviceDn, peopleDn, ldapsearch, tool),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function watchControl(
  url: string,
  caFile: string,
  as: Credentials,
  dn: string,
): Promise<{ control(): Promise<string> } & AsyncDisposable> {
  const client = new Client({ url, tlsOptions: { ca: await readFile(caFile) } })
  await client.bind(as.dn, as.password)
  return {
    control: async () => {
      const { searchEntries } = await client.search(dn, { scope: 'base', attributes: ['userAccountControl'] })
      return String(searchEntries[0]?.['userAccountControl'])
    },
    [Symbol.asyncDispose]: () => client.unbind(),
  }
}

/** The line of the manual, with the SID of the service. */
async function delegateTo(
  serviceDn: string,
  peopleDn: string,
  ldapsearch: Samba['ldapsearch'],
  tool: Samba['tool'],
): Promise<void> {
  const page = await readFile(
    fileURLToPath(new URL('../../../docs/how-to/active-directory.md', import.meta.url)),
    'utf8',
  )
  const sddl = /--sddl="([^"]+)"/.exec(page)?.[1]
  const sid = sidText(
    Buffer.from(/objectSid:: (\S+)/.exec(await ldapsearch('-b', serviceDn, 'objectSid'))?.[1] ?? '', 'base64'),
  )
  if (sddl === undefined || sid === null) throw new Error('no line in the manual, or no SID of the service')
  await tool(
    'dsacl',
    'set',
    `--objectdn=${peopleDn}`,
    '--action=allow',
    `--sddl=${sddl.replaceAll(';SID)', `;${sid})`)}`,
  )
}
