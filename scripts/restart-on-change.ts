import type { ChildProcess } from 'node:child_process'
import { watch } from 'node:fs'
import { endProcess } from './end-process.ts'

/** An editor writes several files, and one file several times: it is over when nothing came for so long. */
const QUIET_MS = 200

/** A program that runs, and is started anew after each change of its files. */
export interface Restarting extends AsyncDisposable {
  /** How often it was started. */
  readonly starts: number
}

/**
 * Starts a program, and again whenever a file of the folders changes; the one before has ended by then. One that ends by
 * itself is started at the next change.
 * @param say what happened, in a sentence for the terminal
 */
export function restartOnChange(
  folders: readonly string[],
  start: () => ChildProcess,
  say: (text: string) => void,
): Restarting {
  let starts = 0
  let isOver = false
  let ended: ChildProcess | null = null
  let child = started()
  let restarting: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  function started(): ChildProcess {
    starts++
    const one = start()
    one.once('exit', (code, signal) => {
      if (one !== ended) say(`It ended (${code ?? signal}), and is started again after the next change.`)
    })
    return one
  }

  async function restart(name: string | null): Promise<void> {
    if (isOver) return
    say(`${name ?? 'A file'} has changed: it is started again.`)
    await end()
    child = started()
  }

  async function end(): Promise<void> {
    ended = child
    await endProcess(child, 'SIGTERM')
  }

  const watchers = folders.map((folder) =>
    watch(folder, { recursive: true }, (_event, name) => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        restarting = restarting.then(() => restart(name))
      }, QUIET_MS)
    }),
  )
  return {
    get starts() {
      return starts
    },
    async [Symbol.asyncDispose]() {
      for (const watcher of watchers) watcher.close()
      clearTimeout(timer)
      isOver = true
      await restarting
      await end()
    },
  }
}
