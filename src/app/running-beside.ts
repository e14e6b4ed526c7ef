import { statSync } from 'node:fs'
import { age } from '../core/format/age.ts'
import { differingKeys } from '../core/settings/config-keys.ts'
import type { Settings } from '../core/settings/settings.ts'
import { changeOfKey } from '../config/flat-keys.ts'
import { peekRunning } from '../store/servers/peek.ts'
import type { RunningConfig } from '../store/servers/running-config.ts'

/** The difference between the configuration file and the daemon's configuration. */

export interface ConfigDifference {
  /** Keys whose change `lockstep reload` brings into effect. */
  readonly reload: readonly string[]
  /** Keys whose change waits for a restart of the daemon. */
  readonly restart: readonly string[]
  /** When the file was last written, in milliseconds since 1970; null: not known. */
  readonly changedMs: number | null
}

const KEYS_SHOWN_MAX = 6

/** The daemon's configuration; null: no daemon serves the store, or one that does not record it. */
export function runningOf(storeFile: string): RunningConfig | null {
  return peekRunning(storeFile, Date.now())
}

/** Null: the daemon works with the content of the file. */
export function differenceOf(running: Settings, file: Settings): ConfigDifference | null {
  const keys = differingKeys(running.keys, file.keys)
  if (keys.length === 0) return null
  const restart = keys.filter((key) => changeOfKey(key) === 'restart')
  return { reload: keys.filter((key) => !restart.includes(key)), restart, changedMs: changedMs(file.file) }
}

/** `configuration changed 3 min ago, not loaded: guards.dryRun`. */
export function differenceText({ reload, restart, changedMs: atMs }: ConfigDifference, nowMs: number): string {
  const since = atMs === null || atMs > nowMs ? '' : ` ${age(nowMs - atMs)} ago`
  const parts = [
    ...(reload.length === 0 ? [] : [`not loaded: ${listed(reload)}`]),
    ...(restart.length === 0 ? [] : [`needs a restart: ${listed(restart)}`]),
  ]
  return `configuration changed${since}, ${parts.join('; ')}`
}

/** The command that applies the difference. */
export function differenceFix({ reload, restart }: ConfigDifference): string {
  if (restart.length === 0) return 'lockstep reload'
  return reload.length === 0 ? RESTART : `lockstep reload, and for the rest: ${RESTART}`
}

const RESTART = 'systemctl restart lockstep'

export function listed(keys: readonly string[]): string {
  const more = keys.length - KEYS_SHOWN_MAX
  return `${keys.slice(0, KEYS_SHOWN_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function changedMs(file: string): number | null {
  try {
    return statSync(file).mtimeMs
  } catch {
    return null
  }
}
