import { AppError } from '../../core/error.ts'
import type { Serial } from '../../core/names.ts'
import { sharedRun } from '../../core/shared-run.ts'
import type { Client } from '../http/client.ts'
import { listTokens } from './token-list.ts'

/**
 * The proof that tokens show. Without the right `tokenlist` privacyIDEA answers 200 and an empty list, so an empty
 * answer counts only when a token shows after it. Callers that come while a proof runs share the next one.
 */
export class TokenListProof {
  readonly #client: Client
  readonly #knownToken: Serial | null
  /** Fails with `source-unproven`, `source-not-permitted`, and as a call does. */
  readonly prove: () => Promise<void>

  constructor(client: Client, knownToken: Serial | null) {
    this.#client = client
    this.#knownToken = knownToken
    this.prove = sharedRun(() => this.#once())
  }

  /** See PrivacyIdeaPort.showsNoToken. Fails as a call does. */
  async showsNone(): Promise<boolean> {
    const { count } = await listTokens(this.#client, { page: 1, pagesize: 1 })
    if (count > 0) return false
    const { rights } = await this.#client.login()
    return rights !== null && (rights.has('tokenlist') || rights.has('*'))
  }

  async #once(): Promise<void> {
    const known = this.#knownToken
    const filter = known === null ? {} : { serial: known }
    const { rows } = await listTokens(this.#client, { ...filter, sortby: 'id', page: 1, pagesize: 1 })
    if (rows > 0) return
    const { rights } = await this.#client.login()
    const where = this.#client.where('GET', '/token/')
    if (rights !== null && !rights.has('tokenlist') && !rights.has('*')) {
      throw new AppError('source-not-permitted', `${where}: the account has no right tokenlist`, {
        hint: 'Give it the action tokenlist by an admin policy; docs/how-to/privacyidea-api.md shows it.',
      })
    }
    const what = known === null ? 'no token shows at all' : `the token ${known}, which is always there, does not show`
    throw new AppError('source-unproven', `${where}: ${what}, so that an empty answer proves nothing`, {
      hint: 'Give the account the right tokenlist for all realms. Where there really is no token, make one (without an owner will do) and name it in privacyidea.knownToken.',
    })
  }
}
