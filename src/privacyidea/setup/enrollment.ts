import { AppError, type ErrorCode } from '../../core/error.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EnrollPort } from '../../ports/store/enrollment.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { Client } from '../http/client.ts'
import { isFields, refusalOf } from '../http/envelope.ts'
import { unexpected } from '../http/fields.ts'
import { tokensOfOwner, type OwnerAccess } from '../readings/owner-tokens.ts'
import { TokenListProof } from '../readings/proof.ts'
import { Resolvers } from '../readings/resolvers.ts'
import { findUser, userDetails } from '../readings/users.ts'

/** privacyIDEA's error number for an object that does not exist. */
const NUMBER_NOT_FOUND = 601
const PATH = '/token/init'
const ANSWERED: readonly ErrorCode[] = ['unknown-user', 'source-unproven', 'limit-exceeded']

/** Making tokens over the API (3.11 to 3.14). Connections are opened when they are first needed. To be disposed of. */
export function openEnrollment(
  settings: SourceSettings,
  readSecret: SecretReader,
  clock: Clock,
): EnrollPort & AsyncDisposable {
  const client = new Client(settings, readSecret, clock)
  const proof = new TokenListProof(client, settings.knownToken)
  const access = { client, proof, resolvers: new Resolvers(client, clock) }
  return {
    findUser: (login, realm) => findUser(client, login, realm, null),
    async proveUnknown(login, realm) {
      const owner = { login, realm, resolver: null, userId: null }
      try {
        await tokensOfOwner(access, owner)
      } catch (thrown) {
        // An answer about tokens proves that the user store answered.
        if (!(thrown instanceof AppError) || !ANSWERED.includes(thrown.code)) throw thrown
      }
    },
    userDetails: (user) => userDetails(client, user),
    async usableTokens(user) {
      const tokens = await ownTokens(access, user)
      return tokens
        .filter((token) => token.isActive && !token.isRevoked && token.isEnrolled)
        .map(({ serial }) => serial)
    },
    async makeToken({ login, realm, resolver }, serial, type) {
      const body = { type, serial, genkey: 1, user: login, realm, resolver }
      // A repeated call would create another secret, and the first answer may be the one in use.
      const { value, detail } = await client.call({ method: 'POST', path: PATH, body }, false)
      const url = isFields(detail) && isFields(detail['googleurl']) ? detail['googleurl']['value'] : undefined
      if (value !== true || typeof url !== 'string' || !url.startsWith('otpauth://')) {
        throw unexpected(client.where('POST', PATH), 'a new token with its otpauth URL was expected')
      }
      return url
    },
    async deleteToken(serial) {
      try {
        await client.call({ method: 'DELETE', path: `/token/${serial}` })
        return true
      } catch (thrown) {
        if (refusalOf(thrown)?.number === NUMBER_NOT_FOUND) return false
        throw thrown
      }
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/**
 * A server without any token proves nothing about a user's tokens. Here that is no reason to wait, since the user is to
 * get the first one.
 */
async function ownTokens(access: OwnerAccess, user: UserOfSource): ReturnType<typeof tokensOfOwner> {
  try {
    return await tokensOfOwner(access, user)
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'source-unproven') return []
    throw thrown
  }
}
