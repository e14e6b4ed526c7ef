import { compareEvents, type ResolvedEvent } from '../events/event.ts'
import { endedBecause, goneBecause, holdBecause, assignedBecause } from './fold-reasons.ts'
import { holdNameOfSerial, parseHoldName, type AccountKey, type HoldName, type Serial } from '../names.ts'
import { oneSpelling } from '../serials/serial-spelling.ts'
import type { Because, DesiredState, Hold } from './state.ts'

/**
 * The desired state of an account by its events (mode `events`): a pure function of the set of events, whatever the
 * order in which they came. The events are those of the account and all those of the serials that were ever its own.
 *
 * | event | what it does, in the order of the times at which the events were taken |
 * | --- | --- |
 * | register S to A | A owns S; another owner loses it, and a hold of S anywhere else ends |
 * | register S to A, which owns S already | enrolled anew, with its fail counter at 0: its hold ends, where S alone is named |
 * | lock S | S's hold on the event's account, else on S's owner; a hold of S elsewhere ends |
 * | lock, no serial | with exactly one serial on A (by record, else by the attribute): that one's hold; else A's own |
 * | unlock S | S's hold ends, and the owner's hold without a serial |
 * | unlock, no serial | every token hold of A ends, and A's hold without a serial |
 * | unregister S | S leaves its owner and its hold ends; the hold without a serial too when no serial is left |
 * | unregister S from A, by privacyIDEA's API | S leaves A; another owner keeps it |
 * | hold, release | a manual hold; the end of every hold |
 * | lockout, lockout-end | privacyIDEA's lockout of the user, by its newest report; its end |
 * | directory-unlock | the end of every hold, since somebody removed the lock in the directory |
 */
export interface FoldResult extends DesiredState {
  /** Those of `gone` that a reading of privacyIDEA found to have left, and no event named. */
  readonly derivedGone: readonly Serial[]
  /** Ids of the events that the result rests on: all others could be dropped without changing it. */
  readonly supportedBy: readonly string[]
  /** For a lock event that the result rests on: the hold that it was read as. */
  readonly holdOf: Readonly<Record<string, HoldName>>
  readonly twins: readonly Serial[]
  /** A serial occurs in several spellings, whether of one token or of two. */
  readonly isMixed: boolean
}

export interface FoldOptions {
  readonly nowUs: number
  /** A token's hold ends by itself after this; null: never. */
  readonly lockTtlUs: number | null
  /** Left out or null: it is always the same. */
  readonly backoff?: BackoffHistory | null
}

interface OpenHold {
  readonly hold: Hold
  readonly account: AccountKey
  /** The first and the newest event for it. */
  readonly first: ResolvedEvent
  newest: ResolvedEvent
}

interface Book {
  /** Serial to owner and the event that made it so. */
  readonly owners: Map<Serial, ResolvedEvent>
  /** Serial to the event that removed it from its last owner. */
  readonly gone: Map<Serial, { from: Set<AccountKey>; by: ResolvedEvent }>
  /** By account and hold name. */
  readonly holds: Map<string, OpenHold>
  /** By account: what ended one of its holds last. */
  readonly ended: Map<AccountKey, ResolvedEvent>
  /** All registrations and unregistrations, whatever their time. */
  readonly assignments: readonly ResolvedEvent[]
}

export function foldEvents(key: AccountKey, events: readonly ResolvedEvent[], options: FoldOptions): FoldResult {
  // From here on a token has one spelling, and two that differ by case only have two.
  const sorted = events.toSorted(compareEvents)
  const spelled = oneSpelling(sorted)
  const assignments = spelled.events.filter((event) => event.kind === 'register' || event.kind === 'unregister')
  const bookOf = (some: readonly ResolvedEvent[]): Book => {
    const book: Book = { owners: new Map(), gone: new Map(), holds: new Map(), ended: new Map(), assignments }
    for (const event of some) applyEvent(book, event)
    return book
  }
  const state = readBook(bookOf(spelled.events), key, options)
  const removal = spelled.events.findLast(({ kind, accountKey }) => kind === 'directory-unlock' && accountKey === key)
  const isOver =
    removal !== undefined &&
    readBook(bookOf(spelled.events.filter((event) => event !== removal)), key, options).holds.length === 0
  const over = isOver ? ({ isRemovalOver: true } as const) : {}
  return { ...state, ...over, twins: spelled.twins, isMixed: spelled.events !== sorted }
}

