import type { ReadStream, WriteStream } from 'node:tty'

/**
 * The parts of the process that a command may use. Commands print their result to `stdout`, everything else to
 * `stderr`, throw an AppError to fail, and set `exitCode` where there are several kinds of success; none calls
 * process.exit.
 */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: ReadStream
  readonly stdout: WriteStream
  readonly stderr: WriteStream
  exitCode: number
}

export function processIo(): CliIo {
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    exitCode: 0,
  }
}
