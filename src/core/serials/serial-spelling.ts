import type { ResolvedEvent } from '../events/event.ts'
import { holdNameOfSerial, type AccountKey, type Serial } from '../names.ts'
import { isSameSerial, serialKey, serialOfHold, type SerialKey } from './serial-key.ts'

/**
 * Which token does each event mean, where serials differ by case only? One, unless something proves otherwise; then all
 * of its events get one spelling, so that the fold does not see the others. Two, where
 *
 * - privacyIDEA's API lists both: it gives each serial as it is stored, so that its own spellings compare exactly;
 * - one spelling belongs to an account, and an event that names its user gives another spelling to another account.
 *   Otherwise, on a server whose database distinguishes cases, everybody who may choose a serial could end another's
 *   lock.
 *
 * An event that names no user does not show whose token it is: its account was found by the serial itself. After an
 * unregistration the serial is free, and the next spelling means the same one again.
 */
export interface SpelledEvents {
  readonly events: readonly ResolvedEvent[]
  /** The spellings of tokens that are known to differ by case only; empty as a rule. */
  readonly twins: readonly Serial[]
}

interface TokenOfEvents {
  /** The owner, as far as an event states it by itself; null: nobody, or not known. */
  account: AccountKey | null
  /** As privacyIDEA's API has it. */
  listed: Serial | null
  /** As its newest registration has it. */
  registered: Serial | null
  /** As it was on an account. */
  carried: Serial | null
  /** As the newest event that names its user has it. */
  named: Serial | null
  readonly first: Serial
  readonly spellings: Set<Serial>
}

/** Their events name the account itself: those of privacyIDEA's API, and those of its own files and values. */
const SAYING_OWNER: ReadonlySet<ResolvedEvent['source']> = new Set(['privacyidea', 'rebuild'])

type Tokens = Map<SerialKey, TokenOfEvents[]>

/** @param events in the order of time */
export function oneSpelling(events: readonly ResolvedEvent[]): SpelledEvents {
  const several = keysOfSeveralSpellings(events)
  if (several.size === 0) return { events, twins: [] }
  const tokens: Tokens = new Map()
  const meant = events.map((event) => {
    if (event.serial === null || !several.has(serialKey(event.serial))) return null
    return tokenOf(tokens, event, event.serial)
  })
  const spelling = spellingsOf(tokens)
  const present = new Map<SerialKey, Serial>()
  return {
    events: events.map((event, at) => respelled(event, meant[at] ?? null, tokens, spelling, present)),
    twins: twinsOf(tokens, spelling),
  }
}

function keysOfSeveralSpellings(events: readonly ResolvedEvent[]): Set<SerialKey> {
  const spellings = new Set<Serial>()
  for (const { serial, pinnedHold, attributeSerials } of events) {
    if (serial !== null) spellings.add(serial)
    for (const each of attributeSerials) spellings.add(each)
    const held = pinnedHold === null ? null : serialOfHold(pinnedHold)
    if (held !== null) spellings.add(held)
  }
  const several = new Set<SerialKey>()
  if (spellings.size < 2) return several
  const keys = new Set<SerialKey>()
  for (const spelling of spellings) {
    const key = serialKey(spelling)
    if (keys.has(key)) several.add(key)
    keys.add(key)
  }
  return several
}

function tokenOf(tokens: Tokens, event: ResolvedEvent, serial: Serial): TokenOfEvents {
  const key = serialKey(serial)
  const known = tokens.get(key) ?? []
  const carried = event.attributeSerials.find((each) => serialKey(each) === key) ?? null
  const saysOwner =
    event.kind === 'register' || event.login !== null || SAYING_OWNER.has(event.source) || carried === serial
  let token = bestOf(
    known.filter((each) => mayMean(each, event, serial, saysOwner)),
    serial,
    event.accountKey,
  )
  if (token === undefined) {
    const none = { account: null, listed: null, registered: null, carried: null, named: null }
    token = { ...none, first: serial, spellings: new Set() }
    known.push(token)
    tokens.set(key, known)
  }
  note(token, event, serial, saysOwner, carried)
  return token
}

