import { randomBytes } from 'node:crypto'
import { no, notAllowed, RESOLVER_DOWN, UNKNOWN_USER, yes, type SimAnswer, type SimRequest } from './answer.ts'
import { REALM, RESOLVER, type SimToken } from './stock.ts'
import type { World } from './world.ts'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** `/token/`: the list, and what is done to tokens. */

export async function listTokens(world: World, { params, admin }: SimRequest): Promise<SimAnswer> {
  const { version } = world
  // Without the right it looks empty.
  if (!world.allows(admin, 'tokenlist')) return yes({ count: 0, current: 1, next: null, prev: null, tokens: [] })
  const found = filtered(world, params)
  if (!Array.isArray(found)) {
    if (found === RESOLVER_DOWN) await world.waitForOwners(1)
    return found as SimAnswer
  }
  const sorted = inOrder(
    world,
    found.filter(({ id }: SimToken) => world.hides?.(id) !== true),
    params['sortby'] ?? 'serial',
    params['sortdir'] === 'desc',
  )
  const page = Math.max(1, Number(params['page'] ?? 1))
  const size = pageSize(Number(params['pagesize'] ?? 15), version.pageSizeMax, sorted.length)
  const whole = sorted.slice((page - 1) * size, page * size)
  const rows = whole.filter((_, at) => world.leavesOut?.(at) !== true)
  const owned = rows.filter(({ userId, resolver }) => userId !== null && world.isDown(resolver)).length
  if (owned > 0) {
    await world.waitForOwners(owned)
    if (params['serial'] !== undefined && !/[,*]/.test(params['serial']) && !version.worksWithoutUserStore) {
      return RESOLVER_DOWN
    }
  }
  return yes({
    count: sorted.length,
    current: page,
    next: page * size < sorted.length ? page + 1 : null,
    prev: page > 1 ? page - 1 : null,
    tokens: rows.map((token) => world.mangle(rowOf(world, token))),
  })
}

function pageSize(asked: number, max: number, all: number): number {
  if (max !== Infinity) return Math.min(max, Math.max(1, asked))
  return asked === -1 ? Math.max(1, all) : Math.max(0, asked)
}

function filtered(world: World, params: SimRequest['params']): readonly SimToken[] | SimAnswer {
  const { stock, version } = world
  const { serial, user, realm, resolver, userid, assigned } = params
  let tokens: readonly SimToken[] = stock.tokens
  const isHidden = ({ userId, resolver: of }: SimToken): boolean =>
    version.hidesTokensOfNoRealm && userId !== null && !world.hasResolver(of)
  if (world.realms.size > 1 || !world.hasResolver(RESOLVER)) tokens = tokens.filter((token) => !isHidden(token))
  if (user !== undefined && user !== '') {
    const name = realm?.toLowerCase() ?? REALM
    if (!world.realms.has(name)) {
      return version.realmNotFound ? no(404, 601, `Realm '${realm}' does not exist.`) : UNKNOWN_USER
    }
    if (world.realms.get(name)?.some((each) => world.isDown(each)) === true) return RESOLVER_DOWN
    const users = world.usersOf(user, name)
    const found = resolver === undefined ? users[0] : users.find((each) => each.resolver === resolver)
    if (found === undefined) return resolver === undefined || users.length === 0 ? UNKNOWN_USER : []
    tokens = stock.tokensOf(found.userId)
  } else if (userid !== undefined && version.filtersById && !userid.includes('*')) {
    tokens = stock.tokensOf(userid).filter((token) => !isHidden(token))
  }
  if (resolver !== undefined && version.filtersById) {
    tokens = tokens.filter((token) => token.userId !== null && token.resolver === resolver)
  }
  if (serial !== undefined && serial !== '') {
    const asked = new Set(serial.split(',').map((each) => each.trim()))
    tokens = [...asked]
      .flatMap((each) => stock.token(each) ?? [])
      .filter((each) => tokens === stock.tokens || tokens.includes(each))
  }
  if (assigned !== undefined)
    tokens = tokens.filter(({ userId }) => (userId !== null) === (assigned.toLowerCase() === 'true'))
  return tokens
}

/** Tokens lie in the order of their ids; the many whose counter is 0 need no sorting by it. */
function inOrder(
  { stock }: World,
  tokens: readonly SimToken[],
  by: string,
  isDescending: boolean,
): readonly SimToken[] {
  if (by === 'id' && tokens === stock.tokens && !isDescending) return tokens
  if (by === 'id') return isDescending ? tokens.toReversed() : tokens.toSorted((a, b) => a.id - b.id)
  if (by === 'failcount') {
    const counted = tokens.filter(({ failcount }) => failcount > 0).toSorted((a, b) => a.failcount - b.failcount)
    const zero = tokens.filter(({ failcount }) => failcount <= 0)
    return isDescending ? [...counted.toReversed(), ...zero] : [...zero, ...counted]
  }
  const sorted = tokens.toSorted((a, b) => (a.serial < b.serial ? -1 : 1))
  return isDescending ? sorted.toReversed() : sorted
}

