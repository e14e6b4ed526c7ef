import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { troubleMs } from '../core/mail/mail-times.ts'
import type { Settings } from '../core/settings/settings.ts'
import type { Fields, Log } from '../app/log.ts'
import type { System } from '../app/system.ts'

/**
 * A separate process sends mail. It does not slow down the locks. Where the daemon is killed, it finishes the mails in
 * progress and puts them on record before it ends, so that almost no mail is sent twice.
 */

/** The message to the process, sent once by its parent. */
export interface MailOrder {
  readonly settings: Settings
  /** `once`: mails on record and due now, then it ends. */
  readonly mode: 'serve' | 'once'
}

/** The process's message: a line for the log. */
export interface MailLogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Fields
}

const ENTRY = import.meta.url.endsWith('.ts') ? './mail-process.ts' : './mail-process.js'
/** It reads a file now and then; only the daemon needs threads for many syncs at once. */
const THREADS = '4'
const HEAP_OPTIONS = ['--max-old-space-size=96', '--max-semi-space-size=4', '--disable-warning=ExperimentalWarning']
/** How long a stop waits for a server that has a mail and does not answer; longer than the process itself waits. */
const STOP_MS = 6_000

/**
 * Called before any other work: from here on events are reported by mail. In a dry run nothing is reported, since
 * nothing happens.
 */
export async function beginMail({ settings, store }: Pick<System, 'settings' | 'store'>): Promise<void> {
  if (settings.mail === null) return
  if (settings.guards.dryRun.isForAll) await store.notifications.skip()
  else await store.notifications.begin()
}

/**
 * The process that sends the daemon's mail, by the present configuration; where no mail is to be sent there is none.
 */
export class Mailing implements AsyncDisposable {
  readonly #store: System['store']
  readonly #log: Log
  #keeper: MailKeeper | null = null

  constructor(store: System['store'], log: Log) {
    this.#store = store
    this.#log = log
  }

  /** Called before any other work by this configuration. */
  begin(settings: Settings): Promise<void> {
    return beginMail({ settings, store: this.#store })
  }

  /** The process from before ends first, after its mails in progress. */
  async send(settings: Settings): Promise<void> {
    await this[Symbol.asyncDispose]()
    const isSent = settings.mail !== null && !settings.guards.dryRun.isForAll
    this.#keeper = isSent ? new MailKeeper(settings, this.#log) : null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const keeper = this.#keeper
    this.#keeper = null
    await keeper?.[Symbol.asyncDispose]()
  }
}

/** For a drain: makes mails of its results, and sends those that are due. A daemon beside it does that itself. */
export async function sendMailOnce({ settings, store }: System, log: Log): Promise<void> {
  if (settings.mail === null || settings.guards.dryRun.isForAll) return
  if ((await store.processLock.daemon()) !== null) return
  const child = start({ settings, mode: 'once' }, log)
  await ended(child)
}

/** Keeps one such process running. */
class MailKeeper implements AsyncDisposable {
  readonly #settings: Settings
  readonly #log: Log
  #child: ChildProcess
  #failures = 0
  #isStopping = false
  #timer: NodeJS.Timeout | null = null

  constructor(settings: Settings, log: Log) {
    this.#settings = settings
    this.#log = log
    this.#child = this.#start()
  }

  #start(): ChildProcess {
    const child = start({ settings: this.#settings, mode: 'serve' }, this.#log)
    child.once('exit', (code, signal) => {
      if (this.#isStopping) return
      const waitMs = troubleMs(this.#failures++)
      this.#log.error('the process that sends mail ended; another one is started', { code, signal, waitMs })
      this.#timer = setTimeout(() => (this.#child = this.#start()), waitMs)
    })
    return child
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    if (child.connected) child.disconnect()
    await ended(child)
    clearTimeout(timer)
  }
}

function start(order: MailOrder, log: Log): ChildProcess {
  const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const
  // The parent handles a terminal's Ctrl-C, and ends the process.
  const child = fork(fileURLToPath(new URL(ENTRY, import.meta.url)), [], {
    execArgv: HEAP_OPTIONS,
    stdio: [...stdio],
    detached: true,
    env: { ...process.env, UV_THREADPOOL_SIZE: THREADS },
  })
  child.on('message', (word: MailLogLine) => log[word.level](word.message, word.fields))
  child.on('error', (error) => log.error('the process that sends mail could not be started', { reason: error.message }))
  child.send(order, () => undefined)
  return child
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) resolve()
    else child.once('exit', () => resolve())
  })
}
