import type { AccountKey, HoldName, Login, Realm, Serial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'

/** What privacyIDEA can tell. */
export const TOKEN_EVENT_KINDS = ['register', 'lock', 'unlock', 'unregister'] as const
export type TokenEventKind = (typeof TOKEN_EVENT_KINDS)[number]

/** Told by privacyIDEA; all others are somebody's word of their own. */
export function isTokenEvent(kind: EventKind): boolean {
  return (TOKEN_EVENT_KINDS as readonly EventKind[]).includes(kind)
}

/**
 * Everything that can change what an account should look like.
 * `hold` and `release` are a person's word (`release` ends every hold of the account); `directory-unlock` says that
 * somebody took our lock away in the directory itself, which ends the holds that stood then. `lockout` and `lockout-end`:
 * privacyIDEA keeps the user out, whatever his tokens say.
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

/** `privacyidea`: derived from what its API says. */
export type EventSource = 'shim' | 'webhook' | 'cli' | 'directory' | 'rebuild' | 'privacyidea'

/**
 * One hint that something happened, after parsing. `takenAtUs` is when the shim or the webhook took it, in microseconds
 * since 1970: the newest decides. `id` is unique and the same when the same hint is read twice; it also breaks ties.
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
  /** Null for what privacyIDEA reported without one: the kind says it. */
  readonly reason: Reason | null
  /** `hold` and `lockout` only: when the hold ends by itself, in microseconds since 1970. */
  readonly untilUs: number | null
  /** A registration that names this serial alone; left out: it named others as well, or nobody knows. */
  readonly isSoleSerial?: boolean
}

/** An event that belongs to an account: what the desired state is folded from. */
export interface ResolvedEvent extends Event {
  readonly accountKey: AccountKey
  /** The serials that stood in the account's serial attribute when the event was resolved. */
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
