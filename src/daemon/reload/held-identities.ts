import { isDeepStrictEqual } from 'node:util'
import type { DirectoryIdentity } from '../../core/settings/directory-identity.ts'
import type { DirectoryName } from '../../core/names.ts'
import type { IdentityPort } from '../../ports/store/identity.ts'

/**
 * The identities of directories for a configuration that is only tried: treated as recorded, and recorded once the
 * configuration is in effect. A refused configuration leaves nothing.
 */
export class HeldIdentities implements IdentityPort {
  readonly #recorded: IdentityPort
  /** Null: it is in effect. */
  #held: Map<DirectoryName, { readonly now: DirectoryIdentity; readonly before: DirectoryIdentity | null }> | null =
    new Map()

  constructor(recorded: IdentityPort) {
    this.#recorded = recorded
  }

  async known(directory: DirectoryName): Promise<DirectoryIdentity | null> {
    return this.#held?.get(directory)?.now ?? (await this.#recorded.known(directory))
  }

  async remember(
    directory: DirectoryName,
    identity: DirectoryIdentity,
    instead: DirectoryIdentity | null,
  ): Promise<DirectoryIdentity> {
    const known = await this.known(directory)
    if (this.#held === null) return this.#recorded.remember(directory, identity, instead)
    if (!isDeepStrictEqual(known, instead)) return known ?? identity
    const before = this.#held.get(directory)?.before
    this.#held.set(directory, { now: identity, before: before === undefined ? instead : before })
    return identity
  }

  accept(directory: DirectoryName, identity: DirectoryIdentity, by: string, reason?: string): Promise<void> {
    return this.#recorded.accept(directory, identity, by, reason)
  }

  /** The configuration is in effect. Identities that another process recorded meanwhile stay. */
  async takeEffect(): Promise<void> {
    const held = [...(this.#held ?? [])]
    this.#held = null
    for (const [directory, { now, before }] of held) await this.#recorded.remember(directory, now, before)
  }
}
