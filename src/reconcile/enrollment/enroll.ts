import { toAppError, type AppError, type ErrorCode } from '../../core/error.ts'
import type { Enrollee, Enrollment } from '../../core/source/enrollment.ts'
import type { MailAddress } from '../../core/mail/mail-address.ts'
import { MailError, refusalScope } from '../../core/mail/mail-answer.ts'
import type { Serial } from '../../core/names.ts'
import { isSameSerial } from '../../core/serials/serial-key.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EnrollPort, EnrollStep, RolloutPort } from '../../ports/store/enrollment.ts'
import type { Contact, MailMessage, MailTransport, NewTokenMail } from '../../ports/store/mail.ts'

/**
 * A new token for one user, and its mail. The secret exists in this function alone: it is neither on record nor on
 * disk, so that after a crash the token whose secret nobody received is deleted and made anew, under the same serial.
 *
 * | on record | known | what happens |
 * | --- | --- | --- |
 * | nothing, skipped, failed | no token of this roll-out | made |
 * | making | perhaps a token, surely no mail | deleted where it is there, made anew |
 * | mailing | a token, perhaps a mail | the same, and the mail has the same id, so that the later one replaces it |
 * | done | a token and a mail | nothing |
 */
export interface EnrollPorts {
  readonly clock: Clock
  readonly source: EnrollPort
  readonly rollouts: RolloutPort
  /** Null: without mail; the caller shows the token. */
  readonly mail: EnrollMail | null
  /** Not used before, for a token of this kind. */
  newSerial(type: Enrollee['type']): Serial
  newId(): string
}

export interface EnrollMail {
  readonly transport: MailTransport
  /** Fails with `directory-*`, `source-*`, `entry-not-found`, `unknown-user`, `ambiguous-match`, `realm-unmapped`. */
  contactOf(user: UserOfSource): Promise<Contact>
  write(mail: NewTokenMail): Promise<MailMessage>
}

export interface EnrollOptions {
  /** '' for a single user: one more token, whatever is on record of older ones. */
  readonly rollout: string
  readonly actor: string
  readonly isDryRun: boolean
  /** Skip users who have a token that can be used. */
  readonly onlyWithout: boolean
}

export type EnrollOutcome =
  | { readonly kind: 'made'; readonly serial: Serial; readonly otpauth: string }
  | { readonly kind: 'would-make' }
  | { readonly kind: 'done-before'; readonly serial: Serial | null }
  | ({ readonly kind: 'skipped' | 'failed' } & NotMade)

/** Why a user gets no token. `has-token`: they have one that can be used, `serial`. */
export interface NotMade {
  readonly code: ErrorCode | 'has-token' | 'no-mail-address'
  readonly params: { readonly serial?: Serial }
  /** The same for people. */
  readonly why: string
}

/** One mail is tried so often; then its token is deleted. */
const MAIL_TRIES_MAX = 3
/** An immediate retry does not change it. */
const REFUSED: readonly ErrorCode[] = ['mail-refused', 'mail-not-permitted']
/** Failures that are not about this user: all others would have them as well. */
const OF_ALL = /^(?:source-|mail-(?!refused)|directory-|store-|disk-|file-|config-|limit-|internal)/

/** True for a failure that ends a roll-out, which continues when it is started again. */
export function isOfAll(error: AppError): boolean {
  return OF_ALL.test(error.code)
}

/**
 * Fails with errors that are not about this user alone (see isOfAll): nothing is left half done, or it is on record.
 * @param before the record of the user
 */
export async function enroll(
  enrollee: Enrollee,
  before: Enrollment | null,
  ports: EnrollPorts,
  options: EnrollOptions,
): Promise<EnrollOutcome> {
  if (before?.state === 'done' && options.rollout !== '') return { kind: 'done-before', serial: before.serial }
  const { rollouts } = ports
  const step = (to: Omit<EnrollStep, 'actor'>): Promise<void> =>
    rollouts.step(options.rollout, enrollee, { ...to, actor: options.actor })
  const open = before?.state === 'making' || before?.state === 'mailing' ? before : null
  try {
    const reason = await reasonToSkip(enrollee, open, ports, options)
    if ('code' in reason) {
      // What was begun stays on record until it is cleaned up.
      if (!options.isDryRun && open === null)
        await step({ state: 'skipped', serial: null, mailId: null, why: reason.why })
      return { kind: 'skipped', ...reason }
    }
    if (options.isDryRun) return { kind: 'would-make' }
    if (!(await rollouts.claim(options.rollout, enrollee))) {
      return { kind: 'skipped', code: 'store-busy', params: {}, why: 'another process is at work on this user' }
    }
    const serial = open?.serial ?? ports.newSerial(enrollee.type)
    const mailId = open?.mailId ?? ports.newId()
    if (open !== null && open.serial !== null) await ports.source.deleteToken(open.serial)
    await step({ state: 'making', serial, mailId, why: '' })
    return await make({ enrollee, serial, mailId, ...reason }, ports, step)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (isOfAll(error)) throw error
    return { kind: 'failed', code: error.code, params: {}, why: error.message }
  }
}

