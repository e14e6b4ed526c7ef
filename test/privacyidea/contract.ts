import { describe, expect, it } from 'vitest'
import { parseLogin, parseRealm, parseSerial, type Serial } from '../../src/core/names.ts'
import type { SourceSettings } from '../../src/core/settings/settings.ts'
import type { Token, UserOfSource } from '../../src/core/source/token.ts'
import type { AuditRow, OwnerQuery, PrivacyIdeaPort } from '../../src/ports/privacyidea.ts'
import { codeOf, errorOf } from '../directory/contract.ts'
import { eventually } from '../servers/eventually.ts'
import type { ReleaseName } from '../servers/privacyidea/privacyidea.ts'
import { hotp } from './simulator/validate.ts'

/** What the contract needs of a privacyIDEA, real or simulated, besides the port that it tries. */
export interface PrivacyIdeaWorld extends AsyncDisposable {
  readonly release: ReleaseName
  /** As the administrator `lockstep`, who may do all that the contract needs. */
  readonly port: PrivacyIdeaPort
  /** As one of the administrators `lockstep` and `blind`; with other settings. Dispose it. */
  open(admin: string, change?: Partial<SourceSettings>): PrivacyIdeaPort
  /** One request as the administrator `admin`. @returns `result.value`; fails with what the server said */
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, params?: Record<string, unknown>): Promise<unknown>
  /** `POST /validate/check`. */
  check(params: Record<string, string>): Promise<boolean>
  /** A user that nothing was done to. */
  newLogin(): Promise<string>
  removeUser(login: string): Promise<void>
  renameUser(login: string, to: string): Promise<void>
  stopUserStore(): Promise<void>
  startUserStore(): Promise<void>
}

const KEY = '3132333435363738393031323334353637383930'
const PIN = '1234'
const WRONG_OTP = `${PIN}000000`
const WRONG_PIN = '9876000000'
const PATIENT_MS = 60_000

export function loginOf(text: string) {
  const login = parseLogin(text)
  if (login === null) throw new RangeError(`"${text}" is no login`)
  return login
}

function serialOf(text: string): Serial {
  const serial = parseSerial(text)
  if (serial === null) throw new RangeError(`"${text}" is no serial`)
  return serial
}

let made = 0

/** What people and administrators do. */
export function actionsOf(world: PrivacyIdeaWorld) {
  const realm = parseRealm('r1')
  const newToken = async (login: string | null, maxFail: number | null = null): Promise<Serial> => {
    const serial = serialOf(`HOTP${String(++made).padStart(4, '0')}`)
    const owner = login === null ? {} : { user: login, realm: 'r1' }
    await world.ask('POST', '/token/init', { type: 'hotp', serial, otpkey: KEY, genkey: 0, pin: PIN, ...owner })
    if (maxFail !== null) await world.ask('POST', '/token/set', { serial, max_failcount: maxFail })
    return serial
  }
  const byLogin = (login: string): OwnerQuery => ({ login: loginOf(login), realm, resolver: null, userId: null })
  const userOf = async (login: string): Promise<UserOfSource> => {
    const user = realm === null ? null : await world.port.findUser(loginOf(login), realm, null)
    if (user === null) throw new Error(`no user ${login}`)
    return user
  }
  const token = async (serial: Serial): Promise<Token> => {
    const [found] = await world.port.tokensBySerial([serial])
    if (found === undefined) throw new Error(`no token ${serial}`)
    return found
  }
  const fail = async (params: Record<string, string>, times: number): Promise<void> => {
    for (let done = 0; done < times; done++) expect(await world.check(params)).toBe(false)
  }
  return { newToken, byLogin, userOf, token, fail }
}

const serialsOf = (tokens: readonly Token[]): Serial[] => tokens.map(({ serial }) => serial).toSorted()

async function walked(port: PrivacyIdeaPort, onPage: (page: number) => Promise<unknown> = async () => undefined) {
  const serials: Serial[] = []
  let pages = 0
  for await (const { tokens } of port.walkTokens()) {
    serials.push(...tokens.map(({ serial }) => serial))
    await onPage(++pages)
  }
  return serials
}

export function privacyIdeaContract(worldNow: () => PrivacyIdeaWorld): void {
  describe('logging in', () => {
    logInContract(worldNow)
  })
  describe('tokens', () => {
    tokenContract(worldNow)
  })
  describe('the fail counter', () => {
    failCounterContract(worldNow)
  })
  describe('all tokens', () => {
    walkContract(worldNow)
  })
  describe('an answer that says nothing', () => {
    silenceContract(worldNow)
  })
  describe('user lockouts', () => {
    lockoutContract(worldNow)
  })
  describe('the logs', () => {
    logContract(worldNow)
  })
}