function applyEvent(book: Book, event: ResolvedEvent): void {
  switch (event.kind) {
    case 'register':
      return register(book, event)
    case 'lock':
      return openHold(book, event)
    case 'unlock':
      return unlock(book, event)
    case 'unregister':
      return unregister(book, event)
    case 'hold':
    case 'lockout':
      return openHold(book, event)
    case 'lockout-end':
      return closeHolds(book, event, (open) => open.account === event.accountKey && open.hold.kind === 'lockout')
    case 'release':
    case 'directory-unlock':
      return closeHolds(book, event, (open) => open.account === event.accountKey)
  }
}

function register(book: Book, event: ResolvedEvent): void {
  const serial = event.serial
  if (serial === null) return
  const before = book.owners.get(serial)
  const gone = book.gone.get(serial)
  if (before !== undefined && before.accountKey !== event.accountKey) {
    const from = gone?.from ?? new Set<AccountKey>()
    from.add(before.accountKey)
    book.gone.set(serial, { from, by: event })
  }
  book.gone.get(serial)?.from.delete(event.accountKey)
  if (isRollover(before, event)) closeHolds(book, event, (open) => open.hold.serial === serial)
  book.owners.set(serial, event)
  keepHoldsAt(book, event, serial, event.accountKey)
}

/**
 * privacyIDEA sets the fail counter of a token that is enrolled anew to 0. Where several serials are named (3.14's
 * webhook names all tokens of the owner when a further one is enrolled), it is not known which it was.
 */
function isRollover(before: ResolvedEvent | undefined, event: ResolvedEvent): boolean {
  if (event.isSoleSerial !== true || event.serial === null) return false
  // On the entry before anybody registered it here: it is older than the record.
  return before === undefined ? event.attributeSerials.includes(event.serial) : before.accountKey === event.accountKey
}

function openHold(book: Book, event: ResolvedEvent): void {
  const account = (event.kind === 'lock' && event.login === null && ownerOf(book, event)) || event.accountKey
  const name = holdNameFor(book, event, account)
  const id = `${account} ${name}`
  const open = book.holds.get(id)
  if (open !== undefined && event.kind === 'lock') {
    open.newest = event
    return
  }
  const hold = holdFrom(event, name)
  if (hold.serial !== null) keepHoldsAt(book, event, hold.serial, account)
  book.holds.set(id, { hold, account, first: event, newest: event })
}

function ownerOf(book: Book, event: ResolvedEvent): AccountKey | undefined {
  return event.serial === null ? undefined : book.owners.get(event.serial)?.accountKey
}

function holdNameFor(book: Book, event: ResolvedEvent, account: AccountKey): HoldName {
  if (event.pinnedHold !== null) return event.pinnedHold
  if (event.kind === 'hold') return holdName('manual', event.id)
  if (event.kind === 'lockout') return holdName('lockout', account)
  if (event.serial !== null) return holdNameOfSerial(event.serial)
  const open = [...book.holds.values()].find((each) => each.account === account && each.hold.kind === 'account')
  if (open !== undefined) return open.hold.name
  const recorded = serialsOf(book, account)
  const only = recorded.length > 0 ? recorded : status(book, event, account)
  return only.length === 1 && only[0] !== undefined ? holdNameOfSerial(only[0]) : holdName('account', account)
}

function holdFrom(event: ResolvedEvent, name: HoldName): Hold {
  const kind = holdKind(event, name)
  return {
    name,
    kind,
    serial: kind === 'token' ? (name as string as Serial) : null,
    sinceUs: event.takenAtUs,
    untilUs: event.untilUs,
    reason: holdBecause(event, kind, name),
    actor: event.actor,
  }
}

function holdKind(event: ResolvedEvent, name: HoldName): Hold['kind'] {
  if (event.kind === 'hold') return 'manual'
  if (event.kind === 'lockout') return 'lockout'
  return name.startsWith('account.') ? 'account' : 'token'
}

