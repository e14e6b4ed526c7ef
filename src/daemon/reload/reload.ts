import type { LoadedConfig } from '../../config/load.ts'
import { showProblem } from '../../config/problem.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { HttpServer } from '../../http/server.ts'
import type { ReloadOutcome } from '../../store/servers/running-config.ts'
import { noteForms, refuseLostMarks } from '../../app/keep-marks.ts'
import { HeldIdentities } from './held-identities.ts'
import { errorFields, type Log } from '../../app/log.ts'
import { refuseMistakes } from './refuse-mistakes.ts'
import { checkServers } from './reload-check.ts'
import { withoutRestart } from './reload-settings.ts'
import { openOn, type Base, type System } from '../../app/system.ts'
import { unlessStopped } from '../../ports/delay.ts'

/**
 * Loads the configuration anew. Everything in the new one is opened and tested before anything of the old one is
 * stopped. After a mistake the old one stays in effect, and the outcome on record has the reason.
 */

/** The actions of a reload, in this order. */
export interface Reloaded {
  /** The settings in effect. */
  running(): Settings
  /**
   * Stops the old and starts the new, which is open.
   * @param record puts on record the findings of the new one from its test
   */
  swap(system: System, record: () => Promise<void>): Promise<void>
}

export interface ReloaderOptions {
  readonly base: Base
  readonly log: Log
  readonly env: NodeJS.ProcessEnv
  readonly load: () => LoadedConfig
  readonly http: HttpServer | null
  readonly daemon: Reloaded
  /** The daemon is to stop. */
  readonly stop: AbortSignal
}

export class Reloader implements AsyncDisposable {
  readonly #options: ReloaderOptions
  #isWanted = false
  #running: Promise<void> | null = null

  constructor(options: ReloaderOptions) {
    this.#options = options
  }

  /** A request during a reload causes one more after it, once for all requests. */
  request(): void {
    this.#isWanted = true
    this.#running ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, stop } = this.#options
    while (this.#isWanted && !stop.aborted) {
      this.#isWanted = false
      try {
        await this.#once()
      } catch (thrown) {
        log.error('the outcome of the reload could not be put on record', errorFields(toAppError(thrown)))
      }
    }
    this.#running = null
  }

  async #once(): Promise<void> {
    const { base, log } = this.#options
    const { running } = base.store
    const number = await running.reloadBegun()
    let outcome: ReloadOutcome
    try {
      outcome = await this.#reload()
      const { changed, restart } = outcome
      log.info('the configuration is loaded anew', { changed: changed.join(' '), restart: restart.join(' ') })
      for (const warning of outcome.warnings)
        log.warn('the configuration is loaded, with a warning', { reason: warning })
    } catch (thrown) {
      const error = toAppError(thrown)
      log.error('the configuration is not loaded; the one from before goes on', errorFields(error))
      const { code, message, hint } = error
      outcome = { is: 'failed', endedMs: base.clock.nowMs(), code, message, hint }
    }
    await running.reloadEnded(number, outcome)
  }

  async #reload(): Promise<Extract<ReloadOutcome, { is: 'done' }>> {
    const { base, env, load, http, daemon, stop } = this.#options
    const loaded = load()
    await refuseMistakes(loaded.settings, env)
    const { settings, changed, restart } = withoutRestart(daemon.running(), loaded.settings)
    await refuseLostMarks(settings, base.store)
    const useHttp = settings.intake.http === null ? undefined : http?.prepare(settings.intake.http)
    await using opened = new AsyncDisposableStack()
    const identities = new HeldIdentities(base.store.identities)
    const system = opened.use(await openOn(base, settings, identities))
    const down = await unlessStopped(checkServers(system, daemon.running()), stop)
    if (down === null || stop.aborted) throw new AppError('not-ready', 'the daemon is stopping')
    // From here on the new one is in effect, also after a failure.
    opened.move()
    useHttp?.()
    await daemon.swap(system, () => identities.takeEffect())
    await noteForms(settings, base.store)
    await base.store.running.loaded(settings, changed)
    const warnings = [...loaded.warnings.map((each) => showProblem(settings.file, each)), ...down]
    return { is: 'done', endedMs: base.clock.nowMs(), changed, restart, warnings }
  }
}
