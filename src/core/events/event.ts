import type { AccountKey, HoldName, Login, Realm, Serial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'

/** What privacyIDEA can report. */
export const TOKEN_EVENT_KINDS = ['register', 'lock', 'unlock', 'unregister'] as const
export type TokenEventKind = (typeof TOKEN_EVENT_KINDS)[number]

/** Reported by privacyIDEA; all others are events of their own. */
export function isTokenEvent(kind: EventKind): boolean {
  return (TOKEN_EVENT_KINDS as readonly EventKind[]).includes(kind)
}

/**
 * Everything that can change the desired state of an account.
 * `hold` and `release` are manual actions (`release` ends every hold of the account); `directory-unlock`: somebody
 * removed our lock in the directory itself, which ends the holds of that time. `lockout` and `lockout-end`:
 * privacyIDEA locks the user out, whatever the state of their tokens.
 */
export type EventKind = TokenEventKind | 'hold' | 'release' | 'directory-unlock' | 'lockout' | 'lockout-end'

const EVENT_KINDS: readonly EventKind[] = [
  ...TOKEN_EVENT_KINDS,
  'hold',
  'release',
  'directory-unlock',
  'lockout',
  'lockout-end',
]

export function isEventKind(text: string): text is EventKind {
  return (EVENT_KINDS as readonly string[]).includes(text)
}

/** `privacyidea`: derived from the answers of its API. */
export type EventSource = 'shim' | 'webhook' | 'cli' | 'directory' | 'rebuild' | 'privacyidea'

/**
 * One event, after parsing. `takenAtUs` is when the shim or the webhook took it, in microseconds since 1970: the newest
 * decides. `id` is unique and the same when the same event is read twice; it also breaks ties.
 */
export interface Event {
  readonly id: string
  readonly kind: EventKind
  readonly serial: Serial | null
  readonly login: Login | null
  readonly realm: Realm | null
  /** Who did it in privacyIDEA (`admin@`, `none@none` becomes ''), or the person at the CLI. */
  readonly actor: string
  readonly takenAtUs: number
  readonly source: EventSource
  /** Null where privacyIDEA reported it without one: the kind is enough. */
  readonly reason: Reason | null
  /** `hold` and `lockout` only: when the hold ends by itself, in microseconds since 1970. */
  readonly untilUs: number | null
  /** A registration that names this serial alone; left out: it named others as well, or that is not known. */
  readonly isSoleSerial?: boolean
}

/** An event that belongs to an account: what the desired state is folded from. */
export interface ResolvedEvent extends Event {
  readonly accountKey: AccountKey
  /** The serials in the account's serial attribute when the event was resolved. */
  readonly attributeSerials: readonly Serial[]
  /** Set once the older events that it was read with are gone: the hold that a lock event belongs to. */
  readonly pinnedHold: HoldName | null
  /** When it came in, in microseconds since 1970, by our clock; left out: when it was taken. */
  readonly receivedUs?: number
}

/** Order of time; equal times are ordered by id, so that every order of arrival gives the same result. */
export function compareEvents(a: Event, b: Event): number {
  if (a.takenAtUs !== b.takenAtUs) return a.takenAtUs - b.takenAtUs
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** Why an event ends without any account: it is on record and needs nothing. Null when it has to be resolved. */
export function nothingToDo(event: Event): Reason | null {
  if (event.serial === null && event.login === null) return { code: 'names-nobody', params: {} }
  if (event.kind === 'register' && event.login === null) return { code: 'token-without-owner', params: {} }
  if (event.kind === 'register' && event.serial === null) return { code: 'registration-without-serial', params: {} }
  if (event.kind === 'unregister' && event.serial === null) return { code: 'unregistration-without-serial', params: {} }
  return null
}
