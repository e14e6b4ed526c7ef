import type { MailAddress, Mailbox } from '../mail/mail-address.ts'
import type { MailLanguage } from '../mail/mail-language.ts'
import type { NoticeKind } from '../mail/notice.ts'
import type { SecretSource } from './secret-source.ts'

/** The section `mail` of the configuration. Durations in milliseconds. */
export interface MailSettings {
  readonly smtp: SmtpSettings
  readonly from: Mailbox
  readonly replyTo: MailAddress | null
  readonly owner: OwnerMailSettings
  readonly helpDesk: {
    readonly addresses: readonly MailAddress[]
    readonly kinds: readonly NoticeKind[]
    readonly language: MailLanguage
  }
  /** For owners whose own language is not known. */
  readonly language: MailLanguage
  /** IANA name; null: this machine's. */
  readonly timeZone: string | null
  /** Whom to contact, in the site's own text; ''. */
  readonly contact: string
  /** Folder of templates that take precedence over the built-in ones; null: none. */
  readonly templates: string | null
  readonly limits: MailLimits
}

export interface SmtpSettings {
  readonly host: string
  readonly port: number
  /** TLS from the first byte (`smtps://`). */
  readonly isSecure: boolean
  /** On `smtp://`: `required`, or none. */
  readonly startTls: 'required' | 'off'
  readonly caFile: string | null
  /** Null: the host. */
  readonly tlsServerName: string | null
  /** Null: no login. */
  readonly login: { readonly user: string; readonly password: SecretSource } | null
  /** The EHLO name of this machine (RFC 5321, 4.1.1.1); null, or left out by an earlier version: its own full name. */
  readonly ehloName?: string | null
  /** To connect and be greeted, each. */
  readonly connectTimeoutMs: number
  /** Without a sign of life from the server. */
  readonly timeoutMs: number
}

export interface OwnerMailSettings {
  readonly kinds: readonly NoticeKind[]
  /** The source of the address. */
  readonly from: 'directory' | 'privacyidea'
  readonly addressAttribute: string
  readonly languageAttribute: string
  readonly nameAttribute: string
}

export interface MailLimits {
  /** What happens within so long is notified in one mail. */
  readonly gatherMs: number
  /** Between two mails to the same person. */
  readonly intervalMs: number
  /** Older notifications are not sent any more. */
  readonly maxAgeMs: number
  /** An event that finds no account is notified after so long. */
  readonly unresolvedAfterMs: number
  /** Mails in a second, while few are pending. */
  readonly perSecond: number
}
