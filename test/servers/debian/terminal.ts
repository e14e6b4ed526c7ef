import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

/** A program on a pseudo terminal (test/servers/debian/terminal.py; takes python3). */
export interface Terminal extends AsyncDisposable {
  /** All that came so far, with its escape sequences; each line ends with \r\n. */
  raw(): string
  /** The same without them, in lines. */
  lines(): string[]
  type(text: string): void
  resize(columns: number, rows: number): void
  /** Its exit code, once it has ended. */
  ended(): Promise<number>
}

export interface TerminalOptions {
  readonly columns?: number
  readonly rows?: number
  readonly env?: Readonly<Record<string, string>>
}

const HELPER = fileURLToPath(new URL('terminal.py', import.meta.url))
const RUN_TIMEOUT_MS = 180_000

export function startOnTerminal(program: readonly string[], options: TerminalOptions = {}): Terminal {
  const { columns = 80, rows = 40, env = {} } = options
  const { NO_COLOR: _colour, CI: _ci, ...inherited } = process.env
  const child = spawn('python3', [HELPER, String(columns), String(rows), ...program], {
    cwd: '/',
    env: { ...inherited, TERM: 'xterm-256color', TZ: 'Europe/Berlin', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: RUN_TIMEOUT_MS,
  })
  return terminalOf(child)
}

function terminalOf(child: ChildProcess): Terminal {
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => void chunks.push(chunk))
  // Somebody may type while it ends.
  child.stdin?.on('error', () => undefined)
  const closed = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === null) reject(new Error(`the terminal was ended by ${signal ?? 'nobody'}`))
      else resolve(code)
    })
  })
  closed.catch(() => undefined)
  const raw = (): string => Buffer.concat(chunks).toString()
  return {
    raw,
    lines: () => {
      // A line of progress is written over.
      const shown = raw()
        .replaceAll('\r\n', '\n')
        .replaceAll(/[^\n]*\r\u001b\[K/g, '')
      return stripVTControlCharacters(shown).trimEnd().split('\n')
    },
    type: (text) => void child.stdin?.write(`type ${text}\n`),
    resize: (columns, rows) => void child.stdin?.write(`resize ${columns} ${rows}\n`),
    ended: () => closed,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      // The program gets SIGHUP, as where a window is closed.
      child.kill('SIGTERM')
      await closed.catch(() => undefined)
    },
  }
}

/** What a command prints, and its exit code, once it has ended. */
export async function runOnTerminal(
  program: readonly string[],
  options: TerminalOptions = {},
): Promise<{ readonly code: number; readonly lines: readonly string[]; readonly raw: string }> {
  await using terminal = startOnTerminal(program, options)
  const code = await terminal.ended()
  return { code, lines: terminal.lines(), raw: terminal.raw() }
}