function logInContract(world: () => PrivacyIdeaWorld): void {
  it('tells the version', async () => {
    const [major, minor] = world().release.split('.').map(Number)
    expect(await world().port.version()).toMatchObject({ major, minor })
  })

  it('is refused with a wrong password', async () => {
    const settings = { kind: 'password', user: 'nobody', realm: null, password: { env: 'X' } } as const
    await using port = world().open('lockstep', { login: settings })
    const error = await errorOf(port.version())
    expect(error.code).toBe('source-login-refused')
    expect(error.message).toContain('HTTP 401, error 4031')
  })

  it('is refused with a token that is none', async () => {
    await using port = world().open('lockstep', { login: { kind: 'token', token: { env: 'X' } } })
    expect(await codeOf(port.version())).toBe('source-login-refused')
  })
}

function tokenContract(world: () => PrivacyIdeaWorld): void {
  it('are found by the id of their owner, and by his login in any case', async () => {
    const { newToken, userOf, byLogin } = actionsOf(world())
    const [login, other] = [await world().newLogin(), await world().newLogin()]
    const mine = [await newToken(login), await newToken(login)]
    await newToken(other)
    const user = await userOf(login)
    const found = await world().port.tokensOfOwner(user)
    expect(serialsOf(found)).toEqual(mine)
    expect(found[0]).toMatchObject({ type: 'hotp', isActive: true, isRevoked: false, isFull: false, isEnrolled: true })
    expect(found[0]?.owner).toEqual({ kind: 'user', ...user })
    expect(serialsOf(await world().port.tokensOfOwner(byLogin(login)))).toEqual(mine)
    expect(serialsOf(await world().port.tokensOfOwner(byLogin(login.toUpperCase())))).toEqual(mine)
  })

  it('are none for a user without tokens, and unknown for a login that nobody has', async () => {
    const { userOf, byLogin } = actionsOf(world())
    const login = await world().newLogin()
    expect(await world().port.tokensOfOwner(await userOf(login))).toEqual([])
    expect(await world().port.tokensOfOwner(byLogin(login))).toEqual([])
    expect(await codeOf(world().port.tokensOfOwner(byLogin('nobody-at-all')))).toBe('unknown-user')
    const realm = parseRealm('r1')
    expect(realm && (await world().port.findUser(loginOf('nobody-at-all'), realm, null))).toBeNull()
  })

  it('come with where mail to their owner goes, and with nothing for a login that nobody has', async () => {
    const login = await world().newLogin()
    const realm = parseRealm('r1')
    if (realm === null) throw new Error('no realm')
    const nobody = { login: loginOf('nobody-at-all'), realm, resolver: null, userId: null }
    const found = await world().port.userDetails({ ...nobody, login: loginOf(login) })
    expect(found).toEqual({ mail: `${login}@example.org`, name: expect.stringContaining('User') })
    expect(await world().port.userDetails(nobody)).toBeNull()
  })

  it('stay those of a user who was renamed', async () => {
    const { newToken, userOf } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login)
    const user = await userOf(login)
    await world().renameUser(login, `${login}-renamed`)
    const now = { ...user, login: loginOf(`${login}-renamed`) }
    const [found] = await world().port.tokensOfOwner(now)
    expect(found?.serial).toBe(serial)
    expect(found?.owner).toEqual({ kind: 'user', ...now })
  })

  it('are found by serial, with nobody’s among them, and without those that are gone', async () => {
    const { newToken } = actionsOf(world())
    const [mine, nobodys, gone] = [await newToken(await world().newLogin()), await newToken(null), await newToken(null)]
    await world().ask('DELETE', `/token/${gone}`)
    const found = await world().port.tokensBySerial([gone, nobodys, mine, serialOf('NEVER-THERE')])
    expect(serialsOf(found)).toEqual([mine, nobodys].toSorted())
    expect(found.find(({ serial }) => serial === nobodys)?.owner).toEqual({ kind: 'none' })
    expect(await world().port.tokensBySerial([gone])).toEqual([])
    expect(await world().port.tokensBySerial([])).toEqual([])
  })

  it('follow when they are unassigned and given to somebody else', async () => {
    const { newToken, userOf, token } = actionsOf(world())
    const [login, other] = [await world().newLogin(), await world().newLogin()]
    const serial = await newToken(login)
    await world().ask('POST', '/token/unassign', { serial })
    expect((await token(serial)).owner).toEqual({ kind: 'none' })
    expect(await world().port.tokensOfOwner(await userOf(login))).toEqual([])
    await world().ask('POST', '/token/assign', { serial, user: other, realm: 'r1' })
    expect(serialsOf(await world().port.tokensOfOwner(await userOf(other)))).toEqual([serial])
  })

  it('show when they are disabled or revoked', async () => {
    const { newToken, token } = actionsOf(world())
    const [disabled, revoked] = [await newToken(null), await newToken(null)]
    await world().ask('POST', '/token/disable', { serial: disabled })
    await world().ask('POST', '/token/revoke', { serial: revoked })
    expect(await token(disabled)).toMatchObject({ isActive: false, isRevoked: false })
    expect(await token(revoked)).toMatchObject({ isRevoked: true, isFull: false })
  })

  it('are orphans when their owner is gone from the user store', async () => {
    const { newToken, userOf, token } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login)
    const { userId, resolver } = await userOf(login)
    await world().removeUser(login)
    expect((await token(serial)).owner).toEqual({ kind: 'orphan', resolver, userId, isHomeless: false })
  })
}

