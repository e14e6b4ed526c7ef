import type { Command } from 'commander'
import type { LoadedConfig } from '../../config/load.ts'
import type { Log } from '../../app/log.ts'
import type { System } from '../../app/system.ts'
import type { Store } from '../../store/store.ts'
import { toAppError, type AppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { ConfigDifference } from '../../app/running-beside.ts'
import type { RunningConfig } from '../../store/servers/running-config.ts'
import type { CliIo } from '../terminal/io.ts'
import { note } from '../terminal/output.ts'
import { becomeOwnerOf } from './state-owner.ts'

/** The configuration that `--config` and the environment name, with its warnings. */
export async function loadConfigFor(command: Command, io: CliIo): Promise<LoadedConfig> {
  const { loadConfig } = await import('../../config/load.ts')
  return loadConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd })
}

/** As loadConfigFor; the warnings go to stderr. */
export async function loadSettings(command: Command, io: CliIo): Promise<Settings> {
  const { settings, warnings } = await loadConfigFor(command, io)
  if (warnings.length > 0) {
    const { showProblem } = await import('../../config/problem.ts')
    for (const warning of warnings) note(io, `lockstep: ${showProblem(settings.file, warning)}`)
  }
  return settings
}

/** As loadSettings, for commands that also work where nothing is configured; null there. */
export async function loadSettingsIfAny(command: Command, io: CliIo): Promise<Settings | null> {
  const { lookForConfig } = await import('../../config/load.ts')
  const isThere = lookForConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd }) !== null
  return isThere ? loadSettings(command, io) : null
}

/** The file, and the daemon that may work with another configuration. */
export interface Configured {
  /** The content of the file. */
  readonly file: Settings
  /** The settings for a command beside the daemon: see stricterOfBoth. */
  readonly settings: Settings
  /** The daemon's configuration; null: none runs, or it is not recorded. */
  readonly running: RunningConfig | null
  /** Null: the file and the daemon's configuration are equal. */
  readonly difference: ConfigDifference | null
  /** Why the file cannot be read as a configuration, where the daemon's is used instead; null: it can. */
  readonly mistake: AppError | null
}

/**
 * Goes on as the owner of the store and the folders: see becomeOwnerOf.
 * @param evenBroken a file with a mistake is replaced by the daemon's configuration, where one runs
 */
export async function loadBeside(command: Command, io: CliIo, evenBroken = false): Promise<Configured> {
  const beside = await import('../../app/running-beside.ts')
  let file: Settings
  try {
    file = await loadSettings(command, io)
  } catch (thrown) {
    const mistake = toAppError(thrown)
    const running = evenBroken && mistake.code === 'config-invalid' ? await runningInstead(command, io) : null
    if (running === null) throw thrown
    const { settings } = running
    becomeOwnerOf(settings)
    return { file: settings, settings, running, difference: null, mistake }
  }
  // Where the key store was edited, the daemon still uses the store that the folders belong to.
  const { otherStoreOf } = await import('../../app/store-mark.ts')
  const other = otherStoreOf(file)
  const store = { ...file.store, file: other?.file ?? file.store.file }
  becomeOwnerOf({ ...file, store })
  const running = beside.runningOf(store.file)
  if (running === null) return { file, settings: file, running, difference: null, mistake: null }
  const difference = beside.differenceOf(running.settings, file)
  if (difference === null) {
    const settings = other === null ? file : running.settings
    return { file, settings, running, difference: null, mistake: null }
  }
  const { stricterOfBoth } = await import('../../core/settings/stricter-settings.ts')
  return { file, settings: stricterOfBoth(running.settings, file), running, difference, mistake: null }
}

async function runningInstead(command: Command, io: CliIo): Promise<RunningConfig | null> {
  const { findConfig, placesOf } = await import('../../config/load.ts')
  const { runningOf } = await import('../../app/running-beside.ts')
  const file = findConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd })
  const { store } = placesOf(file)
  const running = store === null ? null : runningOf(store)
  return running?.settings.file === file ? running : null
}

/** As loadBeside, for commands that work on the store and the folders; differences go to stderr. */
export async function loadForWork(command: Command, io: CliIo, evenBroken = false): Promise<Settings> {
  const configured = await loadBeside(command, io, evenBroken)
  const { settings, difference, mistake, file } = configured
  if (mistake !== null) {
    note(io, `lockstep: ${mistake.message}`)
    note(io, '  The daemon goes on with what it loaded before, and so does this command.')
  }
  if (difference !== null) {
    const { differenceFix, differenceText } = await import('../../app/running-beside.ts')
    note(io, `lockstep: ${file.file}: ${differenceText(difference, Date.now())}`)
    note(
      io,
      `  This command goes by what the daemon works with, and by the stricter dry run and protection of both. Next: ${differenceFix(difference)}`,
    )
  }
  return settings
}

export function configFlag(command: Command): string | undefined {
  const flag: unknown = command.optsWithGlobals<{ config?: unknown }>().config
  return typeof flag === 'string' ? flag : undefined
}

/** Opened only where a command does its work: what it loads would cost every start. */
export async function openStoreFor(settings: Settings, willWrite = false): Promise<Store> {
  const { openStoreOf } = await import('../../app/state-store.ts')
  return openStoreOf(settings, willWrite)
}

/** See openSystem. @param keepsMarks false: for what is to work in any case */
export async function openSystemFor(settings: Settings, keepsMarks = true): Promise<System> {
  const { openSystem } = await import('../../app/system.ts')
  return openSystem(settings, undefined, keepsMarks)
}

/** For a command that says itself how the accounts stand. */
export async function errorLog(io: CliIo): Promise<Log> {
  const { errorsOnly, openLog } = await import('../../app/log.ts')
  return errorsOnly(openLog(io.stderr, false))
}
