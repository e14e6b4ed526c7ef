import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

const ENTRY = fileURLToPath(new URL('../../src/cli/lockstep.ts', import.meta.url))
const TIMEOUT_MS = 30_000

/** Runs `lockstep ARGS` from the source as a process of its own, without a terminal. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runProgram(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY, ...args], options)
}

export function runProgram(program: string, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? '/',
      env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env },
      timeout: TIMEOUT_MS,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    // A program that ends at once has not read it.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}
