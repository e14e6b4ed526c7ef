import { AppError, retryDelayMs, toAppError, type ErrorCode } from '../../core/error.ts'
import type { MailAddress } from '../../core/mail/mail-address.ts'
import { MailError, type MailAnswer } from '../../core/mail/mail-answer.ts'
import { deferredMs, doubtMs, refusedMs, spacingMs, troubleMs } from '../../core/mail/mail-times.ts'
import { isWorthAsking, ofAll, refusalOf, type MailFailing } from '../../core/mail/mail-verdict.ts'
import type { Clock } from '../../ports/clock.ts'
import type {
  ClaimedMail,
  Contact,
  ContactPort,
  GatherRules,
  MailTransport,
  MailComposer,
  NotificationPort,
  OutboxPort,
} from '../../ports/store/mail.ts'
import { delay } from '../../ports/delay.ts'

/**
 * The delivery of mail: one loop makes mails from the journal, another one sends them to the server. A mail is
 * recorded as sent in the moment in which the server has taken it; a process that dies between the two sends it once
 * more, under the same Message-ID.
 */

export interface MailPorts {
  readonly clock: Clock
  readonly notifications: NotificationPort
  readonly outbox: OutboxPort
  readonly contacts: ContactPort
  readonly transport: MailTransport
  readonly composer: MailComposer
  readonly rules: GatherRules
  readonly perSecond: number
  /**
   * A failure of all mails, when it is new; null: it is over.
   * @param isSent a mail was sent; else the server only answers again
   */
  onTrouble(error: AppError | null, isSent: boolean): void
  /** Asks the server about a recipient; no mail is sent. Null: it takes mails for them. Fails as a sending does. */
  ask?(recipient: MailAddress): Promise<MailError | null>
  /** The recipient to ask about, where the server has taken no mail yet. */
  readonly sender?: MailAddress
  /** The server refused this mail alone, for ever. */
  onRefused?(id: string, answer: MailAnswer | null): void
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
  'mail-not-permitted',
  'config-invalid',
  'file-not-permitted',
  'file-io',
]

/** They last until a person changes something. */
const REFUSAL_CODES: readonly ErrorCode[] = ['mail-login-refused', 'mail-not-permitted']

