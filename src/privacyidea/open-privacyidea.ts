import { AppError } from '../core/error.ts'
import type { Serial } from '../core/names.ts'
import type { SourceSettings } from '../core/settings/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { SecretReader } from '../ports/secret.ts'
import { auditRows } from './readings/audit.ts'
import { authenticationLog } from './readings/authentication-log.ts'
import { Client } from './http/client.ts'
import { refusalOf } from './http/envelope.ts'
import { unexpected } from './http/fields.ts'
import { releaseUserLockout, setUserLockout, userLockout, userLockouts } from './readings/lockouts.ts'
import { tokensOfOwner } from './readings/owner-tokens.ts'
import { TokenListProof } from './readings/proof.ts'
import { Resolvers } from './readings/resolvers.ts'
import { fullestTokens, tokensBySerial } from './readings/tokens.ts'
import { findUser, userDetails } from './readings/users.ts'
import { walkTokens } from './readings/walk.ts'

/** privacyIDEA's error number for an object that does not exist. */
const NUMBER_NOT_FOUND = 601
/** The error number for a revoked token: privacyIDEA calls it locked. */
const NUMBER_REVOKED = 1007
const MINUTE_MS = 60_000

/** privacyIDEA by the configuration. Connections are opened when they are first needed. To be disposed of. */
export function openPrivacyIdea(settings: SourceSettings, readSecret: SecretReader, clock: Clock): PrivacyIdeaPort {
  const client = new Client(settings, readSecret, clock)
  const proof = new TokenListProof(client, settings.knownToken)
  const resolvers = new Resolvers(client, clock)
  return {
    version: () => client.version(),
    proveTokenList: () => proof.prove(),
    showsNoToken: () => proof.showsNone(),
    findUser: (login, realm, resolver) => findUser(client, login, realm, resolver),
    userDetails: (user) => userDetails(client, user),
    tokensOfOwner: (owner) => tokensOfOwner({ client, proof, resolvers }, owner),
    tokensBySerial: (serials) => tokensBySerial(client, proof, serials),
    fullestTokens: (failCountMin) => fullestTokens(client, failCountMin),
    walkTokens: () => walkTokens(client, resolvers, settings.pageSize),
    isResolverGone: (resolver) => resolvers.isGone(resolver),
    userLockouts: () => userLockouts(client, clock),
    authenticationLog: (after) => authenticationLog(client, after),
    auditRows: (from) => auditRows(client, from),
    failCounterClearTimeoutMs: () => failCounterClearTimeoutMs(client),
    resetFailCounter: (serial) => resetFailCounter(client, serial),
    userLockout: (user) => userLockout(client, user, clock),
    disableToken: (serial) => switchToken(client, 'disable', serial),
    enableToken: (serial) => switchToken(client, 'enable', serial),
    setUserLockout: (user, durationS) => setUserLockout(client, user, durationS),
    releaseUserLockout: (user) => releaseUserLockout(client, user),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** In minutes there, as a text; not set means off. */
async function failCounterClearTimeoutMs(client: Client): Promise<number | null> {
  const call = { method: 'GET', path: '/system/failcounter_clear_timeout' } as const
  const { value } = await client.call(call)
  if (value === null || value === undefined || value === '') return null
  const minutes = Number(value)
  if (Number.isNaN(minutes)) throw unexpected(client.where(call.method, call.path), 'a number of minutes was expected')
  return minutes > 0 ? minutes * MINUTE_MS : null
}

async function switchToken(client: Client, action: 'enable' | 'disable', serial: Serial): Promise<boolean> {
  const call = { method: 'POST', path: `/token/${action}`, body: { serial } } as const
  try {
    const { value } = await client.call(call, true)
    return value === 1
  } catch (thrown) {
    const number = refusalOf(thrown)?.number
    if (action === 'enable' && number === NUMBER_REVOKED) return false
    if (number !== NUMBER_NOT_FOUND) throw thrown
  }
  throw new AppError('unknown-serial', `${client.where(call.method, call.path)}: there is no token ${serial}`)
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
