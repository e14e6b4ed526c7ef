import type { Modification } from '../../core/account/state.ts'
import type { Socket } from 'node:net'
import {
  Attribute,
  Change as LdapChange,
  Client,
  PasswordPolicyControl,
  PresenceFilter,
  ResultCodeError,
  type Control,
  type Entry,
  type Filter,
} from 'ldapts'
import { isWindowsName } from '../../core/settings/bind-name.ts'
import { TYPE_TRAITS } from '../../core/settings/directory-type.ts'
import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { AnswerTooLarge, limitAnswers, type AnswerLimits } from './answer-limits.ts'
import { WHO_AM_I_OID } from '../protocol/controls.ts'
import { refuseCutAnswers } from './cut-answers.ts'
import { valuesIn } from '../protocol/entry.ts'
import { errorOfResult, resultCodeOf, type Attempt } from '../protocol/result-code.ts'
import { readBindPassword } from './secret.ts'
import { openSocket, type Server } from './socket.ts'
import { sidText } from '../protocol/sid.ts'

export interface SearchRequest {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: Filter
  readonly attributes: readonly string[]
  /** Names, as the server writes them, whose values are wanted as bytes. */
  readonly bytesOf: readonly string[]
  /** So many are enough; 0: all. An answer that the server cuts short before that fails with `directory-cut`. */
  readonly sizeMax: number
  readonly controls?: readonly Control[]
  /** All members of a group are wanted, in any number. */
  readonly isLarge?: boolean
}

interface Operation {
  readonly startedMs: number
}

/** LDAP's UnbindRequest with the message id 2^31-1: no answer comes, the server closes (RFC 4511, 4.3). */
const UNBIND = Buffer.from([0x30, 8, 2, 4, 0x7f, 0xff, 0xff, 0xff, 0x42, 0])
const CLOSE_TIMEOUT_MS = 1000
const TOO_LARGE_HINT =
  'Is it a directory server that answers there? Then look at the entry that is named, and shorten it.'
const PROTOCOL_ERROR = 2
const TOKEN = 'tokenGroups'
/** Of an account or a group in a domain (MS-DTYP, 2.4.2.4). */
const DOMAIN_SID = 'S-1-5-21-'

/**
 * One connection that was opened, secured, bound and whose identity was proven; it is never reconnected silently, and
 * ends once its socket closes. Many operations may be in flight. Where the server does not answer one of them within
 * `operationTimeoutMs`, the connection is closed.
 */
export class Connection {
  readonly server: Server
  readonly openedMs: number
  /** Operations that were handed out and are not over. */
  inFlight = 0
  /** Walks that come back for another page. */
  holders = 0
  readonly #client: Client
  readonly #limits: AnswerLimits
  readonly #socket: Socket
  readonly #settings: DirectorySettings
  readonly #operations = new Set<Operation>()
  readonly #closed: Promise<void>
  #isOpen = true
  #timedOut = false
  /** Why the connection was ended: the answer was too large for our memory limits. */
  #tooLarge: AnswerTooLarge | null = null
  #isGathering = false
  #timer: NodeJS.Timeout | null = null
  /** The identity at the bind (RFC 4532); null: the server does not report it. */
  #identity: string | null = null
  #hasPolicyAnswer = false

