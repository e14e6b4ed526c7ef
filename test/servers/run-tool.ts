import { spawn } from 'node:child_process'

export interface ToolResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const TOOL_TIMEOUT_MS = 120_000

/** Runs a program to its end. It never fails for an exit code; a program that is not there fails with `missing`. */
export async function runTool(
  program: string,
  args: readonly string[],
  options: {
    input?: string
    cwd?: string
    missing?: string
    env?: Readonly<Record<string, string>>
    timeoutMs?: number
  } = {},
): Promise<ToolResult> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? TOOL_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(options.missing ?? error.message, { cause: error })))
    child.once('close', (exit, signal) => resolve(exit ?? (signal === null ? -1 : 128)))
  })
  return { code, stdout: Buffer.concat(stdout).toString('utf8'), stderr: Buffer.concat(stderr).toString('utf8') }
}

/** As `runTool`, and an exit code other than 0 is an error. */
export async function runToolOk(...call: Parameters<typeof runTool>): Promise<ToolResult> {
  const result = await runTool(...call)
  if (result.code !== 0) throw new Error(`${call[0]} failed with ${result.code}: ${result.stderr || result.stdout}`)
  return result
}
