import { directoryPhrase, dryRunText } from '../core/guards/guard.ts'
import { toAppError } from '../core/error.ts'
import { keepAccountLines, writeAccountLines } from './account-lines.ts'
import { startEngine, type Engine } from '../app/engine.ts'
import { keepLookingAtEvidence } from '../app/evidence/evidence.ts'
import { keepBounded } from './housekeeping.ts'
import { keepClock } from './watch/keep-clock.ts'
import { errorFields, type ServiceLog } from '../app/log.ts'
import { recoverUnregisters } from '../app/evidence/recover-folders.ts'
import { reportFolders } from '../app/evidence/folder-report.ts'
import { sweep } from './sweeps.ts'
import type { System } from '../app/system.ts'
import { within } from '../ports/delay.ts'
import { every, inBackground } from './timers.ts'
import { watchAnnouncements } from './watch/unannounced-locks.ts'
import { keepVerified, lookAtAll } from './verifications.ts'
import { watchServers } from './watch/watch-servers.ts'

/**
 * All parts of the daemon that depend on one configuration: the worker, the sweeps, and the watchers of the
 * directories. A reload stops one generation and starts the next; the store, the LDIF folders, the spool and the
 * listener stay.
 */

const HOUSEKEEPING_MS = 600_000
/** Interval for findings of a command or another process that are not in this log yet. */
const FINDINGS_MS = 60_000
/** How long work in progress may take before its connections are closed; the next generation does it again. */
const STOP_MS = 15_000

/** Work left over from the start of the daemon; the first generation that can does it. */
export interface StartDuties {
  /** `unregister/` is not in sync with the record yet. */
  isUnregisterDue: boolean
}

export class Generation {
  readonly system: System
  readonly #log: ServiceLog
  readonly duties: StartDuties
  readonly #ended = new AbortController()
  #engine: Engine | null = null
  #timers: readonly NodeJS.Timeout[] = []
  #loops: Promise<unknown> = Promise.resolve()
  #lines: Promise<void> = Promise.resolve()

  /** @param system it becomes the generation's own, and is closed with it */
  constructor(system: System, log: ServiceLog, duties: StartDuties) {
    this.system = system
    this.#log = log
    this.duties = duties
  }

  /** Takes events and accounts from now on. */
  work(): Engine {
    this.#engine ??= startEngine(this.system, this.#log)
    return this.#engine
  }

  /** Starts the watchers beside that. */
  watch(): void {
    const { system } = this
    const stop = this.#ended.signal
    const wake = (): void => this.#engine?.worker.wake()
    this.#log.use(system.settings.log)
    this.#tellGuards()
    this.#loops = Promise.all([
      this.#proveFolders(wake),
      ...(system.source === null ? [] : [sweep(system, system.source, wake, this.#log, stop)]),
      watchServers(system, this.#log, wake, stop),
      keepVerified(system, this.#log, wake, stop),
      watchAnnouncements(system, this.#log, stop),
      keepClock(system, this.#log, { wake, notify: async () => this.#engine?.notifyFindings() }, stop),
    ])
    this.#lines = keepAccountLines(system, this.#log, stop)
    this.#timers = [
      every(system.settings.resync.fullMs, this.#log, async () => {
        await system.store.maintenance.markUnsettled(system.clock.nowMs())
        await lookAtAll(system)
        wake()
      }),
      every(FINDINGS_MS, this.#log, async () => this.#engine?.notifyFindings()),
      every(HOUSEKEEPING_MS, this.#log, () => keepBounded(system.settings, system.store, system.clock)),
    ]
  }

  /**
   * Waits for the work in progress, for a limited time; then its connections are closed. After it resolves nothing more
   * is written by this configuration.
   */
  async stop(): Promise<void> {
    this.#ended.abort()
    for (const timer of this.#timers) clearInterval(timer)
    const working = this.#engine?.stop() ?? Promise.resolve()
    if (!(await within(working, STOP_MS))) {
      this.#log.warn('what is in work takes long; its connections are closed, and it is done again', {
        waitedMs: STOP_MS,
      })
    }
    await this.#lines
    await writeAccountLines(this.system, this.#log)
    await this.system[Symbol.asyncDispose]()
    await working
    await this.#loops
  }

  /** Reports at the start which guards hold changes back. */
  #tellGuards(): void {
    const { settings, store } = this.system
    const dryRun = dryRunText(settings.guards.dryRun)
    if (dryRun !== null) this.#log.warn(`dry run: ${dryRun}`)
    inBackground(this.#log, async () => {
      for (const { directory, sinceMs, by, reason } of await store.switches.pauses()) {
        const since = new Date(sinceMs).toISOString()
        this.#log.warn(`changes${directoryPhrase(directory)} are paused`, { since, by, reason })
      }
    })
  }

  /**
   * Checks files against the directory: those of `unlock/` that are newer than the record, then those of `unregister/`.
   */
  async #proveFolders(wake: () => void): Promise<void> {
    const stop = this.#ended.signal
    await keepLookingAtEvidence(this.system, this.#log, wake, stop)
    if (!this.duties.isUnregisterDue || stop.aborted) return
    try {
      reportFolders(this.#log, await recoverUnregisters(this.system))
      this.duties.isUnregisterDue = false
    } catch (thrown) {
      this.#log.error('the folder unregister/ could not be synchronized', errorFields(toAppError(thrown)))
    }
    await keepLookingAtEvidence(this.system, this.#log, wake, stop)
  }
}
