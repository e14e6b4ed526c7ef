import type { ChangeDraft } from '../account/change.ts'
import type { ErrorCode } from '../error.ts'
import type { DirectoryName, Realm } from '../names.ts'
import type { Reason, ReasonParams } from '../reasons/reason.ts'

/** Somebody stopped the changes of one directory, or of all. */
export interface Pause {
  /** Null: of all. */
  readonly directory: DirectoryName | null
  /** In milliseconds since 1970. */
  readonly sinceMs: number
  readonly by: string
  readonly reason: string
}

/** The accounts whose changes are planned and recorded, and not written. */
export interface DryRunSettings {
  readonly isForAll: boolean
  readonly directories: readonly DirectoryName[]
  readonly realms: readonly Realm[]
}

/** The input of the guards, read when a change is about to be written. */
export interface GuardInput {
  readonly pause: Pause | null
  /** What is on dry run; null: this account is not. */
  readonly dryRun: DryRunOf | null
  /** Why it is not known whether the account is protected; null: it is known. */
  readonly unread: { readonly code: ErrorCode; readonly reason: string } | null
}

export type DryRunOf = Pick<ReasonParams['dry-run'], 'of' | 'name'>

export type Verdict =
  | { readonly kind: 'go' }
  /** `isDryRun`: it would not be written without the pause either. */
  | { readonly kind: 'paused'; readonly reason: Reason; readonly isDryRun: boolean }
  | { readonly kind: 'dry-run'; readonly of: DryRunOf; readonly reason: Reason }
  /** Nothing is locked on a guess. */
  | { readonly kind: 'unread'; readonly code: ErrorCode; readonly reason: Reason }

/**
 * May this change be written? Null: a write to privacyIDEA. A pause and a dry run stop everything; an account of which nobody knows whether it is
 * protected is not locked. A protected account has no holds (`underProtection`), and the breaker is asked with the row
 * of the change (core/guards/breaker.ts).
 */
export function guard(change: Pick<ChangeDraft, 'kind'> | null, { pause, dryRun, unread }: GuardInput): Verdict {
  if (pause !== null) return { kind: 'paused', reason: pausedReason(pause), isDryRun: dryRun !== null }
  if (change?.kind === 'lock' && unread !== null) {
    const { code, reason: said } = unread
    return { kind: 'unread', code, reason: { code: 'protection-unread', params: { error: code, said } } }
  }
  if (dryRun !== null) return { kind: 'dry-run', of: dryRun, reason: dryRunReason(dryRun, []) }
  return { kind: 'go' }
}

function pausedReason({ directory }: Pause): Reason {
  return { code: 'changes-paused', params: { directory } }
}

/** @param would what would have been written */
export function dryRunReason({ of, name }: DryRunOf, would: readonly string[]): Reason {
  return { code: 'dry-run', params: { of, name, would } }
}

/** ` of directory corp`, or '' for all. */
export function directoryPhrase(directory: DirectoryName | null): string {
  return directory === null ? '' : ` of directory ${directory}`
}

/** The setting that puts an account on dry run; null: none does. */
export function dryRunOf(settings: DryRunSettings, directory: DirectoryName, realm: Realm | null): DryRunOf | null {
  if (settings.isForAll) return { of: 'everything', name: '' }
  if (settings.directories.includes(directory)) return { of: 'directory', name: directory }
  return realm !== null && settings.realms.includes(realm) ? { of: 'realm', name: realm } : null
}

/** All that is on dry run. */
export function dryRunsOf({ isForAll, directories, realms }: DryRunSettings): DryRunOf[] {
  if (isForAll) return [{ of: 'everything', name: '' }]
  const named = (of: 'directory' | 'realm') => (name: string) => ({ of, name })
  return [...directories.map(named('directory')), ...realms.map(named('realm'))]
}

/** All of it, for people; null: nothing is on dry run. */
export function dryRunText({ isForAll, directories, realms }: DryRunSettings): string | null {
  if (isForAll) return 'nothing is written to any directory'
  const parts = [...directories.map((name) => `directory ${name}`), ...realms.map((name) => `realm ${name}`)]
  return parts.length === 0 ? null : `nothing is written for ${parts.join(', ')}`
}
