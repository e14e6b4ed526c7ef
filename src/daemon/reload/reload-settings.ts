import { differingKeys, withKeysOf } from '../../core/settings/config-keys.ts'
import type { HttpSettings, Settings } from '../../core/settings/settings.ts'
import { changeOfKey } from '../../config/flat-keys.ts'

/** The parts of a new configuration that take effect without a restart. */
export interface Reloadable {
  /** The new one, with the old store, folders, files, spool and address in place. */
  readonly settings: Settings
  /** Keys that are in effect now. */
  readonly changed: readonly string[]
  /** Keys whose change needs a restart. */
  readonly restart: readonly string[]
}

export function withoutRestart(running: Settings, loaded: Settings): Reloadable {
  const keys = differingKeys(running.keys, loaded.keys)
  const restart = keys.filter((key) => changeOfKey(key) === 'restart')
  const settings: Settings = {
    ...loaded,
    keys: withKeysOf(loaded.keys, restart, running.keys),
    store: running.store,
    ldif: running.ldif,
    health: running.health,
    intake: { spool: running.intake.spool, http: httpOf(running.intake.http, loaded.intake.http) },
  }
  return { settings, changed: keys.filter((key) => !restart.includes(key)), restart }
}

/** A listener keeps its address. */
function httpOf(running: HttpSettings | null, loaded: HttpSettings | null): HttpSettings | null {
  if (running === null || loaded === null) return running
  return { ...loaded, host: running.host, port: running.port }
}
