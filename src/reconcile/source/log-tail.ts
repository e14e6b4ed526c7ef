import { toAppError } from '../../core/error.ts'
import type { Serial } from '../../core/names.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import type { AuthenticationMark, AuthenticationRow, PrivacyIdeaPort } from '../../ports/privacyidea.ts'

/**
 * New rows of the authentication log (3.14) since the last read: whose logins failed, as marks for refresh. It has
 * failures without any event (a failed `/auth`), and tokens that are too deep among the fail counters. Where it is not
 * known or not allowed it gives no marks.
 */
export interface LogMarks {
  readonly serials: readonly Serial[]
  readonly users: readonly UserOfSource[]
}

const NO_MARKS: LogMarks = { serials: [], users: [] }
/** The most that one read follows; a burst of more failures is left to the other parts of the sweeps. */
const SERIALS_MAX = 1_000
const USERS_MAX = 200
/** Where the log was empty: before its first row. */
const BEFORE_ALL: AuthenticationMark = { id: 0, atMs: 86_400_000 }

export class LogTail {
  readonly #source: PrivacyIdeaPort
  #mark: AuthenticationMark | null = null
  #isClosed = false
  /** What could not be followed yet. */
  #left: LogMarks = NO_MARKS

  constructor(source: PrivacyIdeaPort) {
    this.#source = source
  }

  /** The right may have been given, or privacyIDEA updated, meanwhile. */
  reopen(): void {
    this.#isClosed = false
  }

  /** These could not be followed: they are returned again the next time, the newest of them where they are too many. */
  keep({ serials, users }: LogMarks): void {
    this.#left = merged(this.#left, { serials, users })
  }

  /** Fails with `source-*`; the rows are then returned the next time. */
  async read(): Promise<LogMarks> {
    const left = this.#left
    const found = await this.#readNew()
    this.#left = NO_MARKS
    return merged(left, found)
  }

  async #readNew(): Promise<LogMarks> {
    if (this.#isClosed) return NO_MARKS
    try {
      const { isSupported, rows, mark } = await this.#source.authenticationLog(this.#mark)
      if (!isSupported) this.#isClosed = true
      this.#mark = mark ?? BEFORE_ALL
      return marksOf(rows)
    } catch (thrown) {
      if (toAppError(thrown).code !== 'source-not-permitted') throw thrown
      this.#isClosed = true
      return NO_MARKS
    }
  }
}

/** A row without a serial (a wrong PIN) counts on every token of its user. */
function marksOf(rows: readonly AuthenticationRow[]): LogMarks {
  const serials = new Set<Serial>()
  const users = new Map<string, UserOfSource>()
  for (const { type, serial, login, realm, resolver, userId } of rows) {
    if (!isFailure(type)) continue
    if (serial !== null) serials.add(serial)
    else if (login !== null && realm !== null && resolver !== null && userId !== null) {
      users.set(`${resolver} ${userId}`, { login, realm, resolver, userId })
    }
  }
  return { serials: [...serials].slice(-SERIALS_MAX), users: [...users.values()].slice(-USERS_MAX) }
}

function merged(a: LogMarks, b: LogMarks): LogMarks {
  const users = new Map([...a.users, ...b.users].map((user) => [`${user.resolver} ${user.userId}`, user]))
  return {
    serials: [...new Set([...a.serials, ...b.serials])].slice(-SERIALS_MAX),
    users: [...users.values()].slice(-USERS_MAX),
  }
}

/** A success resets a counter; every scan reads what held an account before in any case. */
function isFailure(type: string): boolean {
  return !type.endsWith('SUCCESS')
}
