import { toAppError } from '../../core/error.ts'
import type { DirectoryName } from '../../core/names.ts'
import type { ServerState } from '../../ports/directory.ts'
import { errorFields, type Log } from '../../app/log.ts'
import { delay, unlessStopped } from '../../ports/delay.ts'
import type { System } from '../../app/system.ts'

/** How the servers of each directory are: asked now and then, put on record when it changes, told once. */

/** What the work itself has seen of the servers is looked at so often; nobody is asked for it. */
const NOTICE_MS = 1_000
/** Each server is asked so often, those that are not needed as well. */
const ASK_MS = 30_000

type Watched = Pick<System, 'directory' | 'store' | 'clock'>

/** Whether a server is worth a word: it is used, or could be. */
const FINE: ReadonlySet<ServerState['is']> = new Set(['up', 'untried'])

/**
 * @param wake called when locks were made due because a server is back
 * @param stop ends it
 */
export async function watchServers(system: Watched, log: Log, wake: () => void, stop: AbortSignal): Promise<void> {
  await Promise.all(system.directory.names().map((name) => watch({ system, name, log, wake }, stop)))
}

/** Asks all servers once, and puts it on record; for who runs no daemon. */
export async function noteServers({ directory, store }: Watched): Promise<void> {
  for (const name of directory.names()) {
    const isOne = directory.servers(name).length === 1
    // Whether the only one answers has shown where there was work.
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
      // What it missed has to arrive there as well.
      if (now.length > 1 && (await store.verification.markAll([name], clock.nowMs())) > 0) wake()
    }
  }
}
