import { parseEhloName } from '../../core/mail/ehlo-name.ts'
import { parseMailAddress, parseMailbox, type MailAddress, type Mailbox } from '../../core/mail/mail-address.ts'
import { MAIL_LANGUAGES } from '../../core/mail/mail-language.ts'
import { NOTICE_KINDS, OWNER_KINDS } from '../../core/mail/notice.ts'
import { derived, nullable, optionalSection, required, section, withDefault } from './keys.ts'
import { list, Reason, single } from './value.ts'
import * as values from './values.ts'

/** The section `mail` of the YAML file, key by key. */

export interface SmtpUrl {
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
}

const PORT_SMTP = 25
const PORT_SMTPS = 465
const TEXT_LENGTH_MAX = 500
const TEXT = { type: 'string', minLength: 1, maxLength: TEXT_LENGTH_MAX }

const smtpUrl = single(
  'an smtp:// or smtps:// URL with a host and perhaps a port, as in smtp://mail.example.org:587',
  TEXT,
  (raw): SmtpUrl | Reason => {
    if (typeof raw !== 'string' || !URL.canParse(raw) || !/^smtps?:\/\//i.test(raw)) return new Reason('')
    const url = new URL(raw)
    if (url.username !== '' || url.password !== '') {
      return new Reason('it holds credentials; they belong into user and passwordFile')
    }
    if (url.hostname === '') return new Reason('it has no host')
    if (url.search !== '' || url.hash !== '' || (url.pathname !== '' && url.pathname !== '/')) {
      return new Reason('there is something after the host and port')
    }
    const isSecure = /^smtps:/i.test(raw)
    const port = url.port === '' ? (isSecure ? PORT_SMTPS : PORT_SMTP) : Number(url.port)
    return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, isSecure }
  },
)

const address = single('a mail address, as in helpdesk@example.org', TEXT, (raw): MailAddress | Reason => {
  return (typeof raw === 'string' ? parseMailAddress(raw) : null) ?? new Reason('')
})

const mailbox = single(
  'a mail address, perhaps with a name, as in Lockstep <lockstep@example.org>',
  TEXT,
  (raw): Mailbox | Reason => (typeof raw === 'string' ? parseMailbox(raw) : null) ?? new Reason(''),
)

const timeZone = single('the name of a time zone, as in Europe/Berlin', TEXT, (raw): string | Reason => {
  if (typeof raw !== 'string') return new Reason('')
  try {
    return new Intl.DateTimeFormat('en', { timeZone: raw }).resolvedOptions().timeZone
  } catch {
    return new Reason('')
  }
})

const ehloName = single(
  'a name in DNS, as in lockstep.example.org, or an address in brackets and quotes, as in "[192.0.2.1]" or "[IPv6:2001:db8::1]"',
  { type: 'string', minLength: 1, maxLength: 255 },
  (raw): string | Reason => {
    if (Array.isArray(raw)) return new Reason('YAML reads brackets as a list: put quotes around them')
    if (typeof raw !== 'string') return new Reason('')
    const isBare = parseEhloName(`[${raw}]`) !== null || parseEhloName(`[IPv6:${raw}]`) !== null
    return parseEhloName(raw) ?? new Reason(isBare ? 'an address is written in brackets' : '')
  },
)

const contact = single('a text of at most 500 characters', TEXT, (raw): string | Reason =>
  typeof raw === 'string' && raw.trim() !== '' && raw.length <= TEXT_LENGTH_MAX ? raw.trim() : new Reason(''),
)

const OWNER = {
  kinds: withDefault(
    list(values.choice(OWNER_KINDS), 0, OWNER_KINDS.length, '[locked, unlocked]'),
    ['locked', 'unlocked'],
    'What the owner of an account is notified of. Empty: nothing.',
  ),
  from: withDefault(
    values.choice(['directory', 'privacyidea']),
    'directory',
    'Where address and name come from: attributes of the account, or the user as privacyIDEA has them (with `privacyidea` only).',
  ),
  addressAttribute: withDefault(values.attribute, 'mail', 'The attribute that holds the address.'),
  languageAttribute: withDefault(
    values.attribute,
    'preferredLanguage',
    'The attribute that holds the language, as in `de` or `de-AT, en;q=0.5`.',
  ),
  nameAttribute: withDefault(values.attribute, 'displayName', 'The attribute that holds the name for the greeting.'),
}

