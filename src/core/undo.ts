import { compareEvents, type ResolvedEvent } from './event.ts'
import { foldEvents } from './fold.ts'
import { parseHoldName, parseSerial, type AccountKey, type HoldName, type Login, type Serial } from './names.ts'
import type { HoldEnds } from './state.ts'

/**
 * What takes a change back, said as events: the fold makes of them what it makes of every other word, so that what
 * privacyIDEA says later ends it as it would have ended what was there before. Each only where what was written is
 * still ours.
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
  /** The holds that it ends; for `lock`, those that it brings back. */
  readonly holds: readonly HoldName[]
  /** Why it is left as it is; null: it will be taken back. */
  readonly skipped: string | null
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
  readonly login: Login | null
  /** Its stream; what is undone first is in it already. */
  readonly events: readonly ResolvedEvent[]
  readonly nowUs: number
  readonly lockTtlUs: number | null
  /** Another account that a serial belongs to, and will after this undo; else null. */
  ownerElsewhere(serial: Serial): AccountKey | null
}

/** Who says it, and when. */
export interface Saying {
  readonly actor: string
  readonly takenAtUs: number
  newId(): string
}

/** What is said first must come first: a serial leaves an account before another has it, and has one before its hold. */
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
  const serial = change.serial === null ? null : parseSerial(change.serial)
  if (serial !== null) return change.kind === 'register' ? removing(serial, view) : adding(serial, view)
  return change.kind === 'lock' ? unlocking(view) : locking(change, view)
}

function unlocking(view: UndoView): Undoing {
  const holds = holdsOf(view, view.events)
  const skipped = !view.lockedByUs
    ? 'not locked by us any more'
    : holds.length === 0
      ? 'released already, and not carried out yet'
      : null
  return { action: 'unlock', holds, skipped }
}

function locking(change: DoneChange, view: UndoView): Undoing {
  const names = change.holds.flatMap((text) => parseHoldName(text) ?? [])
  const there = holdsOf(view, view.events)
  const whyNot = names.map((name) => (there.includes(name) ? 'held again already' : cannotHold(name, change, view)))
  const holds = names.filter((_, at) => whyNot[at] === null)
  if (view.lockedByUs) return { action: 'lock', holds: [], skipped: 'locked by us again' }
  const skipped = holds.length > 0 ? null : (whyNot[0] ?? 'no hold is on record for it')
  return { action: 'lock', holds, skipped }
}

/** Why a hold that was there cannot be again. */
function cannotHold(name: HoldName, change: DoneChange, view: UndoView): string | null {
  const until = change.ends[name]
  if (until !== undefined && until <= view.nowUs) return 'the hold has ended by itself since'
  const serial = parseSerial(name)
  if (serial === null) return null
  if (view.ownerElsewhere(serial) !== null) return `token ${serial} belongs to another account now`
  const assignments = view.events.filter(
    (event) => event.serial === serial && (event.kind === 'register' || event.kind === 'unregister'),
  )
  const isGone = assignments.toSorted(compareEvents).at(-1)?.kind === 'unregister'
  return isGone ? `token ${serial} is no longer there, so that nothing would end its hold` : null
}

function removing(serial: Serial, view: UndoView): Undoing {
  if (!fold(view, view.events).serials.includes(serial)) {
    return { action: 'remove serial', holds: [], skipped: 'the serial is gone already' }
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
  const isThere = fold(view, view.events).serials.includes(serial)
  const isElsewhere = view.ownerElsewhere(serial) !== null
  const skipped = isThere
    ? 'the serial is there again'
    : isElsewhere
      ? `token ${serial} belongs to another account now`
      : null
  return { action: 'add serial', holds: [], skipped }
}

/** The words that do it, all of one time. */
export function wordsFor(step: Undoing, change: DoneChange, view: UndoView, saying: Saying): ResolvedEvent[] {
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
    reason: change === null ? '' : `undo of ${change.kind} ${change.id}`,
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

/** Newer than all that is on record, for a look at what would be. */
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
