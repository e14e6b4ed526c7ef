import { parseLogin, parseRealm, parseResolverName, parseSerial, parseUserId } from '../core/names.ts'
import { isEnrolled, isFull, type Token, type TokenOwner } from '../core/token.ts'
import { isFields } from './envelope.ts'
import { Fields, unexpected } from './fields.ts'

/** What privacyIDEA writes in place of a login whose user store fails. */
const RESOLVER_ERROR = '**resolver error**'

/** A row of `GET /token/`. Fails with `source-answer` where a field is missing or none of its kind. */
export function parseToken(row: unknown, where: string): Token {
  const fields = new Fields(row, where)
  const serial = parseSerial(fields.text('serial'))
  if (serial === null) throw unexpected(where, 'a token has a serial that can be none')
  const failCount = fields.number('failcount')
  const failCountMax = fields.number('maxfail')
  const rolloutState = fields.textOr('rollout_state', '')
  return {
    id: fields.number('id'),
    serial,
    type: fields.text('tokentype').toLowerCase(),
    isActive: fields.flag('active'),
    isRevoked: fields.flag('revoked'),
    failCount,
    failCountMax,
    isFull: isFull(failCount, failCountMax),
    fullSinceMs: fullSinceOf(row),
    owner: ownerOf(fields),
    rolloutState,
    isEnrolled: isEnrolled(rolloutState),
  }
}

/** As privacyIDEA writes it into the token's info: `2026-11-24T17:59+0000`. Versions before wrote it otherwise. */
const FULL_SINCE = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})([+-]\d{2}):?(\d{2})$/

function fullSinceOf(row: unknown): number | null {
  const info = isFields(row) ? row['info'] : null
  const text = isFields(info) ? info['failcounter_exceeded'] : null
  const match = typeof text === 'string' ? FULL_SINCE.exec(text) : null
  if (match === null) return null
  const ms = Date.parse(`${match[1]}:00${match[2]}:${match[3]}`)
  return Number.isNaN(ms) ? null : ms
}

/**
 * An orphan keeps the realm and loses the login; an owner whose user store fails loses the realm too
 * (docs/privacyidea.md).
 */
function ownerOf(fields: Fields): TokenOwner {
  const [username, realmText, resolverText, idText] = [
    fields.textOr('username', ''),
    fields.textOr('user_realm', ''),
    fields.textOr('resolver', ''),
    fields.textOr('user_id', ''),
  ]
  if (username === '' && idText === '' && resolverText === '') return { kind: 'none' }
  const [resolver, userId] = [parseResolverName(resolverText), parseUserId(idText)]
  if (username === RESOLVER_ERROR || realmText === '') return { kind: 'resolver-error', resolver, userId }
  if (username === '') return { kind: 'orphan', resolver, userId }
  const [login, realm] = [parseLogin(username), parseRealm(realmText)]
  if (login === null || realm === null || resolver === null || userId === null) {
    return { kind: 'unreadable', resolver, userId }
  }
  return { kind: 'user', login, realm, resolver, userId }
}
