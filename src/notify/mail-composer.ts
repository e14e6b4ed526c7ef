import { AppError } from '../core/error.ts'
import type { MailAddress } from '../core/mail/mail-address.ts'
import type { MailLanguage } from '../core/mail/mail-language.ts'
import { countOf, type Digest } from '../core/mail/notice.ts'
import type { Clock } from '../ports/clock.ts'
import type { ClaimedMail, MailMessage, MailComposer, NewTokenMail, Recipient } from '../ports/store/mail.ts'
import {
  helpDeskData,
  IMAGE_ID,
  newTokenData,
  ownerData,
  testData,
  type Formats,
  type MailContext,
} from './mail-data.ts'
import { qrCodePng } from './qr-code.ts'
import type { TemplateName } from './template-files.ts'
import { Templates, type Rendered, type TemplateData } from './templates.ts'
import type { MailSettings } from '../core/settings/mail-settings.ts'

/** The texts of a mail. */

type ComposerSettings = Omit<MailSettings, 'smtp' | 'owner' | 'limits'>

const LATE_MS = 3_600_000

export interface WordsOf {
  readonly recipient: Recipient['kind']
  readonly digest: Digest
  /** '' where it is not known. */
  readonly name: string
  readonly language: MailLanguage
  readonly isLate: boolean
}

export class TemplateMailComposer implements MailComposer {
  readonly #settings: ComposerSettings
  readonly #host: string
  readonly #clock: Clock
  readonly #templates: Templates
  readonly #builtIn = new Templates(null)
  readonly #onProblem: (error: AppError) => void
  readonly #reported = new Set<string>()

  /** @param host this machine, for the help desk; @param onProblem a template of the site failed, reported once: the built-in one is used, since mail has to go */
  constructor(settings: ComposerSettings, host: string, clock: Clock, onProblem: (error: AppError) => void) {
    this.#settings = settings
    this.#host = host
    this.#clock = clock
    this.#templates = new Templates(settings.templates)
    this.#onProblem = onProblem
  }

  write(mail: ClaimedMail, contact: Parameters<MailComposer['write']>[1]): MailMessage {
    const { language: usual, helpDesk } = this.#settings
    const recipient = mail.recipient.kind
    const language = recipient === 'help-desk' ? helpDesk.language : (contact.language ?? usual)
    const isLate = this.#clock.nowMs() - mail.digest.lastMs > LATE_MS
    const words = this.words({ recipient, digest: mail.digest, name: contact.name, language, isLate })
    return this.#message(mail.id, mail.sealedMs, contact.address, words)
  }

  /** The mail of `lockstep mail test`. */
  test(id: string, to: MailAddress): MailMessage {
    const nowMs = this.#clock.nowMs()
    const language = this.#settings.helpDesk.language
    const formats = this.#formats(language)
    return this.#message(id, nowMs, to, this.#render('test', language, testData(this.#around(false), nowMs, formats)))
  }

  /** The mail of a new token, with its QR code. */
  async newToken(mail: NewTokenMail): Promise<MailMessage> {
    const language = mail.language ?? this.#settings.language
    const words = this.#render('new-token', language, newTokenData(mail, this.#around(false), this.#formats(language)))
    const message = this.#message(mail.id, this.#clock.nowMs(), mail.to, words)
    const bytes = await qrCodePng(mail.otpauth)
    return { ...message, inline: [{ id: IMAGE_ID, name: `${mail.serial}.png`, type: 'image/png', bytes }] }
  }

  words({ recipient, digest, name, language, isLate }: WordsOf): Rendered {
    const [formats, around] = [this.#formats(language), this.#around(isLate)]
    if (recipient === 'help-desk') return this.#render('help-desk', language, helpDeskData(digest, around, formats))
    return this.#render(ownerTemplate(digest), language, ownerData(digest, name, around, formats))
  }

  #message(id: string, dateMs: number, to: MailAddress, words: Rendered): MailMessage {
    const { from, replyTo } = this.#settings
    const domain = from.address.slice(from.address.lastIndexOf('@') + 1)
    return { messageId: `<${id}@${domain}>`, dateMs, from, replyTo, to, ...words }
  }

  #render(name: TemplateName, language: MailLanguage, data: TemplateData): Rendered {
    try {
      return this.#templates.render(name, language, data)
    } catch (thrown) {
      if (!(thrown instanceof AppError) || this.#settings.templates === null) throw thrown
      if (!this.#reported.has(thrown.message)) this.#onProblem(thrown)
      this.#reported.add(thrown.message)
      return this.#builtIn.render(name, language, data)
    }
  }

  #formats(language: MailLanguage): Formats {
    return { language, timeZone: this.#settings.timeZone ?? undefined }
  }

  #around(isLate: boolean): MailContext {
    return { contact: this.#settings.contact, host: this.#host, isLate }
  }
}

/** One item has a template of its own; several are listed. */
function ownerTemplate(digest: Digest): TemplateName {
  const only = countOf(digest) === 1 ? digest.items[0]?.kind : undefined
  return only === 'locked' || only === 'unlocked' ? only : 'news'
}
