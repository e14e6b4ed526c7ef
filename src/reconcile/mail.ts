import { retryDelayMs, toAppError, type AppError, type ErrorCode } from '../core/error.ts'
import { deferredMs, spacingMs, troubleMs } from '../core/mail-times.ts'
import type { Clock } from '../ports/clock.ts'
import type {
  ClaimedMail,
  Contact,
  ContactPort,
  GatherRules,
  MailTransport,
  MailWriter,
  NewsPort,
  OutboxPort,
} from '../ports/mail.ts'

/**
 * The delivery of mail: one loop makes mails of what the journal says, another brings them to the server. A mail is
 * recorded as sent in the moment in which the server has taken it; who dies between the two sends it once more, under the
 * same Message-ID.
 */

export interface MailPorts {
  readonly clock: Clock
  readonly news: NewsPort
  readonly outbox: OutboxPort
  readonly contacts: ContactPort
  readonly transport: MailTransport
  readonly writer: MailWriter
  readonly rules: GatherRules
  readonly perSecond: number
  /** A failure is told when it is new. */
  onTrouble(error: AppError | null): void
}

const IN_FLIGHT_MAX = 3
const LOOK_MS = 500
const LOOKS_PER_FREEING = 10
const PAGES_MAX = 10_000
/** Failures of these are the server's, not the mail's. */
const SERVER_CODES: readonly ErrorCode[] = [
  'mail-unreachable',
  'mail-timeout',
  'mail-tls',
  'mail-login-refused',
  'config-invalid',
  'file-not-permitted',
  'file-io',
]

export class Postman {
  readonly #ports: MailPorts
  readonly #stopped = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  /** What the store said to the record of a sending. */
  #failure: { readonly thrown: unknown } | null = null
  #failures = 0
  #looks = 0
  #trouble: ErrorCode | null = null

  constructor(ports: MailPorts) {
    this.#ports = ports
  }

  /** Runs until `stop`. */
  async run(onError: (thrown: unknown) => void): Promise<void> {
    await Promise.all([
      this.#repeat(onError, async () => {
        await this.gather()
        // What a process that was killed had in its hands goes on here.
        if (this.#looks++ % LOOKS_PER_FREEING === 0) await this.#ports.outbox.freeDeadLeases()
        return LOOK_MS
      }),
      this.#repeat(onError, () => this.deliver()),
    ])
  }

  /** Nothing new is taken; what is in flight comes to its end. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.all(this.#inFlight)
  }

  /** Makes mails of everything that is on record. */
  async gather(): Promise<void> {
    const { news, rules } = this.#ports
    for (let page = 0; page < PAGES_MAX && !this.#isStopping; page++) if (!(await news.gather(rules))) return
  }

  /**
   * Sends what is due, one after the other at the pace that the settings allow, a few at a time where the server is slow.
   * @returns after how many milliseconds to look again
   */
  async deliver(): Promise<number> {
    const { outbox, clock, perSecond, transport } = this.#ports
    if (this.#looks === 0) await outbox.freeDeadLeases()
    // By the most that waited in this run: by what is left, the last ones would take ever longer.
    let most = 0
    for (let isFirst = true; !this.#isStopping; isFirst = false) {
      if (!isFirst && (this.#failures > 0 || this.#failure !== null)) break
      const waiting = await outbox.countDue(clock.nowMs())
      most = Math.max(most, waiting)
      const mail = waiting === 0 ? null : await outbox.claim(clock.nowMs())
      if (mail === null) break
      const startedMs = performance.now()
      this.#begin(mail)
      if (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight)
      // Where the server is away, one mail is enough to find out that it is back.
      if (this.#failures > 0) await Promise.all(this.#inFlight)
      await this.#pause(spacingMs(most, perSecond) - (performance.now() - startedMs))
    }
    await Promise.all(this.#inFlight)
    transport.rest()
    if (this.#failure !== null) {
      const { thrown } = this.#failure
      this.#failure = null
      throw thrown
    }
    return this.#failures > 0 ? troubleMs(this.#failures - 1) : LOOK_MS
  }

  #begin(mail: ClaimedMail): void {
    const sending = this.#bring(mail)
      .catch((thrown: unknown) => {
        this.#failure = { thrown }
      })
      .finally(() => this.#inFlight.delete(sending))
    this.#inFlight.add(sending)
  }

  get #isStopping(): boolean {
    return this.#stopped.signal.aborted
  }

  async #repeat(onError: (thrown: unknown) => void, work: () => Promise<number>): Promise<void> {
    while (!this.#isStopping) {
      let waitMs = troubleMs(0)
      try {
        waitMs = await work()
      } catch (thrown) {
        onError(thrown)
      }
      await this.#pause(waitMs)
    }
  }

  /** Ends at once when it is to stop. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stopped
    if (ms <= 0 || signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    const end = (): void => resolve()
    signal.addEventListener('abort', end, { once: true })
    await promise
    signal.removeEventListener('abort', end)
    clearTimeout(timer)
  }

  /** One mail, to its end or to its next try. Never fails but for the store. */
  async #bring(mail: ClaimedMail): Promise<void> {
    const { outbox, clock, transport, writer } = this.#ports
    if (clock.nowMs() > mail.expiresMs) {
      return outbox.end(mail, 'expired', { code: null, text: 'it could not be sent while it was news' })
    }
    const contact = await this.#contactOf(mail)
    if (contact === null) return
    const { address } = contact
    if (address === null) {
      return outbox.end(mail, 'no-address', { code: null, text: 'no mail address is known for this account' })
    }
    try {
      await transport.send(writer.write(mail, { ...contact, address }))
    } catch (thrown) {
      return this.#failed(mail, toAppError(thrown))
    }
    await outbox.sent(mail, address)
    await this.#works()
  }

  /** @returns null where it could not be found out now, which is then written down */
  async #contactOf(mail: ClaimedMail): Promise<Contact | null> {
    const { outbox, contacts, clock } = this.#ports
    if (mail.recipient.kind === 'help-desk') return { address: mail.recipient.address, language: null, name: '' }
    try {
      return await contacts.ofOwner(mail.recipient.account)
    } catch (thrown) {
      const { code, message } = toAppError(thrown)
      if (code === 'entry-not-found' || code === 'unknown-user') {
        await outbox.end(mail, 'no-address', { code, text: message })
        return null
      }
      const dueMs = clock.nowMs() + retryDelayMs(code, mail.attempts, clock.random())
      await outbox.postpone(mail, { dueMs, code, why: message, isTried: true })
      return null
    }
  }

  async #failed(mail: ClaimedMail, error: AppError): Promise<void> {
    const { outbox, clock } = this.#ports
    const { code, message } = error
    if (code === 'mail-refused') {
      await outbox.end(mail, 'refused', { code, text: message })
      return this.#works()
    }
    const isServers = SERVER_CODES.includes(code)
    const waitMs = isServers ? troubleMs(this.#failures) : deferredMs(mail.attempts, clock.random())
    await outbox.postpone(mail, { dueMs: clock.nowMs() + waitMs, code, why: message, isTried: !isServers })
    if (!isServers) return this.#works()
    this.#failures++
    if (this.#trouble !== code) this.#ports.onTrouble(error)
    this.#trouble = code
    await outbox.trouble(message)
  }

  /** The server answers; what it answered is about one mail. */
  async #works(): Promise<void> {
    this.#failures = 0
    if (this.#trouble !== null) this.#ports.onTrouble(null)
    this.#trouble = null
    await this.#ports.outbox.trouble(null)
  }
}
