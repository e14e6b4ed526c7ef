import { toAppError, type ErrorCode } from '../../core/error.ts'
import type { Failing, LiveSigns } from '../../core/health/health.ts'
import type { Clock } from '../../ports/clock.ts'
import type { IntakePort } from '../../ports/intake.ts'
import type { WriteListener } from '../../store/engine/store-writer.ts'

/** Signs that only the serving process has: whether events are put on record, and the store is written. */

/** On a nearly full disk small writes succeed between large ones that fail: a failure counts for so long in any case. */
const WRITE_FAILED_MS = 20_000
/** Not every sender repeats a refused event, so the next success may be far away. */
const INTAKE_FAILED_MAX_MS = 600_000
/** Errors of a write of the store that the disk or the file causes. */
const OF_STORE: readonly ErrorCode[] = [
  'disk-full',
  'store-unavailable',
  'store-corrupt',
  'file-not-permitted',
  'file-io',
]

interface Mark {
  code: string
  sinceMs: number
  lastMs: number | null
  isFailing: boolean
}

function newMark(): Mark {
  return { code: '', sinceMs: 0, lastMs: null, isFailing: false }
}

export class LiveMarks implements WriteListener {
  readonly #clock: Clock
  readonly #intake = newMark()
  readonly #store = newMark()
  #isStoreGone = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  signs(): LiveSigns {
    const nowMs = this.#clock.nowMs()
    const store = isFresh(this.#store, nowMs) || this.#store.isFailing ? failing(this.#store) : null
    const isOver = store === null && nowMs - (this.#intake.lastMs ?? 0) > INTAKE_FAILED_MAX_MS
    const intake = this.#intake.isFailing && !isOver ? failing(this.#intake) : null
    return { store, intake, isStoreGone: this.#isStoreGone }
  }

  get lastFailedIntakeMs(): number | null {
    return this.#intake.lastMs
  }

  get lastFailedWriteMs(): number | null {
    return this.#store.lastMs
  }

  committed(): void {
    this.#store.isFailing = false
  }

  failed(thrown: unknown): void {
    const { code } = toAppError(thrown)
    if (code === 'store-gone') this.#isStoreGone = true
    if (OF_STORE.includes(code)) this.#fail(this.#store, code)
  }

  /** The same intake, with its results watched. */
  watched(port: IntakePort): IntakePort {
    return {
      take: async (events, refused) => {
        try {
          await port.take(events, refused)
          this.#intake.isFailing = false
        } catch (thrown) {
          this.#fail(this.#intake, toAppError(thrown).code)
          throw thrown
        }
      },
    }
  }

  #fail(mark: Mark, code: string): void {
    const nowMs = this.#clock.nowMs()
    if (!mark.isFailing && !isFresh(mark, nowMs)) mark.sinceMs = nowMs
    Object.assign(mark, { code, lastMs: nowMs, isFailing: true })
  }
}

function isFresh({ lastMs }: Mark, nowMs: number): boolean {
  return lastMs !== null && nowMs - lastMs < WRITE_FAILED_MS
}

function failing({ code, sinceMs }: Mark): Failing {
  return { code, sinceMs }
}
