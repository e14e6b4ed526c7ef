import { TOKEN_EVENT_KINDS, type Event, type TokenEventKind } from '../core/events/event.ts'
import {
  hasControlCharacter,
  parseLogin,
  parseRealm,
  parseSerial,
  type Login,
  type Realm,
  type Serial,
} from '../core/names.ts'
import type { Refused } from '../ports/intake.ts'

/** Makes events of the texts that privacyIDEA handed over, by any way. Pure. */

/**
 * Serials of one message at most (3.12 and later hand over whole lists); the rest is refused, and on record as such.
 */
const SERIALS_PER_EVENT_MAX = 1000
/** Characters of a login or a realm at most. */
const NAME_LENGTH_MAX = 255
/** Characters of text from outside in a reason at most. */
const EXCERPT_LENGTH_MAX = 40
/** Characters of an actor (login, `@`, realm) at most; a longer one is cut, since no decision depends on it. */
const ACTOR_LENGTH_MAX = 255

// eslint-disable-next-line no-control-regex -- control characters are what it replaces
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** Where and when a message was taken. `id` is unique, and the same when the same message is read again. */
export interface Origin {
  readonly id: string
  readonly source: 'shim' | 'webhook'
  /** Microseconds since 1970. */
  readonly takenAtUs: number
}

/** The values as they came; undefined: not given. */
export interface EventFields {
  readonly serial?: string | undefined
  readonly user?: string | undefined
  readonly realm?: string | undefined
  /** `LOGIN@REALM` of the logged-in user; `none@none`: no user. */
  readonly actor?: string | undefined
}

/**
 * The result of one message: an event for each serial (one event when no serial is given), and what was refused of it.
 */
export interface Received {
  readonly events: readonly Event[]
  readonly refused: readonly Refused[]
}

export function isTokenEventKind(text: string): text is TokenEventKind {
  return (TOKEN_EVENT_KINDS as readonly string[]).includes(text)
}

/**
 * One event for each serial, or one without a serial. privacyIDEA writes a missing value as `none` (`None` in its
 * webhook before 3.14). A user of that name cannot be distinguished from no user, and counts as no user here. A list is
 * `A,B` or `A, B`: its bad members are refused and the good ones taken. A bad user or realm makes the whole message
 * invalid, because an event without them would mean something else. 3.14's webhook names all tokens of the owner where
 * the request named none. Such a lock does not show which of them is full, so it is one of the account, and the unlock
 * of any token ends it. A registration has a flag for one serial alone: only then is it known which token was enrolled.
 */
export function eventsOfFields(kind: TokenEventKind, fields: EventFields, origin: Origin): Received {
  const user = present(fields.user)
  const realm = present(fields.realm)
  const login = isBadName(user) ? null : parseLogin(user ?? '')
  const parsedRealm = isBadName(realm) ? null : parseRealm(realm ?? '')
  if (user !== null && login === null) return refuse(origin, badName('user', user))
  if (realm !== null && parsedRealm === null) return refuse(origin, badName('realm', realm))
  const { serials, problem } = readSerials(present(fields.serial))
  if (problem !== null && serials.length === 0) return refuse(origin, problem)
  const actor = readActor(fields.actor)
  const build = (serial: Serial | null, id: string): Event =>
    newEvent(kind, serial, login, parsedRealm, actor, id, origin)
  const [only] = serials
  const isOfAccount = origin.source === 'webhook' && kind === 'lock' && login !== null
  const isSole = kind === 'register' && serials.length === 1 && problem === null
  const events =
    serials.length > 1 && !isOfAccount
      ? serials.map((serial, at) => build(serial, `${origin.id}#${at + 1}`))
      : [
          {
            ...build(serials.length === 1 ? (only ?? null) : null, origin.id),
            ...(isSole ? { isSoleSerial: true } : {}),
          },
        ]
  const refused = problem === null ? [] : refuse({ ...origin, id: `${origin.id}#refused` }, problem).refused
  return { events, refused }
}

export function refuse(origin: Origin, reason: string): Received {
  const { id, source, takenAtUs } = origin
  return { events: [], refused: [{ id, source, takenAtUs, reason }] }
}

/** A short, printable piece of text from outside, in quotes: ASCII only, everything else as `\uXXXX`. */
export function excerpt(text: string): string {
  const head = text.slice(0, EXCERPT_LENGTH_MAX)
  let shown = ''
  for (let at = 0; at < head.length; at++) {
    const code = head.charCodeAt(at)
    const plain = code >= 0x20 && code < 0x7f && code !== 0x22 && code !== 0x5c
    const piece = plain ? head.charAt(at) : `\\u${code.toString(16).padStart(4, '0')}`
    if (shown.length + piece.length > EXCERPT_LENGTH_MAX - 3) return `"${shown}"…`
    shown += piece
  }
  return text.length > head.length ? `"${shown}"…` : `"${shown}"`
}

function newEvent(
  kind: TokenEventKind,
  serial: Serial | null,
  login: Login | null,
  realm: Realm | null,
  actor: string,
  id: string,
  origin: Origin,
): Event {
  const { source, takenAtUs } = origin
  return { id, kind, serial, login, realm, actor, takenAtUs, source, reason: null, untilUs: null }
}

function present(value: string | undefined): string | null {
  return value === undefined || value === '' || value === 'none' || value === 'None' ? null : value
}

/** A sender may write anything into a message: an odd name is refused, and on record as such. */
function isBadName(text: string | null): boolean {
  return text !== null && (text.length > NAME_LENGTH_MAX || hasControlCharacter(text))
}

function badName(field: 'user' | 'realm', value: string): string {
  const length =
    value.length > NAME_LENGTH_MAX
      ? `${value.length} characters, at most ${NAME_LENGTH_MAX} are allowed`
      : 'control characters'
  return `${field}: ${length}, in ${excerpt(value)}`
}

function readSerials(value: string | null): { serials: readonly Serial[]; problem: string | null } {
  if (value === null) return { serials: [], problem: null }
  const whole = parseSerial(value)
  if (whole !== null) return { serials: [whole], problem: null }
  const good = new Set<Serial>()
  const bad: string[] = []
  let tooMany = 0
  for (const member of value.split(',')) {
    const text = present(member.trim())
    if (text === null) continue
    const serial = parseSerial(text)
    if (serial === null) bad.push(text)
    else if (good.size < SERIALS_PER_EVENT_MAX) good.add(serial)
    else if (!good.has(serial)) tooMany++
  }
  return { serials: [...good], problem: serialProblem(bad, tooMany) }
}

function serialProblem(bad: readonly string[], tooMany: number): string | null {
  const problems: string[] = []
  const [first] = bad
  if (first !== undefined) {
    const count = bad.length === 1 ? 'no serial number' : `${bad.length} that are no serial numbers, the first`
    problems.push(`${count} (1 to 64 of A-Z a-z 0-9 _ -): ${excerpt(first)}`)
  }
  if (tooMany > 0) problems.push(`${tooMany} more than the ${SERIALS_PER_EVENT_MAX} that one event may name`)
  return problems.length === 0 ? null : `serial: ${problems.join('; ')}`
}

/** An actor is for people to read: unprintable characters are replaced, and no event is lost because of them. */
function readActor(value: string | undefined): string {
  if (present(value) === null || value === undefined) return ''
  if (/^(?:[Nn]one)?@(?:[Nn]one)?$/.test(value)) return ''
  return value.slice(0, ACTOR_LENGTH_MAX).toWellFormed().replaceAll(CONTROL, '\ufffd')
}