interface Ready {
  readonly user: UserOfSource
  readonly contact: (Contact & { readonly address: MailAddress }) | null
}

/** @returns why not, or what is needed to continue */
async function reasonToSkip(
  { login, realm }: Enrollee,
  open: Enrollment | null,
  { source, mail }: EnrollPorts,
  { onlyWithout }: EnrollOptions,
): Promise<NotMade | Ready> {
  const user = await source.findUser(login, realm)
  if (user === null) {
    await source.proveUnknown(login, realm)
    return { code: 'unknown-user', params: {}, why: `privacyIDEA does not know this user in realm ${realm}` }
  }
  if (onlyWithout) {
    const ours = open?.serial ?? null
    const others = (serial: Serial): boolean => ours === null || !isSameSerial(serial, ours)
    const [has] = (await source.usableTokens(user)).filter(others)
    if (has !== undefined) return { code: 'has-token', params: { serial: has }, why: `has the token ${has} already` }
  }
  if (mail === null) return { user, contact: null }
  const contact = await contactOf(mail, user)
  if ('code' in contact) return contact
  const { address } = contact
  if (address === null) return { code: 'no-mail-address', params: {}, why: 'has no mail address' }
  return { user, contact: { ...contact, address } }
}

async function contactOf(mail: EnrollMail, user: UserOfSource): Promise<Contact | NotMade> {
  try {
    return await mail.contactOf(user)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (isOfAll(error)) throw error
    return { code: error.code, params: {}, why: error.message }
  }
}

interface Making extends Ready {
  readonly enrollee: Enrollee
  readonly serial: Serial
  readonly mailId: string
}

async function make(
  { enrollee, serial, mailId, user, contact }: Making,
  ports: EnrollPorts,
  step: (to: Omit<EnrollStep, 'actor'>) => Promise<void>,
): Promise<EnrollOutcome> {
  const { source, mail } = ports
  const otpauth = await source.makeToken(user, serial, enrollee.type)
  if (mail !== null && contact !== null) {
    const { name, language, address: to } = contact
    const message = await mail.write({ ...enrollee, id: mailId, to, name, language, serial, otpauth })
    await step({ state: 'mailing', serial, mailId, why: '' })
    try {
      await send(mail.transport, message)
    } catch (thrown) {
      // Nobody has the secret: the token is of no use to anybody.
      await source.deleteToken(serial)
      const error = toAppError(thrown)
      await step({ state: 'failed', serial: null, mailId: null, why: error.message })
      throw error
    }
  }
  await step({ state: 'done', serial, mailId: mail === null ? null : mailId, why: '' })
  return { kind: 'made', serial, otpauth }
}

/** A server that answers "not now" or breaks off is retried at once, and later by the next start of the roll-out. */
async function send(transport: MailTransport, message: MailMessage): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transport.send(message)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (REFUSED.includes(error.code) || tries >= MAIL_TRIES_MAX) throw error
    }
  }
}

/**
 * A transport that detects by the codes what is about all mails: it fails with `mail-not-permitted`, which ends a
 * roll-out. A refusal that may be about one mail alone does not. Mails of tokens are never in an outbox.
 */
export function watchRefusals(transport: MailTransport): MailTransport {
  return {
    async send(message) {
      try {
        await transport.send(message)
      } catch (thrown) {
        if (!(thrown instanceof MailError) || thrown.code !== 'mail-refused') throw thrown
        if (refusalScope(thrown.answer) !== 'server') throw thrown
        const { answer, said, messageOfAll, hint } = thrown
        throw new MailError('mail-not-permitted', messageOfAll, { answer, said, messageOfAll, hint, cause: thrown })
      }
    },
    rest: () => transport.rest(),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}
