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
 * Everything of the daemon that works by one configuration: the worker, the sweeps, and what watches the directories. A reload
 * stops one and starts the next; the store, the LDIF folders, the spool and the listener stay.
 */

const HOUSEKEEPING_MS = 600_000
/** What a command or another process found, and did not tell in this log. */
const FINDINGS_MS = 60_000
/** How long what is in work may take before its connections are closed; it is done again by the next. */
const STOP_MS = 15_000

/** What the start of the daemon leaves to be done, whichever generation gets to it. */
export interface StartDuties {
  /** `unregister/` is still to be brought in step with the record. */
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

  /** What is looked at beside that. */
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
   * Lets what is in work end, for a while; then its connections are closed under it. Nothing is written by this configuration
   * any more once it has resolved.
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

  /** What keeps changes from being written, at the start. */
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

  /** What the directory has to say of: the files of `unlock/` that are newer than the record, then those of `unregister/`. */
  async #proveFolders(wake: () => void): Promise<void> {
    const stop = this.#ended.signal
    await keepLookingAtEvidence(this.system, this.#log, wake, stop)
    if (!this.duties.isUnregisterDue || stop.aborted) return
    try {
      reportFolders(this.#log, await recoverUnregisters(this.system))
      this.duties.isUnregisterDue = false
    } catch (thrown) {
      this.#log.error('the folder unregister/ could not be brought in step', errorFields(toAppError(thrown)))
    }
    await keepLookingAtEvidence(this.system, this.#log, wake, stop)
  }
}
