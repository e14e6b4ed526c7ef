import { spawnSync } from 'node:child_process'

/** A mount namespace that ends with its program; a user who is not root gets one where the system lets him. */
const UNSHARE = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-rm']
const BIND = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && '

export interface RanReadOnly {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Whether mounting is allowed here; in some containers it is not. */
export function canMount(): boolean {
  const [program = '', ...args] = UNSHARE
  return spawnSync(program, [...args, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
}

/** Runs a program that sees one folder mounted read-only. */
export function runReadOnly(folder: string, command: readonly string[]): RanReadOnly {
  const [program = '', ...args] = [...UNSHARE, 'sh', '-c', `${BIND}exec "$@"`, folder, ...command]
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 })
  if (done.error !== undefined) throw done.error
  return { code: done.status ?? -1, stdout: done.stdout, stderr: done.stderr }
}

/** The same for some TypeScript, whose `print(value)` gives the result. */
export function evaluateReadOnly(folder: string, script: string): unknown {
  const print = 'const print = (value) => console.log(JSON.stringify(value));'
  const ran = runReadOnly(folder, [process.execPath, '--input-type=module-typescript', '-e', print + script])
  if (ran.code !== 0) throw new Error(ran.stderr)
  return JSON.parse(ran.stdout)
}