function unlock(book: Book, event: ResolvedEvent): void {
  if (event.serial === null) {
    const ends: readonly Hold['kind'][] = ['token', 'account']
    closeHolds(book, event, (open) => open.account === event.accountKey && ends.includes(open.hold.kind))
    return
  }
  const accounts = new Set([event.accountKey, ownerOf(book, event)])
  closeHolds(
    book,
    event,
    (open) => open.hold.serial === event.serial || (open.hold.kind === 'account' && accounts.has(open.account)),
  )
}

function unregister(book: Book, event: ResolvedEvent): void {
  const serial = event.serial
  if (serial === null) return
  const owner = ownerOf(book, event) ?? event.accountKey
  // An event from privacyIDEA's API is about this account alone: another event decides whose token it is now.
  if (event.source === 'privacyidea' && owner !== event.accountKey) return leaveOnly(book, event, serial)
  const from = book.gone.get(serial)?.from ?? new Set<AccountKey>()
  from.add(owner).add(event.accountKey)
  book.gone.set(serial, { from, by: event })
  book.owners.delete(serial)
  closeHolds(book, event, (open) => open.hold.serial === serial)
  if (serialsOf(book, owner).length > 0 || status(book, event, owner).length > 0) return
  closeHolds(book, event, (open) => open.account === owner && open.hold.kind === 'account')
}

/** The serial leaves the event's account, and stays with its owner. */
function leaveOnly(book: Book, event: ResolvedEvent, serial: Serial): void {
  const from = book.gone.get(serial)?.from ?? new Set<AccountKey>()
  book.gone.set(serial, { from: from.add(event.accountKey), by: event })
  closeHolds(book, event, (open) => open.hold.serial === serial && open.account === event.accountKey)
}

function serialsOf(book: Book, account: AccountKey): Serial[] {
  return [...book.owners].filter(([, event]) => event.accountKey === account).map(([serial]) => serial)
}

/**
 * The serials that the account had at the time of the event although no registration is on record: those read when
 * it was resolved, put back to its time. What was registered since had not come yet; what was unregistered since was
 * still there.
 */
function status(book: Book, event: ResolvedEvent, account: AccountKey): Serial[] {
  const serials = new Set(event.accountKey === account ? event.attributeSerials : [])
  for (const each of book.assignments) {
    if (each.kind !== 'unregister' || each.serial === null || each.accountKey !== account) continue
    if (compareEvents(each, event) > 0) serials.add(each.serial)
  }
  for (const each of book.assignments) {
    if (each.kind === 'register' && each.serial !== null && each.accountKey === account) serials.delete(each.serial)
  }
  return [...serials].filter((serial) => book.gone.get(serial)?.from.has(account) !== true)
}

/** A token has one owner: only at the account of the newest event can it make a hold. */
function keepHoldsAt(book: Book, event: ResolvedEvent, serial: Serial, account: AccountKey): void {
  closeHolds(book, event, (open) => open.hold.serial === serial && open.account !== account)
}

function closeHolds(book: Book, by: ResolvedEvent, ends: (open: OpenHold) => boolean): void {
  for (const [id, open] of book.holds) {
    if (!ends(open)) continue
    book.holds.delete(id)
    book.ended.set(open.account, by)
  }
}

/** A stable name from any text: 64 bits of FNV-1a, in hex. Not for security, only for a short file name. */
export function holdName(kind: 'account' | 'manual' | 'lockout', text: string): HoldName {
  let hash = 0xcbf29ce484222325n
  for (let index = 0; index < text.length; index++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(index))) * 0x100000001b3n)
  }
  const name = parseHoldName(`${kind}.${hash.toString(16).padStart(16, '0')}`)
  if (name === null) throw new RangeError('a hold name that is none')
  return name
}

