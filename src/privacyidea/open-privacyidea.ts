import { AppError } from '../core/error.ts'
import type { Serial } from '../core/names.ts'
import type { SourceSettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { SecretReader } from '../ports/secret.ts'
import { auditRows } from './audit.ts'
import { authenticationLog } from './authentication-log.ts'
import { Client } from './client.ts'
import { refusalOf } from './envelope.ts'
import { releaseUserLockout, setUserLockout, userLockouts } from './lockouts.ts'
import { tokensOfOwner } from './owner-tokens.ts'
import { TokenListProof } from './proof.ts'
import { fullestTokens, tokensBySerial } from './tokens.ts'
import { findUser, userDetails } from './users.ts'
import { walkTokens } from './walk.ts'

/** privacyIDEA's number for something that is not there. */
const NUMBER_NOT_FOUND = 601

/** privacyIDEA by the configuration. Nothing is connected before it is needed; dispose it. */
export function openPrivacyIdea(settings: SourceSettings, readSecret: SecretReader, clock: Clock): PrivacyIdeaPort {
  const client = new Client(settings, readSecret, clock)
  const proof = new TokenListProof(client, settings.knownToken)
  return {
    version: () => client.version(),
    proveTokenList: () => proof.prove(),
    findUser: (login, realm) => findUser(client, login, realm),
    userDetails: (login, realm) => userDetails(client, login, realm),
    tokensOfOwner: (owner) => tokensOfOwner(client, proof, owner),
    tokensBySerial: (serials) => tokensBySerial(client, proof, serials),
    fullestTokens: (failCountMin) => fullestTokens(client, failCountMin),
    walkTokens: () => walkTokens(client, settings.pageSize),
    userLockouts: () => userLockouts(client, clock),
    authenticationLog: (after) => authenticationLog(client, after),
    auditRows: (from) => auditRows(client, from),
    resetFailCounter: (serial) => resetFailCounter(client, serial),
    setUserLockout: (user, durationS) => setUserLockout(client, user, durationS),
    releaseUserLockout: (user) => releaseUserLockout(client, user),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

async function resetFailCounter(client: Client, serial: Serial): Promise<void> {
  const call = { method: 'POST', path: '/token/reset', body: { serial } } as const
  try {
    const { value } = await client.call(call, true)
    if (value === 1) return
  } catch (thrown) {
    if (refusalOf(thrown)?.number !== NUMBER_NOT_FOUND) throw thrown
  }
  throw new AppError('unknown-serial', `${client.where(call.method, call.path)}: there is no token ${serial}`)
}
