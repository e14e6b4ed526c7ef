import { toAppError } from '../../core/error.ts'
import type { DirectoryName } from '../../core/names.ts'
import type { ServerState } from '../../ports/directory.ts'
import { errorFields, type Log } from '../../app/log.ts'
import { delay, unlessStopped } from '../../ports/delay.ts'
import type { System } from '../../app/system.ts'

/** The status of the servers of each directory: checked at intervals, recorded when it changes, reported once. */

/** Interval of reading what the work itself has found about the servers; no request is sent. */
const NOTICE_MS = 1_000
/** Interval of requests to each server, also to those that are not needed. */
const ASK_MS = 30_000

type Watched = Pick<System, 'directory' | 'store' | 'clock'>

/** Servers that are not reported: they are used, or could be. */
const FINE: ReadonlySet<ServerState['is']> = new Set(['up', 'untried'])

/**
 * @param wake called when locks were made due because a server is back
 * @param stop ends it
 */
export async function watchServers(system: Watched, log: Log, wake: () => void, stop: AbortSignal): Promise<void> {
  await Promise.all(system.directory.names().map((name) => watch({ system, name, log, wake }, stop)))
}

/** Checks all servers once, and puts the result on record; for use without a daemon. */
export async function noteServers({ directory, store }: Watched): Promise<void> {
  for (const name of directory.names()) {
    const isOne = directory.servers(name).length === 1
    // Work has already shown whether the only server answers.
    const now = isOne ? directory.servers(name) : await directory.lookAtServers(name)
    if (now.some(({ is }) => is !== 'untried')) await store.serverStates.note(name, now)
  }
}

interface Watching {
  readonly system: Watched
  readonly name: DirectoryName
  readonly log: Log
  readonly wake: () => void
}

async function watch(watching: Watching, stop: AbortSignal): Promise<void> {
  const { system, name, log } = watching
  const { directory, clock } = system
  let before: readonly ServerState[] = []
  let askedMs = 0
  while (!stop.aborted) {
    try {
      const isDue = Math.abs(clock.nowMs() - askedMs) >= ASK_MS
      if (isDue) askedMs = clock.nowMs()
      const now = isDue ? await unlessStopped(directory.lookAtServers(name), stop) : directory.servers(name)
      if (now === null) return
      if (isDue || now.some(({ is }, index) => is !== before[index]?.is)) {
        await note(watching, before, now)
        before = now
      }
    } catch (thrown) {
      const fields = { directory: name, ...errorFields(toAppError(thrown)) }
      log.error('the servers of a directory could not be looked at', fields)
    }
    await delay(NOTICE_MS, stop)
  }
}

async function note(watching: Watching, before: readonly ServerState[], now: readonly ServerState[]): Promise<void> {
  const { system, name, log, wake } = watching
  const { store, clock } = system
  await store.serverStates.note(name, now)
  for (const [index, { url, is, reason }] of now.entries()) {
    const was = before[index]?.is ?? 'untried'
    if (was === is) continue
    if (!FINE.has(is)) log.warn(`a directory server is ${is}`, { directory: name, url, reason })
    else if (!FINE.has(was)) {
      log.info('a directory server is up again', { directory: name, url })
      // Changes that it missed have to arrive there too.
      if (now.length > 1 && (await store.verification.markAll([name], clock.nowMs())) > 0) wake()
    }
  }
}
