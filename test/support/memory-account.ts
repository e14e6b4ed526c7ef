import type { LastWriter } from '../../src/core/account/late.ts'
import type { AccountKey, DirectoryName, Dn, Login, Realm } from '../../src/core/names.ts'
import type { AttributeValue, Effectiveness, OtherLock } from '../../src/core/account/state.ts'

/** What the directory in memory holds, and what a test may do to it. */

/** How the answer to a write can be lost. `late`: the write waits in `onTheWay`. */
export type LostAnswer = 'written' | 'not-written' | 'late'

/** What a test may switch at any time. */
export interface MemoryFaults {
  /** Reads and writes fail with `directory-unreachable`; nothing is written. */
  isDown: boolean
  /** For the writes to come, in order: the answer is lost (`outcome-unknown`), and whether the write happened. */
  readonly lostAnswers: LostAnswer[]
  /** What is said of the lock of every account. */
  effective: Effectiveness
  /** Nobody can read who wrote to an entry last. */
  hidesWriters: boolean
}

export interface MemoryOptions {
  readonly name: DirectoryName
  readonly serialFormat?: string
  /** False: the serial attribute takes one value. */
  readonly multiValued?: boolean
  /** The realms that belong to it; empty: every realm. */
  readonly realms?: readonly Realm[]
  readonly lockPlaces?: 'one' | 'several' | 'bit'
  /** A write may assert that the entry is as it was read. */
  readonly hasVersions?: boolean
}

/** An account as it stands; never changed in place, so that a reading stays what it was. */
export interface MemoryAccount {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login
  readonly serialValues: readonly AttributeValue[]
  /** None or one, as the schema has it. */
  readonly lockValues: readonly AttributeValue[]
  /** The values of the other attributes that a lock of several places writes. */
  readonly denied: readonly AttributeValue[]
  readonly allowed: readonly AttributeValue[]
  /** One integer, of which a lock of mode `bit` is a bit. */
  readonly control: readonly AttributeValue[]
  readonly protectedBy: string | null
  /** Somebody else's lock in an attribute of its own, as the end of an account; null: none. */
  readonly otherLock: OtherLock | null
  readonly lastWriter: LastWriter
  /** Rises with each write. */
  readonly version: number
}
