import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { documentIn } from '../support/json-contract.ts'

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliResult extends Ran {
  /** The document on standard output; fails where it is not what docs/reference/json.md promises. */
  document<Shape>(): Shape
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

const ENTRY = fileURLToPath(new URL('../../src/cli/lockstep.ts', import.meta.url))
const TIMEOUT_MS = 120_000

/** Runs `lockstep ARGS` from the source as a process of its own, without a terminal. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const ran = await runProgram(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY, ...args], options)
  return { ...ran, document: <Shape>() => documentIn(ran.stdout, args, ran.code) as Shape }
}

export function runProgram(program: string, args: readonly string[], options: CliOptions = {}): Promise<Ran> {
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
