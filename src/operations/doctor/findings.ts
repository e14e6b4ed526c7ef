import { toAppError, type ErrorCode } from '../../core/error.ts'

/** One thing that `lockstep doctor` looked at. */
export interface Finding {
  /** `skip`: it was not looked at, so that nothing is known of it; `fix` says how to have it done. */
  readonly status: 'ok' | 'skip' | 'warn' | 'fail'
  /** What was looked at: `this machine`, `directory corp`. */
  readonly area: string
  /** One word for scripts: `bind`, `ppolicy-overlay`. */
  readonly check: string
  /** What was found. */
  readonly what: string
  /** Why it matters; '' when all is well. */
  readonly why: string
  /** What to do, ready to copy where that is possible, perhaps several lines; '' when all is well. */
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