function readBook(book: Book, key: AccountKey, options: FoldOptions): Omit<FoldResult, 'twins' | 'isMixed'> {
  const supportedBy: string[] = []
  const holdOf: Record<string, HoldName> = {}
  const holds: Hold[] = []
  const expired: Serial[] = []
  let heldAtUs = 0
  let heldKnownUs = 0
  let expiredUs = 0
  for (const open of book.holds.values()) {
    if (open.account !== key) continue
    const hold = withTtl(withNewestReason(open), options)
    if (hold.untilUs !== null && hold.untilUs <= options.nowUs) {
      if (hold.serial !== null) expired.push(hold.serial)
      expiredUs = Math.max(expiredUs, hold.untilUs)
      continue
    }
    holds.push(hold)
    const { takenAtUs, receivedUs = takenAtUs } = open.newest
    heldAtUs = Math.max(heldAtUs, takenAtUs)
    heldKnownUs = Math.max(heldKnownUs, Math.min(takenAtUs, receivedUs))
    supportedBy.push(open.first.id, open.newest.id)
    if (open.first.kind === 'lock') holdOf[open.first.id] = holdOf[open.newest.id] = hold.name
  }
  const movedFrom: Record<string, readonly AccountKey[]> = {}
  const because: Record<string, Because> = {}
  for (const serial of serialsOf(book, key)) {
    const event = book.owners.get(serial)
    if (event) {
      supportedBy.push(event.id)
      because[serial] = assignedBecause(event, serial)
    }
    const from = book.gone.get(serial)?.from
    if (from && from.size > 0) movedFrom[serial] = [...from]
  }
  const gone = [...book.gone].filter(([, each]) => each.from.has(key))
  for (const [serial, { by }] of gone) {
    supportedBy.push(by.id)
    because[serial] = goneBecause(by, serial)
  }
  const ended = endedBecause(book.ended.get(key), expiredUs, key)
  const expiries = holds.flatMap((hold) => (hold.untilUs === null ? [] : [hold.untilUs]))
  return {
    serials: serialsOf(book, key).toSorted(),
    gone: gone.map(([serial]) => serial).toSorted(),
    derivedGone: gone.filter(([, { by }]) => by.source === 'privacyidea').map(([serial]) => serial),
    movedFrom,
    because,
    ...(ended === null ? {} : { ended }),
    holds: holds.toSorted((a, b) => a.sinceUs - b.sinceUs || (a.name < b.name ? -1 : 1)),
    heldAtUs,
    heldKnownUs,
    expired: expired.toSorted(),
    nextExpiryUs: expiries.length > 0 ? Math.min(...expiries) : null,
    supportedBy: [...new Set(supportedBy)],
    holdOf,
  }
}

/** A token that was disabled may be full by now: the newest event decides the reason. */
function withNewestReason(open: OpenHold): OpenHold {
  const { hold, first, newest } = open
  if (newest === first) return open
  return { ...open, hold: { ...hold, reason: holdBecause(newest, hold.kind, hold.name) } }
}

function withTtl(open: OpenHold, { lockTtlUs, backoff = null }: FoldOptions): Hold {
  if (lockTtlUs === null || open.hold.kind === 'manual' || open.hold.kind === 'lockout') return open.hold
  const { takenAtUs } = open.newest
  return { ...open.hold, untilUs: takenAtUs + lockTtlAt(lockTtlUs, backoff, takenAtUs) }
} /** Each further lock of an account lasts longer. Pure: the caller takes the ended locks from the ledger. */
export interface BackoffHistory {
  readonly factor: number
  readonly maxUs: number
  readonly resetAfterUs: number
  /** When locks of ours ended, in microseconds since 1970, the newest first. */
  readonly endedUs: readonly number[]
}

/**
 * How long a lock lasts whose event has this time: `ttlUs` times factor^n, where n locks of the account have
 * ended before it, each at most `resetAfterUs` before the next. A lock that ended later does not count, so that the
 * answer stays the same during the lock and after it.
 */
export function lockTtlAt(ttlUs: number, backoff: BackoffHistory | null, takenAtUs: number): number {
  if (backoff === null) return ttlUs
  let count = 0
  let nextUs = takenAtUs
  for (const endedUs of backoff.endedUs) {
    if (endedUs >= takenAtUs) continue
    if (nextUs - endedUs > backoff.resetAfterUs) break
    count++
    nextUs = endedUs
  }
  return Math.max(ttlUs, Math.min(backoff.maxUs, ttlUs * backoff.factor ** count))
}