function mayMean(token: TokenOfEvents, event: ResolvedEvent, serial: Serial, saysOwner: boolean): boolean {
  if (event.source === 'privacyidea' && token.listed !== null) return token.listed === serial
  return !saysOwner || token.account === null || token.account === event.accountKey || spellingOf(token) === serial
}

/** Exactly this spelling first, then one that was used for it, then the account's own. */
function bestOf(tokens: readonly TokenOfEvents[], serial: Serial, account: AccountKey): TokenOfEvents | undefined {
  return (
    tokens.find((token) => spellingOf(token) === serial) ??
    tokens.find((token) => token.spellings.has(serial)) ??
    tokens.find((token) => token.account === account) ??
    tokens[0]
  )
}

function note(
  token: TokenOfEvents,
  event: ResolvedEvent,
  serial: Serial,
  saysOwner: boolean,
  carried: Serial | null,
): void {
  token.spellings.add(serial)
  if (event.source === 'privacyidea') token.listed = serial
  if (event.kind === 'register') token.registered = serial
  if (carried !== null) token.carried ??= carried
  if (event.kind === 'unregister') {
    // An event from privacyIDEA's API is about its own account alone.
    if (event.source !== 'privacyidea' || token.account === event.accountKey) token.account = null
  } else if (saysOwner) {
    token.account = event.accountKey
    token.named = serial
  }
}

function spellingOf({ listed, registered, carried, named, first }: TokenOfEvents): Serial {
  return listed ?? registered ?? carried ?? named ?? first
}

/** Two tokens never share one, even where both were only ever seen in the same spellings. */
function spellingsOf(tokens: Tokens): Map<TokenOfEvents, Serial> {
  const spelling = new Map<TokenOfEvents, Serial>()
  for (const alike of tokens.values()) {
    const taken = new Set<Serial>()
    for (const token of alike) {
      const [free] = [spellingOf(token), ...token.spellings].filter((each) => !taken.has(each))
      const own = free ?? spellingOf(token)
      taken.add(own)
      spelling.set(token, own)
    }
  }
  return spelling
}

function twinsOf(tokens: Tokens, spelling: ReadonlyMap<TokenOfEvents, Serial>): Serial[] {
  return [...tokens.values()].flatMap((alike) => {
    const live = alike.filter((token) => token.account !== null)
    return live.length < 2 ? [] : live.flatMap((token) => spelling.get(token) ?? [])
  })
}

function respelled(
  event: ResolvedEvent,
  meant: TokenOfEvents | null,
  tokens: Tokens,
  spelling: ReadonlyMap<TokenOfEvents, Serial>,
  /** The spelling of serials that accounts have and that no event names, as they are met. */
  present: Map<SerialKey, Serial>,
): ResolvedEvent {
  const own = (meant && spelling.get(meant)) ?? event.serial
  const near = (serial: Serial): Serial => {
    const alike = tokens.get(serialKey(serial)) ?? []
    const here = alike.filter((token) => token.account === event.accountKey)
    if (here.some((token) => spelling.get(token) === serial)) return serial
    if (own !== null && isSameSerial(own, serial)) return own
    const found = here[0] ?? bestOf(alike, serial, event.accountKey)
    if (found !== undefined) return spelling.get(found) ?? serial
    const first = present.get(serialKey(serial)) ?? serial
    present.set(serialKey(serial), first)
    return first
  }
  const held = event.pinnedHold === null ? null : serialOfHold(event.pinnedHold)
  const pinnedHold = held === null ? event.pinnedHold : holdNameOfSerial(near(held))
  const attributeSerials = event.attributeSerials.map(near)
  const isSame =
    own === event.serial &&
    pinnedHold === event.pinnedHold &&
    attributeSerials.every((serial, at) => serial === event.attributeSerials[at])
  return isSame ? event : { ...event, serial: own, pinnedHold, attributeSerials }
}
