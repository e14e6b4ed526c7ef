import { AppError } from '../../core/error.ts'
import { parseLogin, parseRealm, parseResolverName, parseUserId } from '../../core/names.ts'
import { isSameUser, type UserOfSource } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { OddLockout, PrivacyIdeaPort, SourceVersion, UserLockout } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { Fields, unexpected } from '../http/fields.ts'

const USER_PATH = '/conditionalaccess/lock/user'
const LIST_PATH = '/conditionalaccess/lock/users'
const PAGE_SIZE = 1_000
const PAGES_MAX = 100
const TRIES_MAX = 3

/** Conditional Access came with 3.14. Detected by the version, not by a 404, which a wrong URL gives as well. */
export function hasConditionalAccess({ major, minor }: SourceVersion): boolean {
  return major > 3 || (major === 3 && minor >= 14)
}

/** See PrivacyIdeaPort.userLockouts. */
export async function userLockouts(client: Client, clock: Clock): ReturnType<PrivacyIdeaPort['userLockouts']> {
  if (!hasConditionalAccess(await client.version())) return { isSupported: false, lockouts: [], odd: [] }
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    const read = await readAll(client, clock)
    if (read !== null) return { isSupported: true, ...read }
  }
  throw new AppError(
    'source-unproven',
    `${client.where('GET', LIST_PATH)}: the list changes faster than it can be read`,
    {
      hint: 'It is tried again by itself.',
    },
  )
}

interface ReadLockouts {
  readonly lockouts: readonly UserLockout[]
  readonly odd: readonly OddLockout[]
}

/** @returns null where the list changed between its pages */
async function readAll(client: Client, clock: Clock): Promise<ReadLockouts | null> {
  const where = client.where('GET', LIST_PATH)
  const lockouts: UserLockout[] = []
  const odd: OddLockout[] = []
  let rows = 0
  for (let page = 1; page <= PAGES_MAX; page++) {
    // Without states the list includes lockouts that have ended.
    const query = { states: 'permanent,temporary', page, page_size: PAGE_SIZE }
    const { value } = await client.call({ method: 'GET', path: LIST_PATH, query })
    const fields = new Fields(value, where)
    const [list, count, nowMs] = [fields.list('locked_users'), fields.number('count'), clock.nowMs()]
    rows += list.length
    for (const row of list) {
      try {
        lockouts.push(...lockoutOf(row, where, nowMs))
      } catch {
        odd.push(oddLockout(row))
      }
    }
    if (page * PAGE_SIZE >= count) return rows === count ? { lockouts, odd } : null
  }
  throw new AppError('limit-exceeded', `${where}: more than ${PAGE_SIZE * PAGES_MAX} users are locked out`)
}

/** The readable fields of a row that lacks others. */
function oddLockout(row: unknown): OddLockout {
  const text = (name: string): string => {
    const value: unknown = isFields(row) ? row[name] : null
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  return {
    login: parseLogin(text('username')),
    realm: parseRealm(text('realm')),
    resolver: parseResolverName(text('resolver')),
    userId: parseUserId(text('uid')),
  }
}

/** Only for users of a realm; an administrator of privacyIDEA's own has no account. */
function lockoutOf(row: unknown, where: string, nowMs: number): UserLockout[] {
  const fields = new Fields(row, where)
  if (fields.textOr('user_role', 'user') !== 'user') return []
  const isPermanent = fields.flag('permanent')
  const leftMs = isPermanent ? Infinity : fields.number('seconds_remaining') * 1000
  if (leftMs <= 0) return []
  const [login, realm, resolver, userId] = [
    parseLogin(fields.textOr('username', '')),
    parseRealm(fields.textOr('realm', '')),
    parseResolverName(fields.textOr('resolver', '')),
    parseUserId(fields.textOr('uid', '')),
  ]
  if (login === null || realm === null || resolver === null || userId === null) {
    throw unexpected(where, 'a lockout has no user')
  }
  return [
    {
      user: { login, realm, resolver, userId },
      untilMs: isPermanent ? null : nowMs + leftMs,
      durationS: isPermanent ? null : durationOf(fields),
      cause: fields.textOr('lock_cause', '') === 'MANUAL' ? 'manual' : 'policy',
    },
  ]
}

/** Its times are those of HTTP. Null where they cannot be read. */
function durationOf(fields: Fields): number | null {
  const fromMs = Date.parse(fields.textOr('locked_at', ''))
  const untilMs = Date.parse(fields.textOr('lock_expires_at', ''))
  return Number.isNaN(fromMs) || Number.isNaN(untilMs) ? null : Math.round((untilMs - fromMs) / 1000)
}

/** See PrivacyIdeaPort.userLockout. */
export async function userLockout(client: Client, user: UserOfSource, clock: Clock): Promise<UserLockout | null> {
  await needConditionalAccess(client)
  const { value } = await client.call({ method: 'GET', path: USER_PATH, query: fieldsOf(user) })
  if (value === null) return null
  const where = client.where('GET', USER_PATH)
  const found = lockoutOf(value, where, clock.nowMs())[0] ?? null
  if (found !== null && !isSameUser(found.user, user)) throw unexpected(where, 'it answers about another user')
  return found
}

/** See PrivacyIdeaPort.setUserLockout. Repeating it replaces the lockout by the same. */
export async function setUserLockout(client: Client, user: UserOfSource, durationS: number | null): Promise<void> {
  await needConditionalAccess(client)
  const duration = durationS === null ? {} : { duration_seconds: durationS }
  await client.call({ method: 'POST', path: USER_PATH, body: { ...fieldsOf(user), ...duration } }, true)
}

/**
 * See PrivacyIdeaPort.releaseUserLockout. By the user's id: it then answers at once, also while the user store is down.
 */
export async function releaseUserLockout(client: Client, user: UserOfSource): Promise<boolean> {
  await needConditionalAccess(client)
  const { value } = await client.call({ method: 'DELETE', path: USER_PATH, query: fieldsOf(user) }, true)
  return value === true
}

function fieldsOf({ userId, realm, resolver }: UserOfSource): Record<string, string> {
  return { user_id: userId, realm, resolver }
}

async function needConditionalAccess(client: Client): Promise<void> {
  const version = await client.version()
  if (hasConditionalAccess(version)) return
  throw new AppError('source-answer', `privacyIDEA ${version.text} has no user lockouts; they came with 3.14`, {
    hint: 'Update privacyIDEA, or use another value of the policy.',
  })
}