function rowOf(world: World, token: SimToken): Record<string, unknown> {
  const { id, serial, type, active, revoked, failcount, maxfail, rolloutState } = token
  const state = rolloutState === 'enrolled' ? world.version.enrolledState : rolloutState
  const fixed = {
    description: '',
    container_serial: '',
    count: token.counter,
    info: { tokenkind: 'software', creation_date: token.madeAt, ...fullSinceOf(token) },
    otplen: 6,
  }
  const row = {
    id,
    serial,
    tokentype: type,
    active,
    revoked,
    locked: revoked,
    failcount,
    maxfail,
    rollout_state: state,
  }
  return { ...row, ...fixed, ...ownerOf(world, token) }
}

/** To the minute, in UTC. */
function fullSinceOf({ fullSinceMs }: SimToken): Record<string, string> {
  if (fullSinceMs === null) return {}
  return { failcounter_exceeded: `${new Date(fullSinceMs).toISOString().slice(0, 16)}+0000` }
}

function ownerOf(world: World, { userId, resolver, realm }: SimToken): Record<string, unknown> {
  if (userId === null) return { username: '', user_id: '', user_realm: '', resolver: '', realms: [] }
  const isHomeless = !world.realms.has(realm)
  const known = { user_id: userId, resolver, realms: isHomeless ? [] : [realm] }
  if (world.isDown(resolver) || isHomeless || !world.hasResolver(resolver))
    return { ...known, username: '**resolver error**', user_realm: '' }
  return { ...known, username: world.stock.users.get(userId)?.login ?? '', user_realm: realm }
}

/** `POST /token/init`. */
export function initToken(world: World, { params, admin }: SimRequest): SimAnswer {
  const type = params['type'] ?? 'hotp'
  if (!world.allows(admin, `enroll${type.toUpperCase()}`)) return notAllowed(`enroll${type.toUpperCase()}`)
  const user = params['user'] === undefined ? null : world.stock.userOf(params['user'])
  if (params['user'] !== undefined && user === null) return UNKNOWN_USER
  const serial = params['serial'] ?? `${type.toUpperCase()}${world.stock.tokens.length}`
  if (world.stock.token(serial) !== null) return no(400, 301, `ERR301: Token with serial ${serial} already exists.`)
  const key = params['otpkey'] ?? randomBytes(20).toString('hex')
  world.stock.addToken(serial, { type, key, pin: params['pin'] ?? '', userId: user?.userId ?? null })
  const value = otpauthOf(type, serial, key)
  return yes(true, { serial, rollout_state: world.version.enrolledState, googleurl: { value, img: '' } })
}

/** What an authenticator app scans; the secret in base32 (RFC 4648). */
export function otpauthOf(type: string, serial: string, key: string): string {
  let bits = ''
  for (const byte of Buffer.from(key, 'hex')) bits += byte.toString(2).padStart(8, '0')
  const digits = bits.match(/.{1,5}/g) ?? []
  const secret = digits.map((each) => BASE32[Number.parseInt(each.padEnd(5, '0'), 2)]).join('')
  return `otpauth://${type}/${serial}?secret=${secret}&digits=6&issuer=privacyIDEA`
}

/** What is done to one token, named by its serial. */
export async function changeToken(world: World, action: string, request: SimRequest): Promise<SimAnswer> {
  const { params, admin } = request
  const right = action === 'max_failcount' ? 'set' : action
  if (!world.allows(admin, right)) return notAllowed(right)
  const token = world.stock.token(params['serial'] ?? '')
  if (token === null) return no(404, 601, `No token found for serials: ${params['serial']}`)
  if (token.userId !== null && !world.isUserStoreUp && !world.version.worksWithoutUserStore) {
    await world.waitForOwners(1)
    return RESOLVER_DOWN
  }
  return done(world, action, token, params)
}

function done(world: World, action: string, token: SimToken, params: SimRequest['params']): SimAnswer {
  switch (action) {
    case 'reset':
      token.failcount = 0
      token.fullSinceMs = null
      return yes(1)
    case 'set':
      if (params['max_failcount'] !== undefined) token.maxfail = Number(params['max_failcount'])
      if (params['pin'] !== undefined) token.pin = params['pin']
      return yes(1)
    case 'enable':
    case 'disable': {
      if (token.revoked) return no(400, 1007, 'ERR1007: This action is not possible, since the token is locked')
      const isChanged = token.active !== (action === 'enable')
      token.active = action === 'enable'
      return yes(isChanged ? 1 : 0)
    }
    case 'revoke':
      token.revoked = true
      token.active = false
      return yes(1)
    case 'assign': {
      const user = world.stock.userOf(params['user'] ?? '')
      if (user === null) return UNKNOWN_USER
      if (token.userId !== null) return no(400, 1103, 'ERR1103: Token already assigned to user')
      world.stock.assign(token, user.userId)
      token.failcount = 0
      return yes(true)
    }
    case 'unassign':
      world.stock.assign(token, null)
      token.failcount = 0
      return yes(1)
    case 'delete':
      world.stock.removeToken(token)
      return yes(1)
    default:
      return { kind: 'unknown-path' }
  }
}
