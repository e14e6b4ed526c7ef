import { compareEvents, type ResolvedEvent } from '../events/event.ts'
import { foldEvents } from './fold.ts'
import {
  parseHoldName,
  parseSerial,
  type AccountKey,
  type DirectoryName,
  type HoldName,
  type Login,
  type Serial,
} from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import { holdKey, isSameSerial, spelledAmong } from '../serials/serial-key.ts'
import type { HoldEnds } from './state.ts'

/**
 * What reverts a change, as events: the fold treats them like every other event, so that a later event from privacyIDEA
 * ends the result as it would have ended the earlier state. Each only where what was written is still ours.
 */
export interface Undoing {
  readonly action:
    | 'unlock'
    | 'lock'
    | 'add serial'
    | 'remove serial'
    /** With the serial its hold ends, and it was the last one. */
    | 'remove serial, and unlock'
    | 'remove serial, and end its hold'
  /** The holds that it ends; for `lock`, those that it restores. */
  readonly holds: readonly HoldName[]
  /** Why it is left unchanged; null: it will be reverted. */
  readonly skipped: Skipped | null
}

/** A change as the ledger has it. */
export interface DoneChange {
  readonly id: string
  readonly kind: string
  readonly serial: string | null
  readonly holds: readonly string[]
  readonly ends: HoldEnds
}

/** An account as it is on record now. */
export interface UndoView {
  readonly key: AccountKey
  readonly lockedByUs: boolean
  /** Its directory, where that is retired; else null. */
  readonly retired: DirectoryName | null
  readonly login: Login | null
  /** Its stream; what is undone first is in it already. */
  readonly events: readonly ResolvedEvent[]
  readonly nowUs: number
  readonly lockTtlUs: number | null
  /** Another account that a serial belongs to, and will after this undo; else null. */
  ownerElsewhere(serial: Serial): AccountKey | null
}

/** The person who orders it, and when. */
export interface Saying {
  readonly actor: string
  /** '', or left out: none was given. */
  readonly reason?: string
  readonly takenAtUs: number
  newId(): string
}

/** The order matters: a serial leaves an account before another has it, and has one before its hold. */
const ORDER: readonly Undoing['action'][] = [
  'unlock',
  'remove serial',
  'remove serial, and unlock',
  'remove serial, and end its hold',
  'add serial',
  'lock',
]

export function undoOrder(a: Pick<Undoing, 'action'>, b: Pick<Undoing, 'action'>): number {
  return ORDER.indexOf(a.action) - ORDER.indexOf(b.action)
}

export function undoing(change: DoneChange, view: UndoView): Undoing {
  const { retired: directory } = view
  if (directory !== null) {
    return { ...roughUndoing(change), holds: [], skipped: { code: 'directory-retired', params: { directory } } }
  }
  const serial = change.serial === null ? null : parseSerial(change.serial)
  if (serial !== null) return change.kind === 'register' ? removing(serial, view) : adding(serial, view)
  return change.kind === 'lock' ? unlocking(view) : locking(change, view)
}

/** What reverts a change of that kind, before the account is read. */
export function roughUndoing({ kind, serial }: Pick<DoneChange, 'kind' | 'serial'>): Pick<Undoing, 'action'> {
  if (serial === null) return { action: kind === 'lock' ? 'unlock' : 'lock' }
  return { action: kind === 'register' ? 'remove serial' : 'add serial' }
}

const SKIPPED_TEXTS = {
  'account-unknown': () => 'account not on record',
  'changed-again': () => 'changed again after that time',
  'not-locked-by-us': () => 'not locked by us any more',
  'lock-unrecorded': ({ login }: SkippedParams) =>
    `not locked by us any more; a lock as Lockstep writes it is there: if nobody else set it, lockstep unlock ${login ?? 'LOGIN'} --adopt --reason TEXT releases it`,
  'released-already': () => 'released already, and not carried out yet',
  'locked-again': () => 'locked by us again',
  'held-again': () => 'held again already',
  'no-hold': () => 'no hold is on record for it',
  'hold-ended': () => 'the hold has ended by itself since',
  'token-moved': ({ serial = '' }: SkippedParams) => `token ${serial} belongs to another account now`,
  'token-gone': ({ serial = '' }: SkippedParams) =>
    `token ${serial} is no longer there, so that nothing would end its hold`,
  'directory-retired': ({ directory = '' }: SkippedParams) =>
    `directory ${directory} is retired: nothing of ours is to stand there (lockstep retire ${directory} --cancel ends that)`,
  'serial-gone': () => 'the serial is gone already',
  'serial-there': () => 'the serial is there again',
}

interface SkippedParams {
  readonly serial?: string
  readonly login?: string
  readonly directory?: string
}

/** Why a change is left unchanged. */
export interface Skipped {
  readonly code: keyof typeof SKIPPED_TEXTS
  readonly params: SkippedParams
}

function skip(code: Skipped['code'], serial?: Serial): Skipped {
  return { code, params: serial === undefined ? {} : { serial } }
}

export function skippedText({ code, params }: Skipped): string {
  return SKIPPED_TEXTS[code](params)
}