  private constructor(server: Server, settings: DirectorySettings, socket: Socket) {
    this.server = server
    this.openedMs = performance.now()
    this.#settings = settings
    this.#socket = socket
    this.#client = clientOn(socket, () => this.#gone())
    this.#limits = limitAnswers(this.#client, (error) => {
      this.#tooLarge = error
      socket.destroy()
    })
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isOpen = false
        this.#limits.close()
        if (this.#timer !== null) clearTimeout(this.#timer)
        resolve()
      })
    })
  }

  /** Fails with `directory-unreachable`, `-timeout`, `-tls`, `-bind-refused`, `-identity-lost`. */
  static async open(server: Server, settings: DirectorySettings): Promise<Connection> {
    const password = await readBindPassword(settings)
    const socket = await openSocket(server, settings)
    const connection = new Connection(server, settings, socket)
    const deadline = setTimeout(() => connection.#giveUp(), settings.connectTimeoutMs)
    try {
      await connection.#bind(password)
      return connection
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(deadline)
    }
  }

  /** The identity that the server reported at the bind, as in `dn:cn=lockstep,…` or `sid:S-1-5-21-…`; null: none. */
  get identity(): string | null {
    return this.#identity
  }

  /** The server answered the password policy control of the bind; false where the control was not sent. */
  get hasPolicyAnswer(): boolean {
    return this.#hasPolicyAnswer
  }

  /** It was closed because an operation was left without an answer. */
  get isLate(): boolean {
    return this.#timedOut
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#socket.destroyed
  }

  /** Resolves when the socket is closed, for any reason. */
  get closed(): Promise<void> {
    return this.#closed
  }

  async search(request: SearchRequest): Promise<Entry[]> {
    const call = this.#client.search.bind(this.#client, request.base, this.#searchOptions(request), [
      ...(request.controls ?? []),
    ])
    const done = request.isLarge === true ? this.#limits.allowLarge() : () => undefined
    try {
      return (await this.#run(call, this.#attempt('read', request.base))).searchEntries
    } finally {
      done()
    }
  }

  /** Pages of a search; the server's cursor belongs to this connection. */
  async *searchPages(request: SearchRequest, pageSize: number): AsyncGenerator<Entry[]> {
    const options = { ...this.#searchOptions(request), paged: { pageSize } }
    const pages = this.#client.searchPaginated(request.base, options)
    try {
      for (;;) {
        const page = await this.#run(() => pages.next(), this.#attempt('read', request.base))
        if (page.done === true) return
        yield page.value.searchEntries
      }
    } finally {
      await pages.return(undefined)
    }
  }

  /** All or nothing. Fails with `outcome-unknown` when the connection broke before the answer. */
  async modify(dn: string, modifications: readonly Modification[], controls: Control[]): Promise<void> {
    const changes = modifications.map(toLdapChange)
    const attributes = modifications.map((modification) => modification.attribute)
    await this.#run(() => this.#client.modify(dn, changes, controls), {
      ...this.#attempt('write', dn, [...new Set(attributes)]),
      charsMax: longestOf(modifications),
    })
  }

  /**
   * Fails with `directory-identity-lost` unless the server still has our identity for this connection; an empty answer
   * before it can then be trusted. Without Who Am I (RFC 4532) our own entry must be there.
   */
  async proveIdentity(): Promise<void> {
    if (this.#identity === null) return this.#findOwnEntry()
    const now = await this.#askIdentity()
    if (now === this.#identity) return
    this.#socket.destroy()
    throw this.#identityLost()
  }

  /** Sends an unbind and closes. What is in flight fails. */
  async close(): Promise<void> {
    if (!this.#socket.destroyed) this.#socket.end(UNBIND, () => this.#socket.destroy())
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS)
    await this.#closed
    clearTimeout(timer)
  }

  async #bind(password: string): Promise<void> {
    const { bindDn } = this.#settings
    const policy = new PasswordPolicyControl()
    const controls = TYPE_TRAITS[this.#settings.type].hasPolicyControl ? [policy] : []
    await this.#run(() => this.#client.bind(bindDn, password, controls), this.#attempt('bind', bindDn))
    this.#hasPolicyAnswer = policy.value !== undefined
    this.#identity = await this.#askIdentity()
    if (this.#identity === '' || this.#identity === 'dn:') throw this.#identityLost()
  }

  /** Without Who Am I, and without a DN to search for, the security token of the connection shows the account. */
  async #askIdentity(): Promise<string | null> {
    const reported = await this.#whoAmI()
    if (reported !== null || !isWindowsName(this.#settings.bindDn)) return reported
    const owner = (await this.tokenSids()).find((sid) => sid.startsWith(DOMAIN_SID))
    return owner === undefined ? '' : `sid:${owner}`
  }

  /**
   * The SIDs in the security token of this connection: of its account, first, and of the groups (`tokenGroups` of the
   * root DSE; MS-ADTS, 3.1.1.3.2). Empty where the server does not report them.
   */
  async tokenSids(): Promise<string[]> {
    const filter = new PresenceFilter({ attribute: 'objectClass' })
    const named = { attributes: [TOKEN], bytesOf: [TOKEN] }
    const [root] = await this.search({ base: '', scope: 'base', filter, ...named, sizeMax: 1 })
    return valuesIn(root, TOKEN).flatMap((value) => sidText(value) ?? [])
  }

  /** `dn:…` or `u:…`; '' when anonymous; null when the server does not support the operation. */
  async #whoAmI(): Promise<string | null> {
    const exop = async (): Promise<string | null> => {
      try {
        return (await this.#client.exop(WHO_AM_I_OID)).value ?? ''
      } catch (error) {
        if (resultCodeOf(error) === PROTOCOL_ERROR) return null
        throw error
      }
    }
    return this.#run(exop, this.#attempt('read', this.#settings.bindDn))
  }

  async #findOwnEntry(): Promise<void> {
    const options = { scope: 'base' as const, attributes: ['1.1'], sizeLimit: 1 }
    const call = async (): Promise<boolean> => {
      const { searchEntries } = await this.#client.search(this.#settings.bindDn, options)
      return searchEntries.length > 0
    }
    const isThere = await this.#run(call, this.#attempt('read', this.#settings.bindDn)).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'entry-not-found') return false
      throw error
    })
    if (isThere) return
    this.#socket.destroy()
    throw this.#identityLost()
  }

  #searchOptions(request: SearchRequest) {
    return {
      scope: request.scope,
      filter: request.filter,
      attributes: request.attributes as string[],
      explicitBufferAttributes: request.bytesOf as string[],
      sizeLimit: request.sizeMax,
      timeLimit: Math.ceil(this.#settings.operationTimeoutMs / 1000),
    }
  }

  async #run<Result>(call: () => Promise<Result>, attempt: Attempt): Promise<Result> {
    if (!this.isOpen) throw this.#gone()
    this.#gather()
    const operation: Operation = { startedMs: performance.now() }
    this.#operations.add(operation)
    if (this.#timer === null) this.#watch(this.#settings.operationTimeoutMs)
    try {
      return await call()
    } catch (error) {
      throw this.#errorOf(error, attempt, operation)
    } finally {
      this.#operations.delete(operation)
    }
  }

  /** What is sent in one turn of the event loop goes out in one write: the system call is its most expensive part. */
  #gather(): void {
    if (this.#isGathering) return
    this.#isGathering = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#isGathering = false
      this.#socket.uncork()
    })
  }

  /** One timer for all: they start in order and have the same time, so the first is the first to be late. */
  #watch(afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      const first = this.#operations.values().next().value
      if (first === undefined) return
      const leftMs = first.startedMs + this.#settings.operationTimeoutMs - performance.now()
      if (leftMs <= 0) this.#giveUp()
      else this.#watch(leftMs)
    }, afterMs)
    this.#timer.unref()
  }

  #giveUp(): void {
    this.#timedOut = true
    this.#socket.destroy()
  }

  #errorOf(thrown: unknown, attempt: Attempt, operation: Operation): AppError {
    if (thrown instanceof AppError) return thrown
    if (thrown instanceof ResultCodeError) return errorOfResult(thrown, attempt)
    const what = `directory ${this.#settings.name}: ${this.server.url}`
    const waitedMs = Math.round(performance.now() - operation.startedMs)
    const tooLarge = thrown instanceof AnswerTooLarge ? thrown : this.#tooLarge
    const reason = this.#timedOut
      ? `no answer within ${span(waitedMs)}`
      : tooLarge === null
        ? 'the connection broke before the answer came'
        : `its answer was not taken: ${tooLarge.message}`
    if (attempt.kind === 'write') {
      return new AppError(
        'outcome-unknown',
        `${what}: ${reason}; the change of ${attempt.dn} may have happened or not`,
        {
          hint: 'Lockstep looks at the entry again by itself.',
          cause: thrown,
        },
      )
    }
    if (tooLarge !== null) {
      const code = tooLarge === thrown ? 'limit-exceeded' : 'directory-unreachable'
      return new AppError(code, `${what}: ${reason}`, { hint: TOO_LARGE_HINT, cause: thrown })
    }
    const isLate = this.#timedOut && (attempt.kind === 'bind' || waitedMs >= this.#settings.operationTimeoutMs)
    return new AppError(isLate ? 'directory-timeout' : 'directory-unreachable', `${what}: ${reason}`, {
      hint: 'Check the load and the log of the directory server; Lockstep tries again by itself.',
      cause: thrown,
    })
  }

  #gone(): AppError {
    return new AppError(
      'directory-unreachable',
      `directory ${this.#settings.name}: ${this.server.url}: the connection is closed`,
    )
  }

  #identityLost(): AppError {
    const message = `directory ${this.#settings.name}: ${this.server.url} no longer takes this connection for ${this.#settings.bindDn}; its answer is not believed`
    return new AppError('directory-identity-lost', message, {
      hint: 'The connection is opened anew by itself. If it stays so, look at proxies before the server, and whether the bind account still exists.',
    })
  }

  #attempt(kind: Attempt['kind'], dn: string, attributes: readonly string[] = []): Attempt {
    return { directory: this.#settings.name, url: this.server.url, kind, dn, attributes }
  }
}

/** An ldapts client on a connection that is open already; it never opens another one by itself. */
export function clientOn(socket: Socket, gone: () => Error): Client {
  let isTaken = false
  const createConnection = (): Socket => {
    if (isTaken) throw gone()
    isTaken = true
    return socket
  }
  return refuseCutAnswers(new Client({ url: 'ldap://handed.over', createConnection }))
}

function longestOf(modifications: readonly Modification[]): number {
  const written = modifications.flatMap(({ op, values }) => (op === 'delete' ? [] : values))
  return Math.max(0, ...written.map(({ length }) => length))
}

function toLdapChange(modification: Modification): LdapChange {
  const values = modification.values
  const isText = (value: string | Uint8Array): value is string => typeof value === 'string'
  const plain = values.every(isText) ? [...values] : values.map((value) => Buffer.from(value as Uint8Array))
  return new LdapChange({
    operation: modification.op,
    modification: new Attribute({ type: modification.attribute, values: plain }),
  })
}