function failCounterContract(world: () => PrivacyIdeaWorld): void {
  it('fills by wrong one-time passwords, and a reset empties it', async () => {
    const { newToken, token, fail } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login, 3)
    await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 2)
    expect(await token(serial)).toMatchObject({ failCount: 2, failCountMax: 3, isFull: false })
    await fail({ serial, pass: WRONG_OTP }, 3)
    expect(await token(serial)).toMatchObject({ failCount: 3, isFull: true, isActive: true, isRevoked: false })
    expect(await world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(KEY, 0)}` })).toBe(false)
    await world().port.resetFailCounter(serial)
    expect(await token(serial)).toMatchObject({ failCount: 0, isFull: false })
    expect(await world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(KEY, 1)}` })).toBe(true)
  })

  it('fills on all tokens of a user by a wrong PIN', async () => {
    const { newToken, userOf, fail } = actionsOf(world())
    const login = await world().newLogin()
    await newToken(login, 3)
    await newToken(login, 5)
    await fail({ user: login, realm: 'r1', pass: WRONG_PIN }, 3)
    const found = await world().port.tokensOfOwner(await userOf(login))
    expect(found.map(({ failCount, isFull }) => [failCount, isFull])).toEqual([
      [3, true],
      [3, false],
    ])
  })

  it('is emptied by a success, and is full at once where its maximum is 0', async () => {
    const { newToken, token, fail } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login, 3)
    await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 2)
    expect(await world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(KEY, 0)}` })).toBe(true)
    expect(await token(serial)).toMatchObject({ failCount: 0 })
    await world().ask('POST', '/token/set', { serial, max_failcount: 0 })
    expect(await token(serial)).toMatchObject({ failCount: 0, failCountMax: 0, isFull: true })
  })

  it('cannot be reset on a token that is not there', async () => {
    expect(await codeOf(world().port.resetFailCounter(serialOf('NEVER-THERE')))).toBe('unknown-serial')
  })

  it('puts full tokens among the fullest, and those with few failures not', async () => {
    const { newToken, fail } = actionsOf(world())
    const [full, once, fresh] = [await newToken(null, 3), await newToken(null), await newToken(null)]
    await fail({ serial: full, pass: WRONG_OTP }, 3)
    await fail({ serial: once, pass: WRONG_OTP }, 1)
    const { tokens, isComplete } = await world().port.fullestTokens(3)
    expect(isComplete).toBe(true)
    const shown = tokens.map(({ serial }) => serial)
    expect([full, once, fresh].map((serial) => shown.includes(serial))).toEqual([true, false, false])
  })
}

function walkContract(world: () => PrivacyIdeaWorld): void {
  it('are seen once each, in pages', async () => {
    const { newToken } = actionsOf(world())
    const some = [await newToken(null), await newToken(await world().newLogin())]
    await using port = world().open('lockstep', { pageSize: 10 })
    const seen = await walked(port)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(expect.arrayContaining(some))
    await using large = world().open('lockstep', { pageSize: 1000 })
    expect(await walked(large)).toEqual(seen)
  })

  it('are seen, also when some are made and some deleted in the middle', async () => {
    const { newToken } = actionsOf(world())
    const made = []
    for (let count = 0; count < 12; count++) made.push(await newToken(null))
    const early = made.slice(0, 2)
    await using port = world().open('lockstep', { pageSize: 5 })
    const before = await walked(port)
    const last = before.slice(-4)
    let late: Serial | null = null
    const seen = await walked(port, async (page) => {
      if (page !== Math.floor(before.length / 5) - 1) return
      await Promise.all(early.map((serial) => world().ask('DELETE', `/token/${serial}`)))
      late = await newToken(null)
    })
    expect(seen.slice(-5)).toEqual([...last, late])
    expect(new Set(seen).size).toBe(seen.length)
  })
}

function silenceContract(world: () => PrivacyIdeaWorld): void {
  it('comes from an account without the right, and is not believed', async () => {
    const { newToken, userOf } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login)
    const policy = { scope: 'admin', active: true, realm: '', adminuser: 'blind', action: 'userlist' }
    await world().ask('POST', '/policy/blind', policy)
    await using blind = world().open('blind')
    expect(await codeOf(blind.proveTokenList())).toBe('source-not-permitted')
    expect(await codeOf(blind.tokensOfOwner(await userOf(login)))).toBe('source-not-permitted')
    expect(await codeOf(blind.tokensBySerial([serial]))).toBe('source-not-permitted')
    expect(await codeOf(walked(blind))).toBe('source-unproven')
    expect(await codeOf(blind.resetFailCounter(serial))).toBe('source-not-permitted')
  })

  it('comes when the right is taken away in the middle, and is not believed', async () => {
    const { newToken } = actionsOf(world())
    const serial = await newToken(null)
    const policy = { scope: 'admin', active: true, realm: '', adminuser: 'blind' }
    await world().ask('POST', '/policy/blind', { ...policy, action: 'tokenlist' })
    await using port = world().open('blind')
    expect(serialsOf(await port.tokensBySerial([serial]))).toEqual([serial])
    await world().ask('POST', '/policy/blind', { ...policy, action: 'userlist' })
    expect(await codeOf(port.tokensBySerial([serial]))).toBe('source-unproven')
  })

  it(
    'comes while the user store is down: no owner is lost, and all is right again afterwards',
    async () => {
      const { newToken, userOf, byLogin, token } = actionsOf(world())
      const login = await world().newLogin()
      const serial = await newToken(login)
      const user = await userOf(login)
      await world().stopUserStore()
      try {
        const down = ['source-resolver', 'source-timeout']
        expect(down).toContain(await codeOf(world().port.tokensOfOwner(user)))
        expect(down).toContain(await codeOf(world().port.tokensOfOwner(byLogin(login))))
        expect(down).toContain(await codeOf(walked(world().port)))
        const bySerial = await world()
          .port.tokensBySerial([serial])
          .then(
            ([found]) => found?.owner.kind ?? 'gone',
            (error: { code: string }) => error.code,
          )
        expect([...down, 'resolver-error']).toContain(bySerial)
        expect(await world().port.findUser(user.login, user.realm, null)).toBeNull()
      } finally {
        await world().startUserStore()
      }
      await eventually('the owner is seen again', async () => (await token(serial)).owner.kind === 'user', PATIENT_MS)
      expect(serialsOf(await world().port.tokensOfOwner(user))).toEqual([serial])
    },
    4 * PATIENT_MS,
  )
}

function lockoutContract(world: () => PrivacyIdeaWorld): void {
  const hasThem = () => world().release === '3.14'
  const mine = async (user: UserOfSource) => {
    const { lockouts } = await world().port.userLockouts()
    return lockouts.filter((each) => each.user.userId === user.userId)
  }

  it('are known from 3.14 on', async () => {
    expect((await world().port.userLockouts()).isSupported).toBe(hasThem())
  })

  it('show while they last, and can be released', async () => {
    const user = await actionsOf(world()).userOf(await world().newLogin())
    if (!hasThem()) return expect(await codeOf(world().port.setUserLockout(user, 600))).toBe('source-answer')
    const beforeMs = Date.now()
    await world().port.setUserLockout(user, 600)
    const [lockout] = await mine(user)
    expect(lockout).toMatchObject({ user, cause: 'manual' })
    expect(Math.abs((lockout?.untilMs ?? 0) - beforeMs - 600_000)).toBeLessThan(60_000)
    await world().port.setUserLockout(user, null)
    expect(await mine(user)).toEqual([{ user, untilMs: null, durationS: null, cause: 'manual' }])
    expect(await world().port.releaseUserLockout(user)).toBe(true)
    expect(await world().port.releaseUserLockout(user)).toBe(false)
    expect(await mine(user)).toEqual([])
  })

  it('are gone when their time is over', async () => {
    const user = await actionsOf(world()).userOf(await world().newLogin())
    if (!hasThem()) return expect(await codeOf(world().port.setUserLockout(user, 1))).toBe('source-answer')
    await world().port.setUserLockout(user, 1)
    await eventually('the lockout is over', async () => (await mine(user)).length === 0)
  })

  it('are made by a policy, while the token shows nothing', async () => {
    const { newToken, userOf, token, fail } = actionsOf(world())
    const login = await world().newLogin()
    const [serial, user] = [await newToken(login, 10), await userOf(login)]
    if (!hasThem()) {
      await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 3)
      expect(await token(serial)).toMatchObject({ failCount: 3, isFull: false })
      expect(await world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(KEY, 0)}` })).toBe(true)
      return
    }
    const action = { action_type: 'LOCK_USER', action_value: { duration_seconds: 600 } }
    await world().ask('POST', '/conditionalaccess/policy', {
      name: 'lock3',
      target: 'user',
      time_window_seconds: 900,
      priority: 1,
      counter_types_to_track: ['PIN_FAIL', 'MFA_FAIL', 'PASSWORD_FAIL'],
      stages: [{ failure_threshold: 3, actions: [action] }],
    })
    await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 3)
    expect(await mine(user)).toMatchObject([{ user, cause: 'policy' }])
    expect(await token(serial)).toMatchObject({ failCount: 3, isFull: false })
    expect(await world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(KEY, 0)}` })).toBe(false)
  })

  it('are told apart from none by the right to see them', async () => {
    await world().ask('POST', '/policy/blind', {
      scope: 'admin',
      active: true,
      realm: '',
      adminuser: 'blind',
      action: 'tokenlist',
    })
    await using blind = world().open('blind')
    if (!hasThem()) return expect(await blind.userLockouts()).toMatchObject({ isSupported: false, lockouts: [] })
    expect(await codeOf(blind.userLockouts())).toBe('source-not-permitted')
    expect(await codeOf(blind.authenticationLog(null))).toBe('source-not-permitted')
  })
}

function logContract(world: () => PrivacyIdeaWorld): void {
  it('of 3.14 tell of each failure, with its token and its user', async () => {
    const { newToken, userOf, fail } = actionsOf(world())
    const start = await world().port.authenticationLog(null)
    if (!start.isSupported) return expect(start).toEqual({ isSupported: false, rows: [], mark: null })
    const login = await world().newLogin()
    const [serial, user] = [await newToken(login), await userOf(login)]
    await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 1)
    const tail = await world().port.authenticationLog(start.mark)
    const row = tail.rows.find((each) => each.userId === user.userId)
    expect(row).toMatchObject({ type: 'MFA_FAIL', serial, ...user })
    expect(tail.mark).toEqual({ id: tail.rows.at(-1)?.id, atMs: tail.rows.at(-1)?.atMs })
    expect((await world().port.authenticationLog(tail.mark)).rows).toEqual([])
  })

  it('of audit hold what was done, oldest first, and can be read on', async () => {
    const { newToken, fail } = actionsOf(world())
    const login = await world().newLogin()
    const serial = await newToken(login)
    await fail({ user: login, realm: 'r1', pass: WRONG_OTP }, 1)
    await world().port.resetFailCounter(serial)
    const rows = await auditOf(world().port, 0)
    const numbers = rows.map((each) => each.number)
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
    const mine = rows.filter((each) => each.user === login || each.serial === serial)
    const seen = mine.map(({ action, isSuccess }) => `${action} ${isSuccess}`)
    const inOrder = ['POST /token/init true', 'POST /validate/check false', 'POST /token/reset true']
    expect(seen.filter((each) => inOrder.includes(each))).toEqual(inOrder)
    expect(mine.find(({ action }) => action === 'POST /validate/check')).toMatchObject({ user: login, realm: 'r1' })
    const after = rows.at(-1)?.number ?? 0
    expect((await auditOf(world().port, after)).every((each) => each.number > after)).toBe(true)
  })
}

async function auditOf(port: PrivacyIdeaPort, afterNumber: number): Promise<AuditRow[]> {
  const found: AuditRow[] = []
  for await (const rows of port.auditRows({ sinceMs: 3_600_000, afterNumber })) found.push(...rows)
  return found
}