function unlocking(view: UndoView): Undoing {
  const holds = holdsOf(view, view.events)
  const skipped = !view.lockedByUs ? skip('not-locked-by-us') : holds.length === 0 ? skip('released-already') : null
  return { action: 'unlock', holds, skipped }
}

function locking(change: DoneChange, view: UndoView): Undoing {
  const names = change.holds.flatMap((text) => parseHoldName(text) ?? [])
  const there = holdsOf(view, view.events)
  const thereKeys = new Set(there.map(holdKey))
  const whyNot = names.map((name) =>
    thereKeys.has(holdKey(name)) ? skip('held-again') : cannotHold(name, change, view),
  )
  const holds = names.filter((_, at) => whyNot[at] === null)
  if (view.lockedByUs) return { action: 'lock', holds: [], skipped: skip('locked-again') }
  const skipped = holds.length > 0 ? null : (whyNot[0] ?? skip('no-hold'))
  return { action: 'lock', holds, skipped }
}

/** Why an earlier hold cannot be restored. */
function cannotHold(name: HoldName, change: DoneChange, view: UndoView): Skipped | null {
  const until = change.ends[name]
  if (until !== undefined && until <= view.nowUs) return skip('hold-ended')
  const serial = parseSerial(name)
  if (serial === null) return null
  if (view.ownerElsewhere(serial) !== null) return skip('token-moved', serial)
  const assignments = view.events.filter(
    (event) =>
      event.serial !== null &&
      isSameSerial(event.serial, serial) &&
      (event.kind === 'register' || event.kind === 'unregister'),
  )
  const isGone = assignments.toSorted(compareEvents).at(-1)?.kind === 'unregister'
  return isGone ? skip('token-gone', serial) : null
}

function removing(serial: Serial, view: UndoView): Undoing {
  if (spelledAmong(fold(view, view.events).serials, serial) === null) {
    return { action: 'remove serial', holds: [], skipped: skip('serial-gone') }
  }
  const before = holdsOf(view, view.events)
  const said = sayings({ action: 'remove serial', holds: [], skipped: null }, serial, null, view, newest(view))
  const after = holdsOf(view, [...view.events, ...said])
  const holds = before.filter((name) => !after.includes(name))
  const action =
    holds.length === 0
      ? 'remove serial'
      : after.length === 0
        ? 'remove serial, and unlock'
        : 'remove serial, and end its hold'
  return { action, holds, skipped: null }
}

function adding(serial: Serial, view: UndoView): Undoing {
  const isThere = spelledAmong(fold(view, view.events).serials, serial) !== null
  const isElsewhere = view.ownerElsewhere(serial) !== null
  const skipped = isThere ? skip('serial-there') : isElsewhere ? skip('token-moved', serial) : null
  return { action: 'add serial', holds: [], skipped }
}

/** The events that do it, all of one time. */
export function ordersFor(step: Undoing, change: DoneChange, view: UndoView, saying: Saying): ResolvedEvent[] {
  if (step.skipped !== null) return []
  return sayings(step, change.serial === null ? null : parseSerial(change.serial), change, view, saying)
}

function sayings(
  { action, holds }: Undoing,
  serial: Serial | null,
  change: DoneChange | null,
  view: UndoView,
  saying: Saying,
): ResolvedEvent[] {
  const say = (about: Pick<ResolvedEvent, 'kind' | 'serial'> & Partial<ResolvedEvent>): ResolvedEvent => ({
    id: `undo:${saying.newId()}`,
    login: null,
    realm: null,
    actor: saying.actor,
    takenAtUs: saying.takenAtUs,
    source: 'cli',
    reason: change === null ? null : undoReason(change, saying.reason ?? ''),
    untilUs: null,
    accountKey: view.key,
    attributeSerials: [],
    pinnedHold: null,
    ...about,
  })
  if (action === 'unlock') return [say({ kind: 'release', serial: null })]
  if (action === 'add serial') return [say({ kind: 'register', serial })]
  if (action !== 'lock') return [say({ kind: 'unregister', serial })]
  return holds.map((name) => {
    if (!name.startsWith('manual.')) {
      return say({ kind: 'lock', serial: parseSerial(name), login: view.login, pinnedHold: name })
    }
    return say({ kind: 'hold', serial: null, pinnedHold: name, untilUs: change?.ends[name] ?? null })
  })
}

function undoReason({ kind, id }: DoneChange, text: string): Reason<'undo'> {
  return { code: 'undo', params: { kind, change: id, ...(text === '' ? {} : { text }) } }
}

/** Newer than all that is on record, for a preview. */
function newest(view: UndoView): Saying {
  const takenAtUs = view.events.reduce((latest, event) => Math.max(latest, event.takenAtUs + 1), view.nowUs)
  return { actor: '', takenAtUs, newId: () => 'look' }
}

function holdsOf(view: UndoView, events: readonly ResolvedEvent[]): HoldName[] {
  return fold(view, events).holds.map((hold) => hold.name)
}

function fold(view: UndoView, events: readonly ResolvedEvent[]): ReturnType<typeof foldEvents> {
  return foldEvents(view.key, events, { nowUs: view.nowUs, lockTtlUs: view.lockTtlUs })
}
