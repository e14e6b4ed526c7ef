import { AndFilter, EqualityFilter, type Filter } from 'ldapts'
import type { EntryVersion } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Account } from './account.ts'
import type { Connection } from '../ldap/connection.ts'

/**
 * The change number of an entry, which OpenLDAP raises with each write to it. A write that asserts the number that was
 * read (RFC 4528) fails after any other write, also after one of ours that comes late. A server may hide the attribute,
 * or show it and forbid to compare it: an assertion would then never hold. So a search for the entry with the number
 * that the server gave first proves, for each server, that the comparison works there.
 */
export const VERSION_ATTRIBUTE = 'entryCSN'

/** Empty where the server showed none. */
export function versionIn(account: Account): { readonly version?: EntryVersion } {
  const value = account.text(VERSION_ATTRIBUTE)
  return value === null ? {} : { version: { url: account.url, value } }
}

/** How long a proof is valid; as the facts of a server. */
const PROOF_AGE_MAX_MS = 600_000
/**
 * An entry that was changed in between is not found either: after so many misses in a row the server is taken to be
 * unable to compare.
 */
const MISSES_MAX = 3

interface Proof {
  readonly atMs: number
  readonly isProven: boolean
  readonly misses: number
}

export class EntryVersions {
  readonly #clock: Clock
  readonly #proofs = new Map<string, Proof>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * What else the write is to assert; null: nothing. The number was read on another server, or this one cannot compare
   * it.
   */
  async filterFor(
    connection: Connection,
    dn: string,
    identity: Filter,
    asRead: EntryVersion | undefined,
  ): Promise<Filter | null> {
    const { url } = connection.server
    if (asRead === undefined || asRead.url !== url) return null
    const filter = new EqualityFilter({ attribute: VERSION_ATTRIBUTE, value: asRead.value })
    const known = this.#known(url)
    if (known?.isProven === true) return filter
    const misses = known?.misses ?? 0
    if (misses >= MISSES_MAX) return null
    const request = {
      base: dn,
      scope: 'base' as const,
      filter: new AndFilter({ filters: [identity, filter] }),
      attributes: ['1.1'],
      bytesOf: [],
      sizeMax: 1,
    }
    const isProven = (await connection.search(request)).length > 0
    this.#proofs.set(url, { atMs: this.#clock.nowMs(), isProven, misses: isProven ? 0 : misses + 1 })
    return isProven ? filter : null
  }

  #known(url: string): Proof | undefined {
    const proof = this.#proofs.get(url)
    if (proof === undefined) return undefined
    const ageMs = this.#clock.nowMs() - proof.atMs
    return ageMs >= 0 && ageMs < PROOF_AGE_MAX_MS ? proof : undefined
  }
}