const HELP_DESK = {
  addresses: withDefault(list(address, 0, 20, '[helpdesk@example.org]'), [], 'Each gets mails of its own.'),
  kinds: withDefault(
    list(values.choice(NOTICE_KINDS), 0, NOTICE_KINDS.length, '[breaker, unresolved]'),
    NOTICE_KINDS.filter((kind) => kind !== 'failed'),
    'What the help desk is notified of; docs/how-to/mail.md says what each kind is.',
  ),
  language: derived(values.choice(MAIL_LANGUAGES), 'the key language', 'The language of its mails.'),
}

const LIMITS = {
  gather: withDefault(
    values.duration(0, 3_600_000),
    '15s',
    'What happens to somebody within this time is reported in one mail.',
  ),
  interval: withDefault(
    values.duration(0, 86_400_000),
    '15m',
    'Between two mails to the same person; what happens meanwhile is reported in the next.',
  ),
  maxAge: withDefault(values.duration(60_000, 30 * 86_400_000), '1d', 'Older notifications are not sent any more.'),
  unresolvedAfter: withDefault(
    values.duration(1000, 86_400_000),
    '15m',
    'An event that finds no account for so long is reported.',
  ),
  perSecond: withDefault(
    values.integer(1, 50),
    2,
    'Mails in a second. Where many wait it is more, so that they are gone within about five minutes.',
  ),
}

const MAIL = {
  smtp: required(
    smtpUrl,
    'The mail server. `smtps://` is TLS from the start (port 465), `smtp://` port 25 or the one that is written.',
  ),
  startTls: withDefault(
    values.choice(['required', 'off']),
    'required',
    'For `smtp://`: `required` sends nothing before the connection is secure; a loopback address needs none. `off` sends in the clear.',
  ),
  ca: nullable(values.path, 'PEM file of the certification authorities to trust. Without it those that Node.js ships.'),
  tlsServerName: nullable(values.text, "The name that the certificate must carry, where it is not the URL's host."),
  user: derived(values.text, null, 'The user to log in as. Left out: no login.'),
  passwordFile: derived(values.path, null, 'File that holds the password, mode 0600. This or `passwordEnv`.'),
  passwordEnv: derived(values.environmentName, null, 'Environment variable that holds the password.'),
  ehloName: derived(
    ehloName,
    "the machine's full name: its host name where that has a domain, else as /etc/hosts has it; else `[127.0.0.1]`",
    'What this machine calls itself to the mail server (EHLO). Many servers want a full name that is in DNS.',
  ),
  connectTimeout: withDefault(values.duration(100, 120_000), '10s', 'To connect, and to be greeted.'),
  timeout: withDefault(
    values.duration(1000, 1_200_000),
    '5m',
    'Without a sign of life from the server. A server that takes a mail and answers later than this gets it twice.',
  ),
  from: required(mailbox, 'The sender.'),
  replyTo: nullable(address, 'Where answers go, where that is not the sender.'),
  owner: section(OWNER, 'Mail to the owner of an account.'),
  helpDesk: section(HELP_DESK, 'Mail to those who look after it.'),
  language: withDefault(values.choice(MAIL_LANGUAGES), 'en', 'For people whose language is not known.'),
  timeZone: nullable(timeZone, "The time zone of the times in mails. Without it this machine's."),
  contact: nullable(
    contact,
    'Whom the owner can turn to, as in "IT service desk, phone 1234". Several lines may be written.',
  ),
  templates: nullable(
    values.path,
    'Folder with templates of your own, which stand before the built-in ones; see docs/how-to/mail.md.',
  ),
  limits: section(LIMITS, 'What keeps mail from becoming a storm.'),
}

export const mailKey = optionalSection(
  MAIL,
  null,
  'Mail to owners and the help desk, see docs/how-to/mail.md. Left out: none is sent.',
)
