import type { Filter } from 'ldapts'
import type { AccountId, Dn } from '../../core/names.ts'
import type { OtherLockCause } from '../../core/reasons/other-lock-cause.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { AttributeValue, LockObservation, OtherLock } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Reads } from '../ldap/reads.ts'
import type { ServerFacts } from '../pool/server-facts.ts'

/** An account's own entry as it was read. */
export interface AccountEntry {
  readonly dn: Dn
  /** Null where the entry has no value that is one. */
  readonly login: string | null
  /** Text where it is UTF-8, else bytes; empty when absent. Only attributes that were asked for. */
  values(attribute: string): readonly AttributeValue[]
  text(attribute: string): string | null
}

/** A place in another entry (a group) that the lock of an account is made of. */
export interface PlaceElsewhere {
  readonly dn: Dn
  readonly attribute: string
  /** These values are searched for by the server's own matching; null: all values are read. */
  readonly values: readonly string[] | null
}

type ValuesOf = (attribute: string) => readonly AttributeValue[]

/** Values of an entry by where they come from, of attributes that the server may cover. */
export interface ValuesBySource {
  /** What is stored in the entry, also where the server shows another value. */
  readonly stored: ValuesOf
  /** What the server gives the entry (by a class of service of 389-DS), beside the stored values. */
  readonly given: ValuesOf
}

/** What was read of one account besides its entry. `stored` and `given`: of `coverable` alone. */
export interface LockReading extends ValuesBySource {
  readonly facts: ServerFacts
  /** The values at `placesElsewhere`, in their order. */
  readonly elsewhere: readonly (readonly AttributeValue[])[]
}

export interface LockContext<Context> extends LockReading {
  readonly nowMs: number
  /** See LockDriver.readContext. */
  readonly context: Context
}

/** @param untilMs when it ends by itself; null: not by itself */
export function lockedBy(cause: OtherLockCause, attribute: string, untilMs: number | null = null): OtherLock {
  return { is: 'locked', cause, attribute, untilUs: untilMs === null ? null : untilMs * 1000 }
}

/** Which accounts and attributes a lock is about in one kind of directory. */
interface LockPlaces {
  /** Attributes of the account's own entry that it needs to see. */
  readonly attributes: readonly string[]
  /** Those of them that a lock writes. */
  readonly lockAttributes: readonly string[]
  /** Those of them whose stored values the server may cover with others of its own making; see `LockContext.stored`. */
  readonly coverable: readonly string[]
  /** Those that the server keeps at one value, also where its schema allows several. */
  readonly singleValued: readonly string[]
  /** How long a value of an attribute may be, in UTF-16 units, by the name in lower case; left out where it is not known. */
  readonly lengthsMax?: Readonly<Record<string, number>>
  /**
   * The name that the account's own entry is written to and read under: its DN, or one that stays with it when it is
   * renamed, where the server supports such names.
   */
  addressOf(id: AccountId, dn: Dn): string
  /** Why an account of this kind is never locked, under any configuration; null: it may be. */
  protects(account: AccountEntry): string | null
  placesElsewhere(account: AccountEntry): readonly PlaceElsewhere[]
  /**
   * Where the duration of another lock at this account depends on a policy: when it was set, in milliseconds since
   * 1970. The policies are then read afresh, and not before that. Null: nothing depends on them.
   */
  restsOnPoliciesSince(account: AccountEntry): number | null
  /** Filters of accounts that a lock of ours may be at; several are alternatives. */
  marks(): readonly Filter[]
  /**
   * Filters of accounts that any lock may be at now, ours or not; some of them may have none. Left out: those of
   * `marks` are all that there are.
   */
  lockedMarks?(nowMs: number): readonly Filter[]
  /** Places in other entries whose values name accounts that a lock of ours may be at. */
  markedElsewhere(): readonly MarkedElsewhere[]
}

/** What locked means in one kind of directory. Pure, except for reading its own context. */
export interface LockDriver<Context> extends LockPlaces {
  /**
   * What decides about locks besides entries of accounts: policies, the domain. It is kept for a while. A server with
   * facts of its own is read separately. Fails with `directory-*`.
   */
  readContext(reads: Reads, settings: DirectorySettings, facts: ServerFacts): Promise<Context>
  readLock(account: AccountEntry, context: LockContext<Context>): LockObservation
}

/** Judges the lock of an account, by its context of one server or of any. Fails with `directory-*`. */
export type LockJudge = (account: AccountEntry, reading: LockReading) => Promise<LockObservation>

/** A driver with its context inside. */
export interface DirectoryDriver extends LockPlaces {
  judge(reads: Reads, settings: DirectorySettings, clock: Clock): LockJudge
}

export function driverWith<Context>(driver: LockDriver<Context>): DirectoryDriver {
  return {
    ...driver,
    judge(reads, settings, clock) {
      const kept = new KeptContext(clock, (facts) => driver.readContext(reads, settings, facts))
      return async (account, reading) => {
        const context = await kept.of(reading.facts, driver.restsOnPoliciesSince(account))
        return driver.readLock(account, { ...reading, nowMs: clock.nowMs(), context })
      }
    },
  }
}

/** For a driver without a context. */
export const NO_CONTEXT = { readContext: () => Promise.resolve(null) }

export interface MarkedElsewhere {
  readonly dn: Dn
  readonly attribute: string
  readonly names: 'dn' | 'login'
}

const KEPT_MAX_AGE_MS = 60_000
/** For the duration of a lock: the policy in effect now counts, also one changed a moment ago. */
const FRESH_MAX_AGE_MS = 1_000
/** Times of locks are of whole seconds. */
const SECOND_MS = 1_000

/** The context of a driver: read once for all that wait, and kept for a while. */
class KeptContext<Context> {
  readonly #clock: Clock
  readonly #load: (facts: ServerFacts) => Promise<Context>
  #kept: { readonly context: Context; readonly atMs: number } | null = null
  #reading: Promise<Context> | null = null

  constructor(clock: Clock, load: (facts: ServerFacts) => Promise<Context>) {
    this.#clock = clock
    this.#load = load
  }

  /** @param lockedSinceMs see LockPlaces.restsOnPoliciesSince */
  async of(facts: ServerFacts, lockedSinceMs: number | null): Promise<Context> {
    const [maxAgeMs, notBeforeMs] =
      lockedSinceMs === null ? [KEPT_MAX_AGE_MS, 0] : [FRESH_MAX_AGE_MS, lockedSinceMs + SECOND_MS]
    const kept = this.#kept
    const ageMs = kept === null ? Infinity : this.#clock.nowMs() - kept.atMs
    if (kept !== null && ageMs >= 0 && ageMs < maxAgeMs && kept.atMs >= notBeforeMs) return kept.context
    this.#reading ??= this.#read(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #read(facts: ServerFacts): Promise<Context> {
    const atMs = this.#clock.nowMs()
    const context = await this.#load(facts)
    this.#kept = { context, atMs }
    return context
  }
}
