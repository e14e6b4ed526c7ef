import type { AppError, ErrorCode } from '../core/error.ts'
import type { LogSettings } from '../core/settings/settings.ts'

/**
 * The service's log: one line an entry on stderr, `<level> <message> key=value …`, for systemd's journal (which adds
 * the time; elsewhere LOCKSTEP_LOG_TIME=1 does), or one JSON object. Limited in rate, since every fact is in Lockstep's
 * own journal too.
 */
export interface Log {
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

/** Of a process that works in the background, as `serve` and `drain`. */
export interface ServiceLog extends Log {
  /** Changes of accounts, in their order; not limited in rate, so that none is missing. */
  accounts(lines: readonly AccountLine[]): void
  /** Applies from now on. */
  use(settings: LogSettings): void
}

export interface AccountLine {
  readonly level: 'info' | 'warn'
  readonly event: string
  readonly fields: Fields
}

/** `code` is always logged; `reason`, `hint` and `fix` are sentences, which may name a person: see withoutPersons. */
export type Fields = Readonly<Record<string, string | number | null>>

const LINES_PER_SECOND_MAX = 20
const VALUE_LENGTH_MAX = 500
const LEVELS = ['info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]
/** Until the configuration is read. */
const USUAL: LogSettings = { format: 'logfmt', level: 'info', persons: 'login' }

/** @param withTime the format `json` has the time in any case */
export function openLog(stream: { write(text: string): unknown }, withTime: boolean): ServiceLog {
  let settings = USUAL
  let second = 0
  let lines = 0
  let left = 0
  const isWritten = (level: Level): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(settings.level)
  const lineOf = (level: Level, message: string, fields: Fields): string => {
    if (settings.format === 'json') return `${jsonLine(now(), level, message, fields)}\n`
    return `${withTime ? `${now()} ` : ''}${textLine(level, message, fields)}\n`
  }
  const put = (level: Level, message: string, fields: Fields = {}): void => {
    const shown = settings.persons === 'account-id' ? withoutPersons(fields) : fields
    if (isWritten(level)) stream.write(lineOf(level, message, shown))
  }
  const bounded = (level: Level, message: string, fields?: Fields): void => {
    const atSecond = Math.floor(Date.now() / 1000)
    if (atSecond !== second) {
      if (left > 0) put('warn', `${left} more log lines were left out`)
      second = atSecond
      lines = left = 0
    }
    if (++lines > LINES_PER_SECOND_MAX) left++
    else put(level, message, fields)
  }
  return {
    info: (message, fields) => bounded('info', message, fields),
    warn: (message, fields) => bounded('warn', message, fields),
    error: (message, fields) => bounded('error', message, fields),
    // One write for all of them: a system call costs more than a line.
    accounts: (entries) => {
      const kept = entries.filter(({ level }) => isWritten(level))
      if (kept.length === 0) return
      stream.write(kept.map(({ level, event, fields }) => lineOf(level, event, fields)).join(''))
    },
    use: (next) => void (settings = next),
  }
}

/** Their sentences name a server of privacyIDEA or of mail, a file, or this machine; never an account or its user. */
const NAMES_NO_PERSON: ReadonlySet<unknown> = new Set<ErrorCode>([
  'source-unreachable',
  'source-timeout',
  'source-tls',
  'mail-unreachable',
  'mail-timeout',
  'mail-tls',
  'store-busy',
  'store-unavailable',
  'store-corrupt',
  'disk-full',
  'file-not-permitted',
  'file-io',
  'address-in-use',
  'already-running',
  'not-ready',
  'not-serving',
])

/** The codes identify the cause; the sentences are in `lockstep status` and `lockstep show`. */
function withoutPersons(fields: Fields): Fields {
  if (NAMES_NO_PERSON.has(fields['code'])) return fields
  const { reason: _reason, hint: _hint, fix: _fix, ...rest } = fields
  return rest
}

function now(): string {
  return new Date().toISOString()
}

/** For a command that reports the status of the accounts itself. */
export function errorsOnly(log: Log): Log {
  const nothing = (): void => undefined
  return { info: nothing, warn: nothing, error: (message, fields) => log.error(message, fields) }
}

function textLine(level: Level, message: string, fields: Fields): string {
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${value === null ? NONE : quote(String(value))}`)
  return `${level} ${escaped(message)}${rest.join('')}`
}

function jsonLine(time: string, level: Level, message: string, fields: Fields): string {
  const short = Object.entries(fields).map(([key, value]) => [key, typeof value === 'string' ? cut(value) : value])
  return escaped(JSON.stringify({ time, level, message, ...Object.fromEntries(short) }))
}

/** Means no value; a real value that looks like that is quoted. */
const NONE = '-'
const BARE = /^(?!-$)[\w.:/@,+-]+$/

/** Keeps an entry on its line, and each value separate, with any content. */
function quote(text: string): string {
  const short = cut(text)
  return BARE.test(short) ? short : escaped(JSON.stringify(short))
}

function cut(text: string): string {
  return text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text
}

/** Characters that end a line, move a terminal's cursor, change the direction of the text, or are invisible. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu

function escaped(text: string): string {
  return text.replaceAll(UNSEEN, (found) =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
      '',
    ),
  )
}

export function errorFields(error: AppError): Fields {
  return { code: error.code, reason: error.message, ...(error.hint === '' ? {} : { hint: error.hint }) }
}
