import { toAppError, type AppError } from '../core/error.ts'
import type { LoadedConfig } from '../config/load.ts'
import { secretReader } from '../config/secret.ts'
import type { HttpSettings, Settings } from '../core/settings/settings.ts'
import type { HookRefusal } from '../http/hook.ts'
import type { HttpOptions, HttpServer } from '../http/server.ts'
import { openSpool } from '../intake/spool.ts'
import { readWebhook } from '../intake/webhook.ts'
import { systemClock } from '../ports/clock.ts'
import type { IntakePort } from '../ports/intake.ts'
import { HEARTBEAT_MS } from '../store/engine/process-owner.ts'
import { takeAuthorshipOfFiles } from '../app/evidence/authorship-of-files.ts'
import { noteFolders } from '../app/evidence/folder-report.ts'
import { Generation, type StartDuties } from './generation.ts'
import { HookRefusals } from './hook-refusals.ts'
import type { Hangups } from './hangups.ts'
import { HealthMonitor } from './watch/health-monitor.ts'
import { keepFolders } from './watch/keep-folders.ts'
import { noteForms, refuseLostMarks } from '../app/keep-marks.ts'
import { LiveMarks } from '../app/health/live-signs.ts'
import { errorFields, type ServiceLog } from '../app/log.ts'
import { Mailing } from './mail.ts'
import { recoverUnlocks } from '../app/evidence/recover-folders.ts'
import { ConfigFileLook } from '../app/health/config-reasons.ts'
import { Reloader } from './reload/reload.ts'
import { notifySystemd } from './sd-notify.ts'
import { storeRulesOf } from '../app/state-store.ts'
import { noteStore } from '../app/store-mark.ts'
import { openBase, openOn, type Base, type System } from '../app/system.ts'
import { every } from './timers.ts'
import { lookAtAll } from './verifications.ts'
import { unlessStopped } from '../ports/delay.ts'

/** The daemon: opens everything, reports that it is ready, serves until it is to stop. */

export interface ServeOptions {
  readonly log: ServiceLog
  readonly env: NodeJS.ProcessEnv
  /** Aborted by SIGTERM and SIGINT. */
  readonly stop: AbortSignal
  /** Raised by SIGHUP. */
  readonly hangups: Hangups
  /** Reads the configuration anew. */
  readonly load: () => LoadedConfig
}

/** Interval of the check that the store's file is still there; each write checks too. */
const STORE_LOOK_MS = 1_000

/**
 * Fails with `already-running`, `address-in-use`, `config-invalid` (see refuseLostMarks), and as opening the store and
 * the folders does; with `store-unavailable` when the disk fails meanwhile, with `store-gone` when the store's file is
 * removed.
 */
export async function serve(settings: Settings, options: ServeOptions): Promise<void> {
  const { log } = options
  await using opened = new AsyncDisposableStack()
  const base = opened.use(await openBase(settings))
  const { store, clock } = base
  const { processLock } = store
  await processLock.becomeDaemon()
  opened.defer(() => processLock.resign())
  await refuseLostMarks(settings, store)
  await noteForms(settings, store)
  await store.use(storeRulesOf(settings))
  await store.running.loaded(settings, null)
  const system = await openOn(base, settings)
  const isAlone = await prepare(system, opened, log)
  const daemon = new Daemon(base, new Generation(system, log, { isUnregisterDue: isAlone }), log)
  opened.use(daemon)
  await daemon.start()
  const onError = (error: AppError): void => log.error('cannot take events from the spool', errorFields(error))
  const onWarning = (warning: AppError): void => log.warn('spool', errorFields(warning))
  const marks = new LiveMarks(clock)
  store.listen(marks)
  const intake = marks.watched(daemon.intake)
  const file = new ConfigFileLook(options.load)
  const health = opened.use(new HealthMonitor({ settings: () => daemon.running(), store, marks, log, file }))
  const spool = opened.use(await openSpool({ dir: settings.intake.spool, intake, onError, onWarning }))
  noteStore(settings, log)
  spool.watch()
  const { http: httpSettings } = settings.intake
  const isFit = (): boolean => health.isFit()
  const refusals = new HookRefusals(store, clock)
  const onHook = { isReady: isFit, onRefused: (why: HookRefusal, from: string) => refusals.note(why, from) }
  const http = httpSettings === null ? null : opened.use(await openHttp(httpSettings, intake, onHook, options))
  if (http !== null) log.info('webhook listens', { address: http.address })
  await processLock.beat()
  await health.start()
  log.info('ready', { pid: process.pid, store: settings.store.file, spool: settings.intake.spool })
  void notifySystemd(['READY=1', 'STATUS=serving'], options.env)
  daemon.watch()
  const kept = new AbortController()
  const keeping = Promise.all([
    keepFolders({ store, ldif: base.ldif, clock }, () => noteStore(settings, log), log, kept.signal),
    refusals.keep(log, kept.signal),
  ])
  opened.defer(async () => {
    kept.abort()
    await keeping
  })
  const { env, load, stop, hangups } = options
  const reloader = opened.use(new Reloader({ base, log, env, load, http, daemon, stop }))
  hangups.listen(() => reloader.request())
  await untilStopped(base, options)
  log.info('stopping')
  void notifySystemd(['STOPPING=1'], options.env)
}

