import { statSync } from 'node:fs'
import type { LoadedConfig } from '../../config/load.ts'
import { toAppError } from '../../core/error.ts'
import type { HealthReason } from '../../core/health/health.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { ReloadOutcome } from '../../store/servers/running-config.ts'
import { differenceFix, differenceOf, differenceText, type ConfigDifference } from '../running-beside.ts'

/** Differences between the daemon's configuration and the file. */

export interface FileSigns {
  /** Why the file cannot be loaded; null: it can. */
  readonly mistake: string | null
  /** Null: the daemon works with the content of the file. */
  readonly difference: ConfigDifference | null
  /** The outcome of the last reload; null: there was none since the start. */
  readonly reload: ReloadOutcome | null
}

export function configReasons({ mistake, difference, reload }: FileSigns, nowMs: number): HealthReason[] {
  const reasons: HealthReason[] = []
  if (mistake !== null) reasons.push({ code: 'config-mistake', params: { mistake: firstLines(mistake) } })
  if (difference !== null) {
    const params = { difference: differenceText(difference, nowMs), fix: differenceFix(difference) }
    reasons.push({ code: 'config-not-loaded', params })
  }
  if (reload?.is === 'failed' && reasons.length > 0) {
    const params = { agoMs: nowMs - reload.endedMs, reason: firstLines(reload.message) }
    reasons.push({ code: 'reload-failed', params })
  }
  return reasons
}

function firstLines(text: string): string {
  const [first = '', second] = text.split('\n').map((line) => line.trim())
  return second === undefined ? first : `${first} ${second}`
}

/** The daemon's own check of its file: loaded again only where the file, or the daemon's configuration, has changed. */
export class ConfigFileLook {
  readonly #load: () => LoadedConfig
  #lookedAt: { readonly mark: string; readonly running: Settings } | null = null
  #seen: Pick<FileSigns, 'mistake' | 'difference'> = { mistake: null, difference: null }

  /** @param load fails as `loadConfig` does */
  constructor(load: () => LoadedConfig) {
    this.#load = load
  }

  /** Never fails. */
  look(running: Settings): Pick<FileSigns, 'mistake' | 'difference'> {
    const mark = markOf(running.file)
    if (this.#lookedAt?.mark === mark && this.#lookedAt.running === running) return this.#seen
    this.#lookedAt = { mark, running }
    try {
      this.#seen = { mistake: null, difference: differenceOf(running, this.#load().settings) }
    } catch (thrown) {
      this.#seen = { mistake: toAppError(thrown).message, difference: null }
    }
    return this.#seen
  }
}

/** Changes whenever the file was written, replaced, removed, or got other rights. */
function markOf(file: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(file)
    return [ino, size, mtimeMs, ctimeMs].join(' ')
  } catch (thrown) {
    return toAppError(thrown).message
  }
}
