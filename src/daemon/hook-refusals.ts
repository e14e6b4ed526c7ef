import { toAppError } from '../core/error.ts'
import type { Reason, ReasonParams } from '../core/reasons/reason.ts'
import type { HookRefusal } from '../http/hook.ts'
import type { System } from '../app/system.ts'
import { errorFields, type Log } from '../app/log.ts'
import { delay } from '../ports/delay.ts'

/**
 * Requests that the webhook refused, counted by cause: a finding each, and a line in the log once a minute. Neither the path nor
 * the secret is kept, since a secret with one wrong character is nearly the right one.
 */

const LOOK_MS = 1_000
const REPORT_EVERY_MS = 60_000
/** A finding ends when nothing was refused for so long, over restarts. */
const QUIET_MS = 3_600_000

type RefusedParams = ReasonParams['webhook-secret-wrong']
type Store = Pick<System['store'], 'findings'>

interface Count {
  count: number
  /** Number that is not in the log yet. */
  fresh: number
  readonly sinceMs: number
  lastMs: number
  from: string
  reportedMs: number
}

export class HookRefusals {
  readonly #store: Store
  readonly #clock: System['clock']
  readonly #counts = new Map<HookRefusal, Count>()

  constructor(store: Store, clock: System['clock']) {
    this.#store = store
    this.#clock = clock
  }

  note(why: HookRefusal, from: string): void {
    const nowMs = this.#clock.nowMs()
    const known = this.#counts.get(why)
    if (known === undefined) {
      this.#counts.set(why, { count: 1, fresh: 1, sinceMs: nowMs, lastMs: nowMs, from, reportedMs: -Infinity })
      return
    }
    known.count++
    known.fresh++
    known.lastMs = nowMs
    known.from = from
  }

  /** @param stop ends it */
  async keep(log: Log, stop: AbortSignal): Promise<void> {
    await this.#goOn(log)
    while (!stop.aborted) {
      for (const [why, count] of this.#counts) await this.#report(why, count, log, REPORT_EVERY_MS)
      await delay(LOOK_MS, stop)
    }
    for (const [why, count] of this.#counts) await this.#report(why, count, log, 0)
  }

  /** Starts with the counts of an earlier daemon. */
  async #goOn(log: Log): Promise<void> {
    try {
      for (const { kind, subject, params } of await this.#store.findings.open()) {
        if (kind !== 'webhook-secret-wrong' && kind !== 'webhook-refused') continue
        const { count, sinceMs, lastMs = this.#clock.nowMs(), from } = params as RefusedParams
        const why = subject as HookRefusal
        const { count: more = 0, fresh = 0, ...now } = this.#counts.get(why) ?? { lastMs, from }
        this.#counts.set(why, { ...now, count: count + more, fresh, sinceMs, reportedMs: -Infinity })
      }
    } catch (thrown) {
      log.error('what the webhook refused before could not be read', errorFields(toAppError(thrown)))
    }
  }

  /** @param afterMs refusals since the last line are gathered for so long */
  async #report(why: HookRefusal, count: Count, log: Log, afterMs: number): Promise<void> {
    const reason = reasonOf(why, count)
    try {
      if (count.fresh > 0 && performance.now() - count.reportedMs >= afterMs) {
        log.warn('webhook refused', { cause: why, count: count.fresh, from: count.from })
        ;[count.fresh, count.reportedMs] = [0, performance.now()]
        await this.#store.findings.raise({ subject: why, reason })
      }
      if (this.#clock.nowMs() - count.lastMs > QUIET_MS) {
        this.#counts.delete(why)
        await this.#store.findings.end(reason.code, why)
      }
    } catch (thrown) {
      log.error('what the webhook refused could not be put on record', errorFields(toAppError(thrown)))
    }
  }
}

function reasonOf(
  why: HookRefusal,
  { count, sinceMs, lastMs, from }: Count,
): Reason<'webhook-secret-wrong' | 'webhook-refused'> {
  const params = { count, sinceMs, lastMs, from }
  if (why === 'wrong-secret') return { code: 'webhook-secret-wrong', params }
  return { code: 'webhook-refused', params: { ...params, cause: why } }
}
