import { Writable } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { AppError, toAppError } from '../../core/error.ts'
import { delay } from '../../ports/delay.ts'
import { EXIT, exitOf } from '../terminal/exit.ts'
import type { CliIo } from '../terminal/io.ts'
import { exactMoment } from '../terminal/moment.ts'
import { durationOption } from '../terminal/options.ts'

/**
 * `lockstep status --watch`: on a terminal one picture that is overwritten, on the terminal's second screen, so that
 * the first one stays unchanged; else, and with TERM=dumb, one block after the other. Ends with 0 at SIGINT and
 * SIGTERM, and where the reader is gone.
 */

const INTERVAL_DEFAULT = '2s'
const INTERVAL_MS_MIN = 100
const INTERVAL_MS_MAX = 86_400_000

const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
/** Clears the rest of an earlier, longer line or picture. */
const CLEAR_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'

export function intervalOption(value: string | true): number {
  const text = value === true ? INTERVAL_DEFAULT : value
  const ms = durationOption('--watch', text)
  if (ms >= INTERVAL_MS_MIN && ms <= INTERVAL_MS_MAX) return ms
  throw new AppError('usage', `--watch ${text}: expected 100ms to 1d`)
}

interface Watching {
  readonly intervalMs: number
  readonly isJson: boolean
  /** Prints the present status; a failure to read it is thrown. Called once at a time. */
  readonly show: (io: CliIo) => Promise<void>
  /** Prints a failure instead. */
  readonly showFailure: (io: CliIo, error: AppError) => void
}

/** Fails as the first reading does, unless a retry may succeed; a later failure is shown, and the watch goes on. */
export async function watchStatus(io: CliIo, { intervalMs, isJson, show, showFailure }: Watching): Promise<void> {
  const stop = new AbortController()
  using _ = onSignals(['SIGINT', 'SIGTERM', 'SIGHUP'], () => stop.abort())
  const gone = (): void => stop.abort()
  io.stdout.on('error', gone)
  // A terminal without escape sequences gets blocks, as a pipe does.
  using screen = io.stdout.isTTY && !isJson && io.env['TERM'] !== 'dumb' ? openScreen(io.stdout) : null
  let isFirst = true
  try {
    while (!stop.signal.aborted) {
      const signals = screen === null ? [stop.signal] : [stop.signal, screen.outdated()]
      const text = await pictureOf(io, { isFirst, isJson, show, showFailure })
      if (stop.signal.aborted) break
      if (screen !== null) screen.draw(text)
      else io.stdout.write(isJson || isFirst ? text : `\n${text}`)
      isFirst = false
      await delay(intervalMs, AbortSignal.any(signals))
    }
  } finally {
    io.stdout.off('error', gone)
  }
  io.exitCode = EXIT.ok
}

function onSignals(signals: readonly NodeJS.Signals[], run: () => void): Disposable {
  for (const signal of signals) process.on(signal, run)
  return {
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, run)
    },
  }
}

interface Screen extends Disposable {
  draw(picture: string): void
  /** Aborted where the size or the content of the terminal has changed. */
  outdated(): AbortSignal
}

function openScreen(stdout: WriteStream): Screen {
  let isOpen = false
  let outdated = new AbortController()
  const leave = (): void => {
    if (isOpen) stdout.write(LEAVE)
    isOpen = false
  }
  const resized = (): void => outdated.abort()
  stdout.on('resize', resized)
  // Ctrl-Z: it continues at the shell's command.
  const stopping = onSignals(['SIGTSTP'], () => {
    leave()
    process.kill(process.pid, 'SIGSTOP')
  })
  const continuing = onSignals(['SIGCONT'], resized)
  return {
    draw(picture) {
      stdout.write(`${isOpen ? '' : ENTER}${screenOf(picture, stdout)}`)
      isOpen = true
    },
    outdated() {
      outdated = new AbortController()
      return outdated.signal
    },
    [Symbol.dispose]() {
      leave()
      stdout.off('resize', resized)
      stopping[Symbol.dispose]()
      continuing[Symbol.dispose]()
    },
  }
}

async function pictureOf(
  io: CliIo,
  { isFirst, isJson, show, showFailure }: Omit<Watching, 'intervalMs'> & { readonly isFirst: boolean },
): Promise<string> {
  const picture = collector(io, isJson)
  try {
    await show(picture.io)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (isFirst && exitOf(error.code) !== EXIT.tempFail) throw thrown
    const failed = collector(io, isJson)
    showFailure(failed.io, error)
    return failed.text()
  }
  return picture.text()
}

/** An io that collects its output, with the width of the real one. Warnings are part of the picture on a terminal. */
function collector(io: CliIo, isJson: boolean): { readonly io: CliIo; text(): string } {
  const chunks: string[] = []
  const sink = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      chunks.push(chunk)
      done()
    },
  })
  const { columns } = io.stdout
  // A document is one line.
  const isTTY = io.stdout.isTTY && !isJson
  const stdout = Object.assign(sink, { isTTY, columns }) as unknown as WriteStream
  return { io: { ...io, stdout, stderr: isTTY ? stdout : io.stderr }, text: () => chunks.join('') }
}

/** The part of a picture that fits, written over the previous one; the last line of the terminal stays free. */
function screenOf(text: string, { rows }: WriteStream): string {
  const [head, ...lines] = [
    `lockstep status, ${exactMoment(Date.now())}; Ctrl-C ends it`,
    ...text.trimEnd().split('\n'),
  ]
  const room = Math.max(1, (rows || 24) - 2)
  const cut = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`]
  return `${HOME}${[head, ...cut].map((line) => `${line}${CLEAR_LINE}`).join('\n')}${CLEAR_BELOW}`
}
