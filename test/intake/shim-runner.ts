import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { installShims, type ShimsInstalled } from '../../src/operations/setup/shims-install.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

/** The real scripts, installed into a folder of their own, with a spool of their own. */
export interface Shims extends AsyncDisposable {
  readonly root: string
  readonly dir: string
  readonly spool: string
  readonly installed: ShimsInstalled
  path(kind: string): string
}

export interface Ran {
  readonly code: number
  readonly stderr: string
}

/** The group stands for privacyIDEA's: nobody's own, so that only the modes decide. */
export const FOREIGN_ID = 65_534
export const isRoot = process.getuid?.() === 0

export async function installInTemp(spoolName = 'spool'): Promise<Shims> {
  const temp = await makeTempDir('shims')
  await chmod(temp.path, 0o711)
  const dir = join(temp.path, 'scripts')
  const spool = join(temp.path, spoolName)
  await mkdir(dir)
  const group = isRoot ? String(FOREIGN_ID) : String(process.getgid?.())
  const installed = await installShims({ dir, spool, group })
  return {
    root: temp.path,
    dir,
    spool,
    installed,
    path: (kind) => join(dir, `lockstep-${kind}`),
    [Symbol.asyncDispose]: () => temp[Symbol.asyncDispose](),
  }
}

/** Runs a program to its end. */
export function run(
  program: string,
  args: readonly string[],
  options: { input?: Buffer; env?: NodeJS.ProcessEnv } = {},
): Ran {
  const done = spawnSync(program, args, {
    input: options.input ?? Buffer.alloc(0),
    env: options.env ?? cleanEnv(),
    timeout: 30_000,
  })
  if (done.error !== undefined) throw done.error
  return { code: done.status ?? -1, stderr: done.stderr.toString('utf8') }
}

/** Starts a program, and returns what ends it. */
export function start(program: string, args: readonly string[]): { kill(): void; ended: Promise<void> } {
  const child = spawn(program, args, { env: cleanEnv(), stdio: 'ignore' })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  return { kill: () => void child.kill('SIGKILL'), ended }
}

/** Bytes as arguments: Node itself can only pass text. */
export function runWithBytes(program: string, args: readonly Buffer[]): Ran {
  const input = Buffer.concat(args.flatMap((arg) => [arg, Buffer.from([0])]))
  return run('xargs', ['-0', '-x', program], { input })
}

/** The contents of `new/`, in the order of names. */
export function spooled(spool: string): { name: string; content: Buffer }[] {
  const folder = join(spool, 'new')
  return readdirSync(folder)
    .toSorted()
    .map((name) => ({ name, content: readFileSync(join(folder, name)) }))
}

function cleanEnv(): NodeJS.ProcessEnv {
  const { LOCKSTEP_SPOOL: _, ...env } = process.env
  return env
}