export class OutboxWorker {
  readonly #ports: MailPorts
  readonly #stopped = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  /** The store's error while a sending was recorded. */
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
        // The mails of a process that was killed are continued here.
        if (this.#looks++ % LOOKS_PER_FREEING === 0) await this.#ports.outbox.freeDeadLeases()
        return LOOK_MS
      }),
      this.#repeat(
        onError,
        () => this.deliver(),
        () => this.#isRetryWanted(),
      ),
    ])
  }

  /** Nothing new is taken; what is in flight is completed. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.all(this.#inFlight)
  }

  /** Makes mails of everything that is on record. */
  async gather(): Promise<void> {
    const { notifications, rules } = this.#ports
    for (let page = 0; page < PAGES_MAX && !this.#isStopping; page++) if (!(await notifications.gather(rules))) return
  }

  /**
   * Sends what is due, one after the other at the pace that the settings allow, a few at a time where the server is
   * slow.
   * @returns after how many milliseconds to look again
   */
  async deliver(): Promise<number> {
    const { outbox, clock, perSecond, transport } = this.#ports
    if (this.#looks === 0) await outbox.freeDeadLeases()
    // By the peak of pending mails in this run: by the remaining ones, the last would take ever longer.
    let most = 0
    for (let isFirst = true; !this.#isStopping; isFirst = false) {
      if (!isFirst && (this.#failures > 0 || this.#failure !== null)) break
      const waiting = await outbox.countDue(clock.nowMs())
      most = Math.max(most, waiting)
      // Where all are refused, any of them may show that the others are taken.
      const random = this.#failures > 0 ? clock.random() : null
      const mail = waiting === 0 ? null : await outbox.claim(clock.nowMs(), random)
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
    return this.#failures > 0 ? this.#failureMs(this.#failures - 1) : LOOK_MS
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

  /** @param isDue asked during the delay: true ends it */
  async #repeat(
    onError: (thrown: unknown) => void,
    work: () => Promise<number>,
    isDue: () => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<void> {
    while (!this.#isStopping) {
      let waitMs = troubleMs(0)
      try {
        waitMs = await work()
        for (; waitMs > LOOK_MS && !this.#isStopping && !(await isDue()); waitMs -= LOOK_MS) await this.#pause(LOOK_MS)
      } catch (thrown) {
        onError(thrown)
      }
      await this.#pause(Math.min(waitMs, LOOK_MS))
    }
  }

  async #isRetryWanted(): Promise<boolean> {
    return this.#failures > 0 && (await this.#ports.outbox.isRetryWanted())
  }

  #failureMs(failures: number): number {
    return this.#trouble !== null && REFUSAL_CODES.includes(this.#trouble) ? refusedMs(failures) : troubleMs(failures)
  }

  /** Ends at once when it is to stop. */
  async #pause(ms: number): Promise<void> {
    if (ms > 0) await delay(ms, this.#stopped.signal)
  }

  /** One mail, to its end or to its next try. Fails only with the store's errors. */
  async #bring(mail: ClaimedMail): Promise<void> {
    const { outbox, clock, transport, composer } = this.#ports
    if (clock.nowMs() > mail.expiresMs) {
      const last = mail.why === '' ? '' : `: ${mail.why}`
      return outbox.end(mail, 'expired', { code: null, text: `it could not be sent before it was too old${last}` })
    }
    const contact = await this.#contactOf(mail)
    if (contact === null) return
    const { address } = contact
    if (address === null) {
      return outbox.end(mail, 'no-address', { code: null, text: 'no mail address is known for this account' })
    }
    try {
      await transport.send(composer.write(mail, { ...contact, address }))
    } catch (thrown) {
      return this.#failed(mail, address, toAppError(thrown))
    }
    await outbox.sent(mail, address)
    this.#knows(null, true)
  }

  /** @returns null where it could not be found out now, which is then recorded */
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

  async #failed(mail: ClaimedMail, address: MailAddress, error: AppError): Promise<void> {
    const { outbox, clock } = this.#ports
    const { code, message, hint } = error
    if (error instanceof MailError) return this.#answered(mail, address, error)
    if (code === 'mail-refused') {
      await outbox.end(mail, 'refused', { code, text: message })
      return this.#ports.onRefused?.(mail.id, null)
    }
    const isServers = SERVER_CODES.includes(code)
    const waitMs = isServers ? this.#nextFailureMs(code) : deferredMs(mail.attempts, clock.random())
    await outbox.postpone(mail, { dueMs: clock.nowMs() + waitMs, code, why: message, isTried: !isServers })
    if (!isServers) return this.#knows(await outbox.answers(), false)
    await outbox.trouble({ code, reason: message, fix: hint })
    this.#fails(error)
  }

  /** The server refused it: the record of other mails shows whether that is about this mail or about all. */
  async #answered(mail: ClaimedMail, address: MailAddress, error: MailError): Promise<void> {
    const { outbox, clock } = this.#ports
    const refusal = refusalOf(error)
    const all = ofAll(refusal)
    const { verdict, refusals, failing } = await outbox.refused(mail, refusal, {
      deferredMs: deferredMs(mail.attempts, clock.random()),
      doubtedMs: (times) => doubtMs(times, clock.random()),
      serverMs: this.#nextFailureMs(all.code),
    })
    if (verdict === 'server') return this.#fails(new AppError(all.code, all.reason, { hint: all.fix, cause: error }))
    if (verdict === 'refused') this.#ports.onRefused?.(mail.id, error.answer)
    this.#knows(failing, false)
    // It waits by itself and the others are tried; that none is taken for long is reported all the same.
    if (failing !== null && verdict !== 'refused') this.#reports(error)
    if (isWorthAsking(verdict, refusals)) await this.#asks(address)
  }

  /** Where no other mail shows what a refusal is about, the server is asked about a recipient that it took before. */
  async #asks(refused: MailAddress): Promise<void> {
    const { outbox, sender = null } = this.#ports
    const recipient = (await outbox.takenAddress(refused)) ?? sender
    if (this.#ports.ask === undefined || recipient === null || recipient === refused) return
    let refusal: MailError | null
    try {
      refusal = await this.#ports.ask(recipient)
    } catch {
      // It shows nothing; the next sending meets it as well, and reports it.
      return
    }
    // A recipient that is taken proves nothing: relaying, and the answer after the data, are other matters.
    if (refusal === null || !(await outbox.asked(recipient, refusalOf(refusal)))) return
    const { code, reason: message, fix: hint } = ofAll(refusalOf(refusal))
    this.#fails(new AppError(code, message, { hint, cause: refusal }))
  }

  #nextFailureMs(code: ErrorCode): number {
    return REFUSAL_CODES.includes(code) ? refusedMs(this.#failures) : troubleMs(this.#failures)
  }

  #fails(error: AppError): void {
    this.#failures++
    this.#reports(error)
  }

  #reports(error: AppError): void {
    if (this.#trouble !== error.code) this.#ports.onTrouble(error, false)
    this.#trouble = error.code
  }

  /** The state of the server after its answer. */
  #knows(failing: MailFailing | null, isSent: boolean): void {
    if (failing !== null) return
    this.#failures = 0
    if (this.#trouble !== null) this.#ports.onTrouble(null, isSent)
    this.#trouble = null
  }
}
