import { toAppError } from '../../core/error.ts'
import { parseLogin, parseRealm, parseResolverName, parseSerial, parseUserId, type Serial } from '../../core/names.ts'
import { isEnrolled, isFull, type Token, type TokenOwner } from '../../core/source/token.ts'
import type { OddToken } from '../../ports/privacyidea.ts'
import { isFields } from '../http/envelope.ts'
import { Fields } from '../http/fields.ts'

/** What privacyIDEA writes in place of a login whose user store fails. */
const RESOLVER_ERROR = '**resolver error**'

/** A row of `GET /token/`; `odd` names what it lacks. */
export interface ReadToken {
  /** Null: it is no token, or has no valid serial. */
  readonly token: Token | null
  readonly odd: OddToken | null
}

const TEXT_LENGTH_MAX = 80
/** Of a row without a number: a walk does not use it. */
export const NO_ID = -1

/** One odd row never stops the others: its unreadable fields are reported, and have no effect. */
export function parseToken(row: unknown): ReadToken {
  if (!isFields(row)) return { token: null, odd: { serial: '', why: 'an object was expected' } }
  const named = typeof row['serial'] === 'string' ? row['serial'] : ''
  const oddly = (why: string): OddToken => ({ serial: named.slice(0, TEXT_LENGTH_MAX), why })
  const serial = parseSerial(named)
  const id = row['id']
  if (serial === null) return { token: null, odd: oddly('its serial is none that a token can have') }
  if (typeof id !== 'number' || !Number.isFinite(id)) {
    return { token: unreadableToken(NO_ID, serial), odd: oddly('it has no number') }
  }
  try {
    const token = tokenOf(new Fields(row, ''), id, serial, row)
    return { token, odd: token.owner.kind === 'unreadable' ? oddly('its owner cannot be read') : null }
  } catch (thrown) {
    const why = toAppError(thrown).message.replace(/^: /, '')
    return { token: unreadableToken(id, serial), odd: oddly(why) }
  }
}

function tokenOf(fields: Fields, id: number, serial: Serial, row: unknown): Token {
  const failCount = fields.number('failcount')
  const failCountMax = fields.number('maxfail')
  const rolloutState = fields.textOr('rollout_state', '')
  return {
    id,
    serial,
    madeAt: infoOf(row, 'creation_date'),
    type: fields.textOr('tokentype', '').toLowerCase(),
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

/** It exists, and nothing else is known of it: no scan may end at it, since it may be full. */
function unreadableToken(id: number, serial: Serial): Token {
  const nothing = { type: '', isActive: true, isRevoked: false, failCount: Infinity, failCountMax: 0, isFull: false }
  const owner = { kind: 'unreadable', resolver: null, userId: null, isHomeless: false } as const
  return {
    id,
    serial,
    madeAt: null,
    ...nothing,
    fullSinceMs: null,
    owner,
    rolloutState: 'unreadable',
    isEnrolled: false,
  }
}

/** As privacyIDEA writes it into the token's info: `2026-11-24T17:59+0000`. Earlier versions wrote it otherwise. */
const FULL_SINCE = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})([+-]\d{2}):?(\d{2})$/

function infoOf(row: unknown, name: string): string | null {
  const info = isFields(row) ? row['info'] : null
  const text = isFields(info) ? info[name] : null
  return typeof text === 'string' ? text : null
}

function fullSinceOf(row: unknown): number | null {
  const match = FULL_SINCE.exec(infoOf(row, 'failcounter_exceeded') ?? '')
  if (match === null) return null
  const ms = Date.parse(`${match[1]}:00${match[2]}:${match[3]}`)
  return Number.isNaN(ms) ? null : ms
}

/**
 * An orphan keeps the realm and loses the login; an owner whose user store fails loses the realm too, and one whose realm
 * was deleted has none at all (docs/reference/privacyidea-versions.md).
 */
function ownerOf(fields: Fields): TokenOwner {
  const [username, realmText, resolverText, idText] = [
    fields.textOr('username', ''),
    fields.textOr('user_realm', ''),
    fields.textOr('resolver', ''),
    fields.textOr('user_id', ''),
  ]
  if (username === '' && idText === '' && resolverText === '') return { kind: 'none' }
  const whose = { resolver: parseResolverName(resolverText), userId: parseUserId(idText) }
  const { resolver, userId } = whose
  if (username === RESOLVER_ERROR || realmText === '') {
    return { kind: 'resolver-error', ...whose, isHomeless: fields.isEmptyList('realms') }
  }
  if (username === '') return { kind: 'orphan', ...whose, isHomeless: false }
  const [login, realm] = [parseLogin(username), parseRealm(realmText)]
  if (login === null || realm === null || resolver === null || userId === null) {
    return { kind: 'unreadable', ...whose, isHomeless: false }
  }
  return { kind: 'user', login, realm, resolver, userId }
}
