import { parseResolverName, type ResolverName } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { unexpected } from '../http/fields.ts'

/** Parallel checks of many owners read the list once. */
const LIST_AGE_MAX_MS = 5_000

/**
 * The resolvers that belong to a realm. `GET /realm/` names them and needs no right (measured on 3.11 to 3.14), while
 * `GET /resolver/` needs `resolverread`. A deleted resolver belongs to no realm, since privacyIDEA deletes no other; so
 * no user store of that name is used, and none can be down.
 */
export class Resolvers {
  readonly #client: Client
  readonly #clock: Clock
  #last: { readonly atMs: number; readonly names: Promise<ReadonlySet<ResolverName>> } | null = null

  constructor(client: Client, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Also false where no realm shows at all: then nothing is known. Fails as a call does. */
  async isGone(resolver: ResolverName): Promise<boolean> {
    const nowMs = this.#clock.nowMs()
    if (this.#last === null || nowMs - this.#last.atMs >= LIST_AGE_MAX_MS) {
      const last = { atMs: nowMs, names: this.#read() }
      this.#last = last
      // A failure is not kept: the next caller reads again.
      last.names.catch(() => {
        if (this.#last === last) this.#last = null
      })
    }
    const names = await this.#last.names
    return names.size > 0 && !names.has(resolver)
  }

  async #read(): Promise<ReadonlySet<ResolverName>> {
    const path = '/realm/'
    const { value } = await this.#client.call({ method: 'GET', path })
    if (!isFields(value)) throw unexpected(this.#client.where('GET', path), 'a list of realms was expected')
    const names = new Set<ResolverName>()
    for (const realm of Object.values(value)) {
      const members: unknown = isFields(realm) ? realm['resolver'] : null
      for (const member of Array.isArray(members) ? members : []) {
        const text: unknown = isFields(member) ? member['name'] : null
        const name = typeof text === 'string' ? parseResolverName(text) : null
        if (name !== null) names.add(name)
      }
    }
    return names
  }
}
