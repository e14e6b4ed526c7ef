import type { Command } from 'commander'
import type { LoadedConfig } from '../config/load.ts'
import type { Settings } from '../core/settings.ts'
import type { CliIo } from './io.ts'
import { note } from './output.ts'
import { becomeOwnerOf } from './state-owner.ts'

/** The configuration that `--config` and the environment name, with its warnings. */
export async function loadConfigFor(command: Command, io: CliIo): Promise<LoadedConfig> {
  const { loadConfig } = await import('../config/load.ts')
  return loadConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd })
}

/** As loadConfigFor; the warnings go to stderr. */
export async function loadSettings(command: Command, io: CliIo): Promise<Settings> {
  const { settings, warnings } = await loadConfigFor(command, io)
  if (warnings.length > 0) {
    const { showProblem } = await import('../config/problem.ts')
    for (const warning of warnings) note(io, `lockstep: ${showProblem(settings.file, warning)}`)
  }
  return settings
}

/** As loadSettings, for commands that also work where nothing is configured; null there. */
export async function loadSettingsIfAny(command: Command, io: CliIo): Promise<Settings | null> {
  const { lookForConfig } = await import('../config/load.ts')
  const isThere = lookForConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd }) !== null
  return isThere ? loadSettings(command, io) : null
}

/** As loadSettings, for commands that work on the store and the folders: see becomeOwnerOf. */
export async function loadForWork(command: Command, io: CliIo): Promise<Settings> {
  const settings = await loadSettings(command, io)
  becomeOwnerOf(settings)
  return settings
}

export function configFlag(command: Command): string | undefined {
  const flag: unknown = command.optsWithGlobals<{ config?: unknown }>().config
  return typeof flag === 'string' ? flag : undefined
}
