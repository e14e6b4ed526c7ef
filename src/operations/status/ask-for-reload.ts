import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { isOwnerDead, placeOfOwner } from '../../store/engine/process-owner.ts'
import type { DaemonRow } from '../../store/engine/process-lock.ts'
import type { ReloadOutcome } from '../../store/servers/running-config.ts'
import type { Store } from '../../store/store.ts'
import { openStoreIfAny } from '../../app/state-store.ts'
import { delay } from '../../ports/delay.ts'

const LOOK_MS = 50

/**
 * Requests a reload of the configuration from the daemon of this store, and waits for the outcome. Fails with
 * `not-serving` (none here, or it ended meanwhile), `not-ready` (it did not answer in time) and `file-not-permitted`
 * (it is another user's).
 */
export async function askForReload(settings: Settings, timeoutMs: number): Promise<ReloadOutcome> {
  const { file } = settings.store
  await using store = await openStoreIfAny(settings)
  if (store === null) throw noDaemon(file)
  const daemon = await store.processLock.daemon()
  if (daemon === null || daemon.readyMs === null || (await store.running.read()) === null) throw noDaemon(file)
  const begunBefore = (await store.running.reload())?.begun ?? 0
  hangUp(daemon)
  return await outcomeAfter(store, daemon, begunBefore, timeoutMs)
}

/** A reload that begins from now on reads the file as it is now; the sender of its signal does not matter. */
async function outcomeAfter(
  store: Store,
  { owner, pid }: DaemonRow,
  begunBefore: number,
  timeoutMs: number,
): Promise<ReloadOutcome> {
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    const state = await store.running.reload()
    if (state !== null && state.outcome !== null && state.ended > begunBefore) return state.outcome
    if (isOwnerDead(owner))
      throw new AppError('not-serving', `the daemon (process ${pid}) has ended meanwhile`, { hint: LOG })
    if (performance.now() >= deadlineMs) {
      throw new AppError('not-ready', `the daemon (process ${pid}) has not answered within ${span(timeoutMs)}`, {
        hint: `It goes on with what it had until it has tried everything. ${LOG}`,
      })
    }
    await delay(LOOK_MS)
  }
}

const LOG = 'Its log shows more: journalctl -u lockstep'

/** Exactly this process: a process id may belong to another one by now. */
function hangUp({ owner, pid }: DaemonRow): void {
  const place = placeOfOwner(owner)
  if (place === 'other-pid-namespace') {
    // Its process id is another process's here.
    throw new AppError('not-serving', `the daemon runs in another PID namespace (a container)`, {
      hint: 'Give the command there, for instance: docker exec NAME lockstep reload',
    })
  }
  if (place === 'other-host') {
    throw new AppError('not-serving', `the daemon runs on another host (${owner.split(':')[0] ?? ''})`, {
      hint: 'Give the command there.',
    })
  }
  if (isOwnerDead(owner)) throw new AppError('not-serving', `the daemon (process ${pid}) has ended`)
  try {
    process.kill(pid, 'SIGHUP')
  } catch (thrown) {
    throw new AppError('file-not-permitted', `the daemon (process ${pid}) is another user’s`, {
      cause: thrown,
      hint: 'Give the command as that user, or as root: sudo lockstep reload',
    })
  }
}

function noDaemon(file: string): AppError {
  return new AppError('not-serving', `no daemon serves the store ${file}`, {
    hint: 'The next start loads the configuration: systemctl start lockstep. Was the key store changed? That needs a restart.',
  })
}
