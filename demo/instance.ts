import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TokenEventKind } from '../src/core/events/event.ts'
import { endProcess } from '../scripts/end-process.ts'
import { runTool, type ToolResult } from '../test/servers/run-tool.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** The program as a user runs it. */
export const LOCKSTEP = join(ROOT, 'bin', 'lockstep')
export const REALM = 'example'

const READY_WAIT = '10s'

/** The directory that a throw-away Lockstep works against. */
export interface InstanceDirectory {
  readonly url: string
  readonly serviceDn: string
  readonly servicePassword: string
  /** Where the people are. */
  readonly peopleDn: string
}

/** A throw-away Lockstep in a folder of its own: configuration, shims, and the daemon while it runs. */
export interface Instance extends AsyncDisposable {
  readonly dir: string
  readonly configFile: string
  readonly ldifDir: string
  readonly spoolDir: string
  /** Where the four shims stand, as they would in privacyIDEA's script directory. */
  readonly shimDir: string
  readonly logFile: string
  readonly storeFile: string
  /** Starts `lockstep serve` and waits until `lockstep healthcheck` says that it serves. */
  serve(): Promise<{ readonly pid: number; readonly readyMs: number }>
  /** Ends the daemon, if it runs, and waits for its end. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  shimOf(kind: TokenEventKind): string
  /** Runs the program with this instance's configuration. */
  cli(...args: readonly string[]): Promise<ToolResult>
}

export interface InstanceOptions {
  /** Elsewhere than in the instance's folder. */
  readonly ldifDir?: string
  readonly spoolDir?: string
  /** The realm of privacyIDEA whose users are in the directory; `example` else. */
  readonly realm?: string
  /** Further lines for lockstep.yaml. */
  readonly extraConfig?: string
}

export async function createInstance(
  dir: string,
  directory: InstanceDirectory,
  options: InstanceOptions = {},
): Promise<Instance> {
  const paths = {
    dir,
    configFile: join(dir, 'lockstep.yaml'),
    ldifDir: options.ldifDir ?? join(dir, 'ldif'),
    spoolDir: options.spoolDir ?? join(dir, 'spool'),
    shimDir: join(dir, 'privacyidea-scripts'),
    logFile: join(dir, 'lockstep.log'),
    storeFile: join(dir, 'lockstep.db'),
  }
  await mkdir(paths.shimDir, { recursive: true })
  await writeFile(join(dir, 'ldap-password'), directory.servicePassword, { mode: 0o600 })
  await writeFile(
    paths.configFile,
    configText(paths, directory, options.realm ?? REALM) + (options.extraConfig ?? ''),
    { mode: 0o640 },
  )
  const cli = (...args: readonly string[]): Promise<ToolResult> =>
    runTool(LOCKSTEP, args, { env: { LOCKSTEP_CONFIG: paths.configFile } })
  await succeed('lockstep shims install', cli('shims', 'install', paths.shimDir, '--spool', paths.spoolDir))
  let daemon: ChildProcess | null = null
  const killAtExit = (): void => void daemon?.kill('SIGKILL')
  process.once('exit', killAtExit)
  const stop = async (signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> => {
    if (daemon !== null) await endProcess(daemon, signal)
    daemon = null
  }
  return {
    ...paths,
    cli,
    stop,
    shimOf: (kind) => join(paths.shimDir, `lockstep-${kind}`),
    serve: async () => {
      const startedAt = performance.now()
      daemon = startDaemon(paths.logFile, paths.configFile)
      await untilReady(daemon, cli('healthcheck', '--wait', READY_WAIT), paths.logFile)
      return { pid: daemon.pid ?? 0, readyMs: performance.now() - startedAt }
    },
    [Symbol.asyncDispose]: async () => {
      await stop('SIGTERM')
      process.removeListener('exit', killAtExit)
    },
  }
}

function startDaemon(logFile: string, configFile: string): ChildProcess {
  const log = openSync(logFile, 'a')
  try {
    return spawn(LOCKSTEP, ['serve', '--config', configFile], { stdio: ['ignore', log, log] })
  } finally {
    closeSync(log)
  }
}

/** Fails with the daemon's own words when it ends, or is not ready in time. */
async function untilReady(daemon: ChildProcess, check: Promise<ToolResult>, logFile: string): Promise<void> {
  const ended = once(daemon, 'exit').then(() => 'it ended')
  const checked = check.then((result) => (result.code === 0 ? null : lastWords(result)))
  const fault = await Promise.race([ended, checked])
  if (fault !== null) throw new Error(`lockstep serve is not ready: ${fault}\n${await readFile(logFile, 'utf8')}`)
}

/** @returns what the command printed; fails with its last words when its exit code is not 0 */
export async function succeed(what: string, running: Promise<ToolResult>): Promise<string> {
  const finished = await running
  if (finished.code !== 0) throw new Error(`${what} failed with code ${finished.code}:\n${lastWords(finished)}`)
  return finished.stdout
}

const LAST_LINES = 5

/** What a finished command said, for an error text: its last lines. */
function lastWords(finished: ToolResult): string {
  const lines = `${finished.stdout}\n${finished.stderr}`.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(-LAST_LINES).join('\n')
}

function configText(
  paths: { dir: string; spoolDir: string; ldifDir: string; storeFile: string },
  directory: InstanceDirectory,
  realm: string,
): string {
  return `# A throw-away configuration; docs/reference/configuration.md explains every key.
directories:
  corp:
    type: openldap
    urls: [${JSON.stringify(directory.url)}]
    bindDn: ${JSON.stringify(directory.serviceDn)}
    bindPasswordFile: ${JSON.stringify(join(paths.dir, 'ldap-password'))}
    base: ${JSON.stringify(directory.peopleDn)}
    userFilter: "(uid={login})"
    serialAttribute: description
    serialFormat: "privacyIDEA:{serial}"
realms: { ${realm}: corp }
guards: { breaker: null }
intake:
  spool: ${JSON.stringify(paths.spoolDir)}
store: ${JSON.stringify(`sqlite:${paths.storeFile}`)}
ldif: { dir: ${JSON.stringify(paths.ldifDir)} }
`
}
