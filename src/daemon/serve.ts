import { toAppError, type AppError } from '../core/error.ts'
import { directoryPhrase, dryRunText } from '../core/guard.ts'
import { secretReader } from '../config/secret.ts'
import type { HttpSettings, Settings } from '../core/settings.ts'
import type { HttpServer } from '../http/server.ts'
import { openSpool } from '../intake/spool.ts'
import { readWebhook } from '../intake/webhook.ts'
import { systemClock } from '../ports/clock.ts'
import { HEARTBEAT_MS } from '../store/process-lock.ts'
import { startEngine, type Engine } from './engine.ts'
import { keepBounded } from './housekeeping.ts'
import { errorFields, type Log } from './log.ts'
import { sendMail } from './mail.ts'
import { recoverUnlocks, recoverUnregisters, type FolderReport } from './recover-folders.ts'
import { notifySystemd } from './sd-notify.ts'
import { sweep } from './sweeps.ts'
import { openSystem, type System } from './system.ts'
import { keepVerified, lookAtAll } from './verifications.ts'
import { watchServers } from './watch-servers.ts'

/** The daemon: opens everything, says that it is ready, serves until it is told to stop. */

const HOUSEKEEPING_MS = 600_000
/** What a command or another process found, and did not tell in this log. */
const FINDINGS_MS = 60_000

export interface ServeOptions {
  readonly log: Log
  readonly env: NodeJS.ProcessEnv
  /** Aborted by SIGTERM and SIGINT. */
  readonly stop: AbortSignal
}

/**
 * Fails with `already-running`, `address-in-use`, and what opening the store and the folders may fail with; with
 * `store-unavailable` when the disk fails meanwhile.
 */
export async function serve(settings: Settings, options: ServeOptions): Promise<void> {
  const { log } = options
  await using opened = new AsyncDisposableStack()
  const system = opened.use(await openSystem(settings))
  const { processLock } = system.store
  await processLock.becomeDaemon()
  opened.defer(() => processLock.resign())
  await processLock.freeDeadLeases()
  opened.defer(() => processLock.leave())
  const isAlone = await processLock.enter()
  if (isAlone) tellFolders(log, await recoverUnlocks(system))
  await processLock.prepared()
  await system.store.upkeep.markUnsettled(systemClock.nowMs())
  await lookAtAll(system)

  opened.use(await sendMail(system, log))
  const engine = startEngine(system, log)
  opened.defer(() => engine.stop())
  const onError = (error: AppError): void => log.error('cannot take events from the spool', errorFields(error))
  const spool = opened.use(await openSpool({ dir: settings.intake.spool, intake: engine.intake, onError }))
  spool.watch()
  if (settings.intake.http !== null) {
    const http = opened.use(await openHttp(settings.intake.http, engine, options))
    log.info('webhook listens', { address: http.address })
  }
  await processLock.beat()
  log.info('ready', { pid: process.pid, store: settings.store.file, spool: settings.intake.spool })
  tellGuards(log, system)
  void notifySystemd(['READY=1', 'STATUS=serving'], options.env)
  if (isAlone) inBackground(log, async () => tellFolders(log, await recoverUnregisters(system)))
  const swept = new AbortController()
  const sweeps =
    system.source === null ? null : sweep(system, system.source, () => engine.worker.wake(), log, swept.signal)
  opened.defer(async () => {
    swept.abort()
    await sweeps
  })
  const watched = new AbortController()
  const wake = (): void => engine.worker.wake()
  const watch = Promise.all([
    watchServers(system, log, wake, watched.signal),
    keepVerified(system, log, wake, watched.signal),
  ])
  opened.defer(async () => {
    watched.abort()
    await watch
  })
  await untilStopped(system, engine, options)
  log.info('stopping')
  void notifySystemd(['STOPPING=1'], options.env)
}

/** What keeps changes from being written, at the start. */
function tellGuards(log: Log, { settings, store }: System): void {
  const dryRun = dryRunText(settings.guards.dryRun)
  if (dryRun !== null) log.warn(`dry run: ${dryRun}`)
  inBackground(log, async () => {
    for (const { directory, sinceMs, by, reason } of await store.switches.pauses()) {
      const since = new Date(sinceMs).toISOString()
      log.warn(`changes${directoryPhrase(directory)} are paused`, { since, by, reason })
    }
  })
}

/** Loaded only where it is wanted. */
async function openHttp(settings: HttpSettings, { intake }: Engine, { log, env }: ServeOptions): Promise<HttpServer> {
  const { startHttp } = await import('../http/server.ts')
  return startHttp({
    settings,
    intake,
    clock: systemClock,
    readHook: readWebhook,
    readSecret: secretReader(env),
    isReady: () => true,
    onError: (error) => log.error('webhook failed', errorFields(error)),
  })
}

/** The timers run here, and here alone. */
async function untilStopped(system: System, engine: Engine, { log, stop }: ServeOptions): Promise<void> {
  const { settings, store } = system
  const ended = new AbortController()
  const any = AbortSignal.any([stop, ended.signal])
  const timers = [
    every(HEARTBEAT_MS, log, async () => {
      try {
        await store.processLock.beat()
        // What a drain that was killed had in its hands goes on here.
        await store.processLock.freeDeadLeases()
      } catch (thrown) {
        if (toAppError(thrown).code === 'already-running') ended.abort()
        throw thrown
      }
    }),
    every(settings.resync.fullMs, log, async () => {
      await store.upkeep.markUnsettled(systemClock.nowMs())
      await lookAtAll(system)
      engine.worker.wake()
    }),
    every(FINDINGS_MS, log, () => engine.tellFindings()),
    every(HOUSEKEEPING_MS, log, () => keepBounded(settings, store, systemClock)),
  ]
  const { promise, resolve } = Promise.withResolvers<void>()
  if (any.aborted) resolve()
  any.addEventListener('abort', () => resolve(), { once: true })
  try {
    await Promise.race([promise, store.failed])
  } finally {
    for (const timer of timers) clearInterval(timer)
  }
}

function every(intervalMs: number, log: Log, work: () => Promise<unknown>): NodeJS.Timeout {
  let isRunning = false
  return setInterval(() => {
    if (isRunning) return
    isRunning = true
    inBackground(log, async () => {
      try {
        await work()
      } finally {
        isRunning = false
      }
    })
  }, intervalMs)
}

function inBackground(log: Log, work: () => Promise<unknown>): void {
  work().catch((thrown: unknown) => log.error('upkeep failed', errorFields(toAppError(thrown))))
}

function tellFolders(log: Log, report: FolderReport): void {
  const { removed, written, strangers } = report
  if (removed + written > 0) log.info('LDIF folders were brought in step with the record', { removed, written })
  if (strangers.length > 0) {
    log.warn('LDIF files belong to no record; lockstep rebuild takes them in', { files: strangers.join(' ') })
  }
}