/** Checks and preparations before anything is written. @returns true: no other process works on this store */
async function prepare(system: System, opened: AsyncDisposableStack, log: ServiceLog): Promise<boolean> {
  const { processLock } = system.store
  await processLock.freeDeadLeases()
  opened.defer(() => processLock.leave())
  const isAlone = await processLock.enter()
  if (isAlone) await noteFolders(system, log, await recoverUnlocks(system))
  await takeAuthorshipOfFiles(system)
  await processLock.prepared()
  await system.store.maintenance.markUnsettled(systemClock.nowMs())
  await lookAtAll(system)
  return isAlone
}

/** The parts that depend on the present configuration, and the intake for their events. */
class Daemon implements AsyncDisposable {
  readonly #base: Base
  readonly #log: ServiceLog
  readonly #mailing: Mailing
  readonly #duties: StartDuties
  #generation: Generation
  #engine: IntakePort | null = null

  constructor(base: Base, generation: Generation, log: ServiceLog) {
    this.#base = base
    this.#log = log
    this.#generation = generation
    this.#duties = generation.duties
    this.#mailing = new Mailing(base.store, log)
  }

  /** Between two generations, events are put on record, and the next generation processes them. */
  readonly intake: IntakePort = {
    take: (events, refused) =>
      this.#engine === null ? this.#base.store.inbox.take(events, refused) : this.#engine.take(events, refused),
  }

  running(): Settings {
    return this.#generation.system.settings
  }

  async start(): Promise<void> {
    await this.#mailing.begin(this.running())
    this.#engine = this.#generation.work().intake
    await this.#mailing.send(this.running())
  }

  watch(): void {
    this.#generation.watch()
  }

  /** After any failure the new one runs in the end. */
  async swap(system: System, record: () => Promise<void>): Promise<void> {
    const { store, clock } = this.#base
    this.#engine = null
    await this.#tried(() => this.#generation.stop())
    this.#generation = new Generation(system, this.#log, this.#duties)
    this.#log.use(system.settings.log)
    await this.#tried(record)
    await this.#tried(() => store.use(storeRulesOf(system.settings)))
    await this.#tried(() => this.#mailing.begin(system.settings))
    this.#engine = this.#generation.work().intake
    this.watch()
    // Accounts held up by a guard, a realm without a directory or a wrong setting are checked again by the new
    // configuration.
    await this.#tried(() => store.maintenance.markUnsettled(clock.nowMs()))
    await this.#tried(() => store.maintenance.retryWaiting(clock.nowMs()))
    await this.#tried(() => lookAtAll(system))
    this.#generation.work().worker.wake()
    await this.#tried(() => this.#mailing.send(system.settings))
  }

  async #tried(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      this.#log.error('a step of the reload failed', errorFields(toAppError(thrown)))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#generation.stop()
    await this.#mailing[Symbol.asyncDispose]()
  }
}

/** Loaded only where it is configured. */
async function openHttp(
  settings: HttpSettings,
  intake: IntakePort,
  onHook: Pick<HttpOptions, 'isReady' | 'onRefused'>,
  { log, env }: ServeOptions,
): Promise<HttpServer> {
  const { startHttp } = await import('../http/server.ts')
  return startHttp({
    settings,
    intake,
    clock: systemClock,
    readHook: readWebhook,
    readSecret: secretReader(env),
    ...onHook,
    onError: (error) => log.error('webhook failed', errorFields(error)),
  })
}

async function untilStopped({ store }: Base, { log, stop }: ServeOptions): Promise<void> {
  const ended = new AbortController()
  const any = AbortSignal.any([stop, ended.signal])
  const timer = every(HEARTBEAT_MS, log, async () => {
    try {
      await store.processLock.beat()
      // Work in progress of a killed drain goes on here.
      await store.processLock.freeDeadLeases()
    } catch (thrown) {
      if (toAppError(thrown).code === 'already-running') ended.abort()
      throw thrown
    }
  })
  const look = setInterval(() => store.look(), STORE_LOOK_MS)
  try {
    await unlessStopped(store.failed, any)
  } catch (thrown) {
    log.error('the daemon ends', errorFields(toAppError(thrown)))
    throw thrown
  } finally {
    clearInterval(look)
    clearInterval(timer)
  }
}
