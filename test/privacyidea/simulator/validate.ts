import { createHmac } from 'node:crypto'
import { no, UNKNOWN_USER, yes, type SimAnswer, type SimRequest } from './answer.ts'
import { REALM } from './stock.ts'
import type { SimToken } from './stock.ts'
import type { World } from './world.ts'

const LOOK_AHEAD = 10

/** RFC 4226, six digits. */
export function hotp(keyHex: string, counter: number): string {
  const message = Buffer.alloc(8)
  message.writeBigUInt64BE(BigInt(counter))
  const digest = createHmac('sha1', Buffer.from(keyHex, 'hex')).update(message).digest()
  const offset = (digest.at(-1) ?? 0) & 15
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

/** `POST /validate/check`, by user or by serial. */
export function validateCheck(world: World, { params }: SimRequest): SimAnswer {
  const pass = params['pass'] ?? ''
  const bySerial = params['serial'] === undefined ? null : world.stock.token(params['serial'])
  if (params['serial'] !== undefined && bySerial === null) {
    return yes(false, { message: 'The serial number does not exist.' })
  }
  const user = params['user'] === undefined ? null : world.stock.userOf(params['user'])
  if (params['serial'] === undefined && user === null) return UNKNOWN_USER
  const userId = bySerial?.userId ?? user?.userId ?? null
  if (userId !== null && world.lockouts.isOut(userId)) return yes(false, { message: 'Authentication failed.' })
  const tokens = bySerial === null ? world.stock.tokensOf(userId ?? '') : [bySerial]
  clearOld(world, tokens)
  const outcome = check(tokens, pass)
  if (!outcome.isGood) world.log('/validate/check', outcome.reason, outcome.serial, userId)
  const detail = outcome.isGood ? { message: 'matching 1 tokens', serial: outcome.serial } : { message: outcome.reason }
  return yes(outcome.isGood, detail)
}

/** `POST /auth` of a user with a token: counts as `validate/check` does, and fails as a login. */
export function userLogin(world: World, login: string, pass: string): SimAnswer {
  const user = world.stock.userOf(login.split('@')[0] ?? '')
  if (user === null) return no(401, 4031, world.version.loginRefused)
  clearOld(world, world.stock.tokensOf(user.userId))
  const outcome = check(world.stock.tokensOf(user.userId), pass)
  if (!outcome.isGood) {
    world.log('/auth', outcome.reason, outcome.serial, user.userId)
    return no(401, 4031, world.version.loginRefused)
  }
  return yes({ token: world.jwtFor(login, 'user'), role: 'user', username: user.login, realm: REALM, rights: [] })
}

/** The clear timeout: any attempt clears a counter that has been full for longer. */
function clearOld({ clearTimeoutMin }: World, tokens: readonly SimToken[]): void {
  const timeoutMs = Number(clearTimeoutMin ?? 0) * 60_000
  for (const token of tokens) {
    if (timeoutMs === 0 || token.failcount !== token.maxfail || token.fullSinceMs === null) continue
    if (token.fullSinceMs + timeoutMs < Date.now()) reset(token)
  }
}

function reset(token: SimToken): void {
  token.failcount = 0
  token.fullSinceMs = null
}

interface Outcome {
  readonly isGood: boolean
  readonly reason: string
  readonly serial: string | null
}

/** A wrong PIN counts on every token that can be used; a wrong OTP on those whose PIN it was. */
function check(tokens: readonly SimToken[], pass: string): Outcome {
  const usable = tokens.filter(({ active, revoked }) => active && !revoked)
  const open = usable.filter(({ failcount, maxfail }) => failcount < maxfail)
  const meant = usable.filter(({ pin }) => pass.length === pin.length + 6 && pass.startsWith(pin))
  const candidates = meant.filter((each) => open.includes(each))
  for (const token of candidates) {
    const otp = pass.slice(token.pin.length)
    for (let ahead = 0; ahead < LOOK_AHEAD; ahead++) {
      if (hotp(token.key, token.counter + ahead) !== otp) continue
      token.counter += ahead + 1
      reset(token)
      return { isGood: true, reason: '', serial: token.serial }
    }
  }
  if (open.length === 0 && usable.length > 0) {
    return { isGood: false, reason: 'TOKEN_FAILCOUNT_EXCEEDED', serial: usable[0]?.serial ?? null }
  }
  for (const token of meant.length > 0 ? candidates : open) {
    token.failcount++
    if (token.failcount === token.maxfail) token.fullSinceMs = Math.floor(Date.now() / 60_000) * 60_000
  }
  const serial = candidates.length === 1 ? (candidates[0]?.serial ?? null) : null
  return { isGood: false, reason: meant.length > 0 ? 'MFA_FAIL' : 'PIN_FAIL', serial }
}
