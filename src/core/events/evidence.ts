import type { ResolvedEvent } from './event.ts'
import type { LdifHeader } from '../ldif.ts'
import { parseSerial, type AccountKey, type HoldName, type Serial } from '../names.ts'

/**
 * What the LDIF folders prove although it is not on record: a store that is older than its folders (a restored
 * backup, a lost write-ahead log) lacks locks and registrations whose waiting files are still there.
 */

/** What is on record about a waiting file. */
export interface FileKnowledge {
  /** The outcome of the change that its header names is on record. */
  readonly isChangeClosed: boolean
  /** From when to when its account is on record, in milliseconds since 1970; null: it is not. */
  readonly account: { readonly sinceMs: number; readonly updatedMs: number } | null
  /** The newest time of the journal, in milliseconds since 1970; null: there is no record at all. */
  readonly journalNewestMs: number | null
  /**
   * The same when the record was opened, before anything new was written: later records touch accounts, and contain
   * nothing of the time before. Null: nothing was written since.
   */
  readonly recordAgeMs: number | null
}

/**
 * `over`: the record covers the time at which the file was written, and has nothing of it any more. `unknown`: the
 * record is older than the file, or was begun after it: only the directory can prove it. `stranger`: the account was
 * never on record, although it could have been.
 */
export function weighFile({ at }: LdifHeader, known: FileKnowledge): 'over' | 'unknown' | 'stranger' {
  const atMs = Date.parse(at)
  const { account, journalNewestMs, recordAgeMs } = known
  if (account === null)
    return journalNewestMs !== null && atMs > (recordAgeMs ?? journalNewestMs) ? 'unknown' : 'stranger'
  if (known.isChangeClosed || Number.isNaN(atMs)) return 'over'
  return account.sinceMs <= atMs && atMs <= coveredUntilMs(account.updatedMs, recordAgeMs) ? 'over' : 'unknown'
}

/** Until when the record covers what happened to an account, in milliseconds since 1970. */
export function coveredUntilMs(updatedMs: number, recordAgeMs: number | null): number {
  return recordAgeMs === null ? updatedMs : Math.min(updatedMs, recordAgeMs)
}

/** The time of a header, in microseconds since 1970; null where it has none. */
export function timeUs(text: string): number | null {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? null : ms * 1000
}

/** The hold of a waiting file, since the time of its header. */
export function restoredHold(
  key: AccountKey,
  name: HoldName,
  takenAtUs: number,
  untilUs: number | null,
): ResolvedEvent {
  return { ...restored(kindOf(name), key, parseSerial(name), takenAtUs, name), untilUs }
}

/** The account's serial, since the time of its waiting file. */
export function restoredSerial(key: AccountKey, serial: Serial, takenAtUs: number): ResolvedEvent {
  return restored('register', key, serial, takenAtUs, null)
}

/**
 * The end of a hold, as its file in `unlock/history/` proves it. Null for a manual hold: the event that ends it ends
 * all holds of the account, and is only made where all of them are over.
 */
export function restoredRelease(key: AccountKey, name: HoldName, takenAtUs: number): ResolvedEvent | null {
  const kind = kindOf(name)
  if (kind === 'hold') return null
  if (kind === 'lockout') return restored('lockout-end', key, null, takenAtUs, null)
  return restored('unlock', key, parseSerial(name), takenAtUs, null)
}

/** The end of every hold of the account. */
export function restoredReleaseOfAll(key: AccountKey, takenAtUs: number): ResolvedEvent {
  return restored('release', key, null, takenAtUs, null)
}

function kindOf(name: HoldName): 'hold' | 'lockout' | 'lock' {
  if (name.startsWith('manual.')) return 'hold'
  return name.startsWith('lockout.') ? 'lockout' : 'lock'
}

function restored(
  kind: ResolvedEvent['kind'],
  accountKey: AccountKey,
  serial: Serial | null,
  takenAtUs: number,
  pinnedHold: HoldName | null,
): ResolvedEvent {
  return {
    id: `rebuild:${kind}:${pinnedHold ?? serial ?? ''}:${accountKey}:${takenAtUs}`,
    kind,
    serial,
    login: null,
    realm: null,
    actor: '',
    takenAtUs,
    source: 'rebuild',
    reason: { code: 'restored-from-folders', params: {} },
    untilUs: null,
    accountKey,
    attributeSerials: [],
    pinnedHold,
  }
}
