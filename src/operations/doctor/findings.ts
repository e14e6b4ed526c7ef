import { toAppError, type ErrorCode } from '../../core/error.ts'

/** One check of `lockstep doctor`. */
export interface Finding {
  /** `skip`: it was not checked, so nothing is known of it; `fix` states how to get it checked. */
  readonly status: 'ok' | 'skip' | 'warn' | 'fail'
  /** What was checked: `this machine`, `directory corp`. */
  readonly area: string
  /** A code for scripts: `bind`, `ppolicy-overlay`. */
  readonly check: string
  /** What was found. */
  readonly what: string
  /** Why it matters; '' without a problem. */
  readonly why: string
  /** What to do, ready to copy where that is possible, perhaps several lines; '' without a problem. */
  readonly fix: string
  /** The error behind it, where there is one. */
  readonly code: ErrorCode | null
}

export interface Trouble {
  readonly what: string
  readonly why: string
  readonly fix: string
  readonly code?: ErrorCode
}

/** What is to be said of a failure. @param mend what to do, where the failure does not say it */
export function troubleOf(thrown: unknown, why: string, mend = 'See the message.'): Trouble {
  const { message, hint, code } = toAppError(thrown)
  return { what: message, why, fix: hint || mend, code }
}

/** The findings of one area, in the order in which they were made. */
export class Findings {
  readonly #area: string
  readonly #found: Finding[] = []

  constructor(area: string) {
    this.#area = area
  }

  get all(): readonly Finding[] {
    return this.#found
  }

  ok(check: string, what: string): void {
    this.#found.push({ status: 'ok', area: this.#area, check, what, why: '', fix: '', code: null })
  }

  skip(check: string, trouble: Trouble): void {
    this.#add('skip', check, trouble)
  }

  warn(check: string, trouble: Trouble): void {
    this.#add('warn', check, trouble)
  }

  fail(check: string, trouble: Trouble): void {
    this.#add('fail', check, trouble)
  }

  #add(status: 'skip' | 'warn' | 'fail', check: string, { what, why, fix, code }: Trouble): void {
    this.#found.push({ status, area: this.#area, check, what, why, fix, code: code ?? null })
  }
}
