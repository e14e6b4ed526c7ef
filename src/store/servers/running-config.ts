import { createHash } from 'node:crypto'
import type { ConfigKeys } from '../../core/settings/config-keys.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { Clock } from '../../ports/clock.ts'
import { daemonOf } from '../engine/process-lock.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/**
 * The configuration that the daemon of this store works with, and the outcome of its last reload: rows of `meta` that
 * the daemon writes and everybody else reads. It names files and variables of secrets, and holds no secret.
 */

export const CONFIG_KEY = 'daemon-config'
const RELOAD_KEY = 'daemon-reload'

export interface RunningConfig {
  /** The daemon of the configuration; see process-owner.ts. */
  readonly owner: string
  /** In milliseconds since 1970. */
  readonly loadedMs: number
  /** SHA-256 of the values of all keys, in hexadecimal digits. */
  readonly digest: string
  readonly settings: Settings
}

/** The outcome of a reload; `failed`: everything is as before. */
export type ReloadOutcome =
  | {
      readonly is: 'done'
      readonly endedMs: number
      /** Keys that are in effect as in the file, and had another value before. */
      readonly changed: readonly string[]
      /** Keys whose change needs a restart. */
      readonly restart: readonly string[]
      /** For information; they stopped nothing. */
      readonly warnings: readonly string[]
    }
  | {
      readonly is: 'failed'
      readonly endedMs: number
      readonly code: string
      readonly message: string
      readonly hint: string
    }

export interface ReloadState {
  readonly owner: string
  /** How many reloads this daemon has begun. */
  readonly begun: number
  /** The number of the one that `outcome` is of. */
  readonly ended: number
  readonly outcome: ReloadOutcome | null
}

export function openRunningConfig(db: Database, writer: StoreWriter, clock: Clock, owner: string) {
  const ofDaemon = async <Row extends { readonly owner: string }>(
    key: string,
    on: Pick<Database, 'selectFrom'> = db,
  ): Promise<Row | null> => {
    const daemon = await daemonOf(on, clock.nowMs())
    const parsed = await readMeta<Row>(on, key)
    return parsed !== null && parsed.owner === daemon?.owner ? parsed : null
  }
  return {
    /** Null: no daemon serves the store, or one of an older version, which does not record it. */
    read: () => ofDaemon<RunningConfig>(CONFIG_KEY),
    /** Null: the daemon of now has not reloaded yet, or none runs. */
    reload: () => ofDaemon<ReloadState>(RELOAD_KEY),
    /** This process, the daemon, works with it from now on. @param changed keys, for the journal; null: at its start */
    loaded: (settings: Settings, changed: readonly string[] | null) =>
      writer.run(async (scope) => {
        const nowMs = clock.nowMs()
        const digest = digestOf(settings.keys)
        await writeMeta<RunningConfig>(scope, CONFIG_KEY, { owner, loadedMs: nowMs, digest, settings })
        if (changed !== null) scope.log({ atMs: nowMs, kind: 'reloaded', subject: '', body: { digest, changed } })
      }),
    /** @returns its number */
    reloadBegun: () =>
      writer.run(async (scope) => {
        const before = await ofDaemon<ReloadState>(RELOAD_KEY, scope.trx)
        const begun = (before?.begun ?? 0) + 1
        const [ended, outcome] = [before?.ended ?? 0, before?.outcome ?? null]
        await writeMeta<ReloadState>(scope, RELOAD_KEY, { owner, begun, ended, outcome })
        return begun
      }),
    reloadEnded: (number: number, outcome: ReloadOutcome) =>
      writer.run((scope) =>
        writeMeta<ReloadState>(scope, RELOAD_KEY, { owner, begun: number, ended: number, outcome }),
      ),
  }
}

export function digestOf(keys: ConfigKeys): string {
  return createHash('sha256').update(JSON.stringify(keys)).digest('hex')
}
