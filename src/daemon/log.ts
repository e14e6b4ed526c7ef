import type { AppError } from '../core/error.ts'

/**
 * The service's log: one line an entry on stderr, `<level> <message> key=value …`, for systemd's journal (which adds the
 * time; elsewhere LOCKSTEP_LOG_TIME=1 does). Bounded in rate, since every fact is in Lockstep's own journal as well.
 */
export interface Log {
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

export type Fields = Readonly<Record<string, string | number | null>>

const LINES_PER_SECOND_MAX = 20
const VALUE_LENGTH_MAX = 500

export function openLog(stream: { write(text: string): unknown }, withTime: boolean): Log {
  let second = 0
  let lines = 0
  let left = 0
  const write = (level: string, message: string, fields: Fields = {}): void => {
    const now = Math.floor(Date.now() / 1000)
    if (now !== second) {
      if (left > 0) stream.write(`warn ${left} more log lines were left out\n`)
      second = now
      lines = left = 0
    }
    if (++lines > LINES_PER_SECOND_MAX) {
      left++
      return
    }
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(String(value))}`)
    const time = withTime ? `${new Date().toISOString()} ` : ''
    stream.write(`${time}${level} ${quote(message, true)}${rest.join('')}\n`)
  }
  return {
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
  }
}

/** For a command that tells itself how the accounts stand. */
export function errorsOnly(log: Log): Log {
  return { info: () => undefined, warn: () => undefined, error: (message, fields) => log.error(message, fields) }
}

/** Keeps an entry on its line whatever it holds. */
function quote(text: string, bare = false): string {
  const cut = text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text
  // eslint-disable-next-line no-control-regex -- control characters are what it replaces
  const safe = cut.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
  return bare || /^[\w.:/@,=+-]+$/.test(safe) ? safe : JSON.stringify(safe)
}

export function errorFields(error: AppError): Fields {
  return { code: error.code, reason: error.message, ...(error.hint === '' ? {} : { hint: error.hint }) }
}
