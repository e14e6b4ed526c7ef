import type { ChangeDraft } from './change.ts'
import type { ErrorCode } from './error.ts'
import type { DirectoryName, Realm } from './names.ts'

/** Somebody stopped the changes of one directory, or of all. */
export interface Pause {
  /** Null: of all. */
  readonly directory: DirectoryName | null
  /** In milliseconds since 1970. */
  readonly sinceMs: number
  readonly by: string
  readonly reason: string
}

/** Whose changes are planned and recorded, and not written. */
export interface DryRunSettings {
  readonly isForAll: boolean
  readonly directories: readonly DirectoryName[]
  readonly realms: readonly Realm[]
}

/** What the guards look at, read when a change is about to be written. */
export interface GuardInput {
  readonly pause: Pause | null
  /** What is on dry run, for people; null: this account is not. */
  readonly dryRun: string | null
  /** Why nobody knows whether the account is protected; null: it is known. */
  readonly unread: { readonly code: ErrorCode; readonly reason: string } | null
}

export type Verdict =
  | { readonly kind: 'go' }
  | { readonly kind: 'paused' | 'dry-run'; readonly reason: string }
  /** Nothing is locked on a guess. */
  | { readonly kind: 'unread'; readonly code: ErrorCode; readonly reason: string }

/**
 * May this change be written? A pause and a dry run stop everything; an account of which nobody knows whether it is
 * protected is not locked. A protected account has no holds (core/protection.ts), and the breaker is asked with the row
 * of the change (core/breaker.ts).
 */
export function guard(change: Pick<ChangeDraft, 'kind'>, { pause, dryRun, unread }: GuardInput): Verdict {
  if (pause !== null) return { kind: 'paused', reason: pausedText(pause) }
  if (change.kind === 'lock' && unread !== null) {
    const reason = `not locked while it cannot be told whether the account is protected: ${unread.reason}`
    return { kind: 'unread', code: unread.code, reason }
  }
  if (dryRun !== null) return { kind: 'dry-run', reason: `dry run of ${dryRun}` }
  return { kind: 'go' }
}

export function pausedText({ directory }: Pause): string {
  const how = directory === null ? '' : ` --directory ${directory}`
  return `changes${directoryPhrase(directory)} are paused (lockstep resume${how} lets them go on)`
}

/** ` of directory corp`, or '' for all. */
export function directoryPhrase(directory: DirectoryName | null): string {
  return directory === null ? '' : ` of directory ${directory}`
}

/** What of the settings puts an account on dry run, for people; null: nothing does. */
export function dryRunOf(settings: DryRunSettings, directory: DirectoryName, realm: Realm | null): string | null {
  if (settings.isForAll) return 'everything'
  if (settings.directories.includes(directory)) return `directory ${directory}`
  return realm !== null && settings.realms.includes(realm) ? `realm ${realm}` : null
}

/** All of it, for people; null: nothing is on dry run. */
export function dryRunText({ isForAll, directories, realms }: DryRunSettings): string | null {
  if (isForAll) return 'nothing is written to any directory'
  const parts = [...directories.map((name) => `directory ${name}`), ...realms.map((name) => `realm ${name}`)]
  return parts.length === 0 ? null : `nothing is written for ${parts.join(', ')}`
}
