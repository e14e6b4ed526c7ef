import { toAppError, type AppError, type ErrorCode } from '../../core/error.ts'
import { enrolleeKey, type Enrollee, type Enrollment } from '../../core/source/enrollment.ts'
import type { Serial } from '../../core/names.ts'
import { enroll, type EnrollOptions, type EnrollOutcome, type EnrollPorts, type NotMade } from './enroll.ts'
import { delay } from '../../ports/delay.ts'

/** New tokens for many users: so many at once, at a rate, to the end or until an error of all of them. */
export interface RolloutOptions extends EnrollOptions {
  /** Milliseconds between two new tokens at least. */
  readonly everyMs: number
  /** Ends it after those that are under way. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: RolloutProgress) => void
}

export interface RolloutProgress {
  readonly seen: number
  readonly of: number
  readonly made: number
}

export interface RolloutRow {
  readonly login: string
  readonly realm: string
  readonly serial: Serial | null
  /** Null where it went well. */
  readonly whyCode: NotMade['code'] | null
  readonly whyParams: NotMade['params']
  readonly why: string
}

export interface RolloutReport {
  readonly rollout: string
  readonly dryRun: boolean
  readonly users: number
  /** Made now; with dryRun: would be made. */
  readonly made: readonly RolloutRow[]
  /** Made by an earlier run. */
  readonly doneBefore: number
  readonly skipped: readonly RolloutRow[]
  readonly failed: readonly RolloutRow[]
  /** Not processed, since it was stopped. */
  readonly left: number
  /** What stopped it; null: it is complete. */
  readonly stopped: { readonly code: ErrorCode | 'broken-off'; readonly message: string; readonly hint: string } | null
}

/** privacyIDEA makes about four tokens a second; the mail server has its own pace. */
const AT_ONCE = 4

export async function rollOut(
  enrollees: readonly Enrollee[],
  ports: EnrollPorts,
  options: RolloutOptions,
): Promise<RolloutReport> {
  const records = await ports.rollouts.read(options.rollout, enrollees)
  const before = new Map<string, Enrollment>(records.map((record) => [enrolleeKey(record), record]))
  const tally = new Tally(enrollees, options)
  const pace = newPace(options)
  let next = 0
  const work = async (): Promise<void> => {
    while (tally.stopped === null && !options.signal.aborted) {
      const enrollee = enrollees[next]
      next += 1
      if (enrollee === undefined) return
      const record = before.get(enrolleeKey(enrollee)) ?? null
      try {
        if (record?.state !== 'done' && !options.isDryRun) await pace()
        if (options.signal.aborted) return
        tally.add(enrollee, await enroll(enrollee, record, ports, options))
      } catch (thrown) {
        tally.stopped ??= toAppError(thrown)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return tally.report(options.signal.aborted)
}

class Tally {
  stopped: AppError | null = null
  readonly #enrollees: readonly Enrollee[]
  readonly #options: RolloutOptions
  readonly #made: RolloutRow[] = []
  readonly #skipped: RolloutRow[] = []
  readonly #failed: RolloutRow[] = []
  #doneBefore = 0

  constructor(enrollees: readonly Enrollee[], options: RolloutOptions) {
    this.#enrollees = enrollees
    this.#options = options
  }

  add({ login, realm }: Enrollee, outcome: EnrollOutcome): void {
    const row = (serial: Serial | null, why: NotMade | null = null): RolloutRow => {
      return { login, realm, serial, whyCode: why?.code ?? null, whyParams: why?.params ?? {}, why: why?.why ?? '' }
    }
    if (outcome.kind === 'made') this.#made.push(row(outcome.serial))
    else if (outcome.kind === 'would-make') this.#made.push(row(null))
    else if (outcome.kind === 'done-before') this.#doneBefore += 1
    else (outcome.kind === 'skipped' ? this.#skipped : this.#failed).push(row(null, outcome))
    this.#options.onProgress({ seen: this.#seen(), of: this.#enrollees.length, made: this.#made.length })
  }

  #seen(): number {
    return this.#made.length + this.#skipped.length + this.#failed.length + this.#doneBefore
  }

  report(isBrokenOff: boolean): RolloutReport {
    const error = this.stopped
    const brokenOff = {
      code: 'broken-off' as const,
      message: 'it was broken off',
      hint: 'Start it again the same way: it goes on.',
    }
    return {
      rollout: this.#options.rollout,
      dryRun: this.#options.isDryRun,
      users: this.#enrollees.length,
      made: this.#made,
      doneBefore: this.#doneBefore,
      skipped: this.#skipped,
      failed: this.#failed,
      left: this.#enrollees.length - this.#seen(),
      stopped:
        error !== null
          ? { code: error.code, message: error.message, hint: error.hint }
          : isBrokenOff && this.#seen() < this.#enrollees.length
            ? brokenOff
            : null,
    }
  }
}

/** Lets one through at this interval, in the order in which they come. */
function newPace({ everyMs, signal }: RolloutOptions): () => Promise<void> {
  let nextMs = 0
  return async () => {
    const nowMs = performance.now()
    const waitMs = Math.max(0, nextMs - nowMs)
    nextMs = Math.max(nowMs, nextMs) + everyMs
    if (waitMs > 0) await delay(waitMs, signal)
  }
}
