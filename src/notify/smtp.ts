import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import nodemailer, { type SMTPPoolOptions, type Transporter } from 'nodemailer'
import { caTrouble } from '../core/settings/ca-file.ts'
import { AppError } from '../core/error.ts'
import { systemRefusal } from '../core/system-error.ts'
import { isLoopback } from '../core/loopback.ts'
import type { SmtpSettings } from '../core/settings/mail-settings.ts'
import type { MailMessage, MailTransport } from '../ports/store/mail.ts'
import type { SecretReader } from '../ports/secret.ts'
import { ehloNameOf } from './ehlo-name.ts'
import { errorOfSmtp, type SmtpFacts } from './smtp-error.ts'

/** Mail by SMTP. The settings are read anew, and so is the password, whenever connections are opened anew. */

const CONNECTIONS_MAX = 3
const MAILS_PER_CONNECTION_MAX = 100
const DNS_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 1_000
const ANSWER_BYTES_MAX = 65_536

export function openSmtp(settings: SmtpSettings, readSecret: SecretReader): MailTransport {
  const facts = smtpFacts(settings)
  let open: Transporter | null = null
  const close = (force: boolean): void => {
    open?.close({ force })
    open = null
  }
  return {
    async send(message) {
      open ??= nodemailer.createTransport({
        ...smtpOptions(settings, readSecret),
        getSocket: (_options: unknown, done: SocketDone) => openSocket(settings, done),
      })
      const used = open
      try {
        await used.sendMail(asNodemailer(message))
      } catch (thrown) {
        const error = errorOfSmtp(thrown, facts)
        // Connections are not used again after they failed, or after a refused password.
        if (open === used && error.code !== 'mail-refused' && error.code !== 'mail-deferred') close(false)
        throw error
      }
    },
    rest: () => close(false),
    [Symbol.asyncDispose]() {
      close(true)
      return Promise.resolve()
    },
  }
}

export function smtpName({ isSecure, host, port }: SmtpSettings): string {
  return `mail server ${isSecure ? 'smtps' : 'smtp'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

export function smtpFacts(settings: SmtpSettings): SmtpFacts {
  return { where: smtpName(settings), ehloName: ehloNameOf(settings), hasLogin: settings.login !== null }
}

/** Fails with `config-invalid` and `file-*` for a secret or a certificate that cannot be read. */
export function smtpOptions(settings: SmtpSettings, readSecret: SecretReader): SMTPPoolOptions & { pool: true } {
  const { host, port, isSecure, login } = settings
  const isPlain = mayBePlain(settings)
  return {
    pool: true,
    maxConnections: CONNECTIONS_MAX,
    maxMessages: MAILS_PER_CONNECTION_MAX,
    // A mail that was sent and not answered is sent again by our own record.
    maxRequeues: 0,
    host,
    port,
    name: ehloNameOf(settings),
    secure: isSecure,
    requireTLS: !isSecure && !isPlain,
    ignoreTLS: isPlain,
    tls: {
      minVersion: 'TLSv1.2',
      ...(settings.tlsServerName === null ? {} : { servername: settings.tlsServerName }),
      ...(settings.caFile === null ? {} : { ca: readCa(settings.caFile) }),
    },
    ...(login === null ? {} : { auth: { user: login.user, pass: readSecret(login.password) } }),
    connectionTimeout: settings.connectTimeoutMs,
    greetingTimeout: settings.connectTimeoutMs,
    socketTimeout: settings.timeoutMs,
    dnsTimeout: Math.min(DNS_TIMEOUT_MS, settings.connectTimeoutMs),
    socketCloseTimeout: CLOSE_TIMEOUT_MS,
    maxResponseSize: ANSWER_BYTES_MAX,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  }
}

type SocketDone = (error: Error | null, options?: { connection: Socket }) => void

/**
 * A socket that sends at once. Otherwise the end of a mail would wait for the answer to the part before (Nagle); a
 * process that dies meanwhile would leave a mail that was sent and is not recorded as sent.
 */
function openSocket({ host, port, connectTimeoutMs }: SmtpSettings, done: SocketDone): void {
  const socket = connect({ host, port, noDelay: true })
  const fail = (error: Error): void => {
    clearTimeout(timer)
    socket.destroy()
    done(error)
  }
  const timer = setTimeout(() => {
    fail(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }))
  }, connectTimeoutMs)
  socket.once('error', fail)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.removeListener('error', fail)
    done(null, { connection: socket })
  })
}

/**
 * Without TLS only where the configuration allows it, and to this machine itself, unless a CA was configured for it.
 */
export function mayBePlain({ isSecure, startTls, host, caFile }: SmtpSettings): boolean {
  if (isSecure) return false
  return startTls === 'off' || (caFile === null && isLoopback(host))
}

function readCa(file: string): Buffer {
  try {
    const bytes = readFileSync(file)
    const trouble = caTrouble(bytes, file)
    if (trouble === null) return bytes
    throw new AppError('mail-tls', `the key mail.ca: ${trouble.what}`, { hint: trouble.fix })
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const reason = systemRefusal(cause).why
    throw new AppError('mail-tls', `cannot read the CA file ${file}: ${reason}`, {
      hint: 'Correct mail.ca, or make the file readable for the user that Lockstep runs as.',
      cause,
    })
  }
}

/** Addresses are passed as objects, so that none is parsed again. */
function asNodemailer(message: MailMessage): Parameters<Transporter['sendMail']>[0] {
  const { from, to, replyTo } = message
  return {
    messageId: message.messageId,
    date: new Date(message.dateMs),
    from,
    to: { name: '', address: to },
    ...(replyTo === null ? {} : { replyTo: { name: '', address: replyTo } }),
    envelope: { from: from.address, to: [to] },
    subject: message.subject,
    text: message.text,
    html: message.html,
    attachments: (message.inline ?? []).map(({ id, name, type, bytes }) => ({
      cid: id,
      filename: name,
      contentType: type,
      content: Buffer.from(bytes),
      contentDisposition: 'inline' as const,
    })),
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
  }
}
