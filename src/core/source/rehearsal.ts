import { AppError } from '../error.ts'
import type { Login, Realm, Serial } from '../names.ts'
import { serialKey, type SerialKey } from '../serials/serial-key.ts'

/**
 * Replays privacyIDEA's audit log: which accounts would have been locked, from when to when. Rows are taken one by one
 * in the order of their time; what is kept is a counter a token and the locks found.
 *
 * The contents of a row were measured on 3.11.4, 3.12.3 and 3.14. A failed attempt names its serial only where the PIN
 * belongs to one token; it never has the fail counter. So failures are counted here as privacyIDEA counts them, and the
 * text `Failcounter exceeded` proves a full counter wherever the count came out too low.
 *
 * | row | what it does to the counters |
 * | --- | --- |
 * | `wrong otp value`, `wrong otp pin` | one more on the serial, without one on every token of the user |
 * | the same on a serial that is full | from 3.12.1: it was not; its clear timeout had emptied it (it counts 1), or its limit is higher |
 * | `Failcounter exceeded` | full |
 * | an accepted attempt with a serial; `/token/reset`; `/token/assign`, `/token/init` of one serial | 0 |
 * | `/token/set` with `max_failcount=N` | N is the limit from here on |
 * | `/token/unassign`, `DELETE /token/` | the token is gone from its owner |
 */
export interface AuditRow {
  /** Milliseconds; only differences matter here. */
  readonly atMs: number
  /** As in `POST /validate/check`. */
  readonly action: string
  readonly isSuccess: boolean
  /** `ACCEPT`, `REJECT`, `CHALLENGE`; '' where the version does not give it. */
  readonly authentication: string
  readonly serials: readonly Serial[]
  readonly login: Login | null
  readonly realm: Realm | null
  readonly detail: string
  readonly info: string
}

/** A token as privacyIDEA has it now: its owner, and how many failures it takes. */
export interface KnownToken {
  readonly serial: Serial
  readonly login: Login | null
  readonly realm: Realm | null
  readonly failuresMax: number
  readonly isFull: boolean
}

export interface RehearsedLock {
  readonly login: Login
  readonly realm: Realm | null
  readonly fromMs: number
  /** Null: it lasts to the end of the log. */
  readonly toMs: number | null
  /** `unseen`: it ended without a row (the clear timeout), at `toMs` at the latest. */
  readonly end: 'seen' | 'unseen' | 'none'
  /** privacyIDEA itself reported that a counter was full; else it was counted from failures alone. */
  readonly isConfirmed: boolean
  readonly serials: readonly Serial[]
}

export interface RehearsalOptions {
  readonly lockWhen: 'any-token-locked' | 'all-tokens-locked'
  /** An attempt on a full token is reported as such (from 3.12.1); before, it looks like any other failure. */
  readonly tellsFull: boolean
  /** The limit of a token that is not known any more. */
  readonly failuresMaxDefault: number
  /** Locks at most; more fail with `limit-exceeded`. */
  readonly locksMax: number
  /** Users and tokens at most. */
  readonly trackedMax: number
}

export interface Rehearsal {
  /** Fails with `limit-exceeded`. */
  take(row: AuditRow): void
  /** The locks in the order in which they began. */
  finish(): readonly RehearsedLock[]
}

interface Token {
  readonly serial: Serial
  owner: Owner | null
  failures: number
  failuresMax: number
  isMaxKnown: boolean
  isFullNow: boolean | null
}

interface Owner {
  readonly login: Login
  readonly realm: Realm | null
  readonly tokens: Set<Token>
  /** Failures while no token of the owner is known. */
  unnamed: number
  /** privacyIDEA reported that a counter is full, and its token is not known. */
  isSaidFull: boolean
  lock: { readonly fromMs: number; isConfirmed: boolean; readonly serials: readonly Serial[] } | null
}

type Step = 'failure' | 'full' | 'empty' | 'limit' | 'enrol' | 'leave'

const ATTEMPT = /^(?:GET|POST) \/(?:validate\/(?:check|samlcheck|radiuscheck)|auth)$/
const FULL = /failcounter exceeded/i
const FAILURE = /wrong otp (?:value|pin)|did not match the challenge/i
/** Up to 3.11 the column is cut before the reason; a serial is there only where a token was tried. */
const CUT = /loginmode=privacyIDEA/
const LIMIT = /\bmax_failcount=(\d{1,9})\b/

/** The effect of a row on the counters, or null when it has none. */
export function stepOf(row: AuditRow): Step | null {
  if (ATTEMPT.test(row.action)) {
    if (FULL.test(row.info)) return 'full'
    if (row.isSuccess) return row.serials.length > 0 && row.authentication !== 'CHALLENGE' ? 'empty' : null
    return FAILURE.test(row.info) || (row.serials.length > 0 && CUT.test(row.info)) ? 'failure' : null
  }
  if (!row.isSuccess) return null
  if (row.action === 'POST /token/reset') return 'empty'
  if (row.action === 'POST /token/set') return LIMIT.test(row.detail) ? 'limit' : null
  if (row.action === 'POST /token/init' || row.action === 'POST /token/assign') return 'enrol'
  if (row.action === 'POST /token/unassign' || row.action.startsWith('DELETE /token/')) return 'leave'
  return null
}

export function newRehearsal(known: Iterable<KnownToken>, options: RehearsalOptions): Rehearsal {
  const book = newBook(options)
  const locks: RehearsedLock[] = []
  for (const each of known) book.learn(each)

  /** Opens or closes the owner's lock by the counters of now. */
  function openOrClose(owner: Owner, atMs: number): void {
    const full = fullTokens(owner)
    const isLocked = mustLock(owner, full, options)
    if (isLocked && owner.lock === null) {
      owner.lock = { fromMs: atMs, isConfirmed: false, serials: full.map((token) => token.serial) }
    } else if (!isLocked && owner.lock !== null) {
      close(owner, atMs, 'seen')
    }
  }

  function close(owner: Owner, toMs: number | null, end: RehearsedLock['end']): void {
    if (owner.lock === null) return
    if (locks.length >= options.locksMax) {
      throw new AppError('limit-exceeded', `more than ${options.locksMax} locks would have been made`, {
        hint: 'Rehearse a shorter time: --since 7d.',
      })
    }
    locks.push({ login: owner.login, realm: owner.realm, toMs, end, ...owner.lock })
    owner.lock = null
  }

  return {
    take(row) {
      const step = stepOf(row)
      if (step === null) return
      const owners = new Set<Owner>()
      const named = row.login === null ? null : book.owner(row.login, row.realm)
      if (named !== null) owners.add(named)
      const tokens = row.serials.map((serial) => book.token(serial))
      for (const token of tokens) {
        if (token.owner !== null) owners.add(token.owner)
        if (named !== null && step !== 'leave') own(named, token)
      }
      if (step === 'failure') for (const owner of fail(tokens, named, options)) close(owner, row.atMs, 'unseen')
      else if (step === 'full') fill(tokens, named)
      else move(step, tokens, named, row)
      for (const owner of owners) openOrClose(owner, row.atMs)
      if (step === 'full') for (const { lock } of owners) if (lock !== null) lock.isConfirmed = true
    },
    finish() {
      for (const owner of book.owners()) {
        const tokens = [...owner.tokens]
        const isOver = tokens.length > 0 && tokens.every((token) => token.isFullNow === false)
        close(owner, null, isOver ? 'unseen' : 'none')
      }
      return locks.toSorted((a, b) => a.fromMs - b.fromMs)
    },
  }
}

function own(owner: Owner, token: Token): void {
  if (token.owner === owner) return
  token.owner?.tokens.delete(token)
  // What was counted before the serial was known was counted on it.
  if (owner.tokens.size === 0 && token.failures === 0) {
    token.failures = Math.max(0, Math.min(owner.unnamed, token.failuresMax))
  }
  token.owner = owner
  owner.tokens.add(token)
  owner.unnamed = 0
}

/**
 * One more failure, and the owners whose locks it shows to be over: a full counter that fails as if it were not full
 * was emptied without a row, where its limit is known. Where the limit is only assumed, it is too low, and the lock
 * never was.
 */
function fail(tokens: readonly Token[], named: Owner | null, options: RehearsalOptions): readonly Owner[] {
  const hit = tokens.length > 0 ? tokens : [...(named?.tokens ?? [])]
  if (hit.length === 0) return named === null ? [] : failUnnamed(named, options)
  const full = hit.filter(isFull)
  for (const token of hit) if (!isFull(token)) token.failures += 1
  if (!options.tellsFull) return []
  // Without a serial, the failure is that of a token which is not full, as long as there is one.
  if (tokens.length === 0 && full.length < hit.length) return []
  const over = new Set<Owner>()
  for (const token of full) {
    const { owner } = token
    if (token.isMaxKnown) {
      token.failures = 1
      if (owner !== null) over.add(owner)
    } else {
      token.failures += 1
      token.failuresMax = Infinity
      if (owner !== null && !owner.isSaidFull && fullTokens(owner).length === 0) retract(owner, over)
    }
  }
  return [...over]
}

function failUnnamed(owner: Owner, options: RehearsalOptions): readonly Owner[] {
  if (!options.tellsFull) {
    owner.unnamed += 1
    return []
  }
  if (owner.isSaidFull) {
    owner.isSaidFull = false
    owner.unnamed = 1
    return [owner]
  }
  const over = new Set<Owner>()
  if (owner.unnamed >= options.failuresMaxDefault) {
    owner.unnamed = -Infinity
    retract(owner, over)
  }
  owner.unnamed += 1
  return [...over]
}

/** A lock that rests on an assumed limit alone never was; one that privacyIDEA confirmed is over. */
function retract(owner: Owner, over: Set<Owner>): void {
  if (owner.lock?.isConfirmed === true) over.add(owner)
  else owner.lock = null
}

function fill(tokens: readonly Token[], owner: Owner | null): void {
  const only = owner?.tokens.size === 1 ? [...owner.tokens] : []
  const full = tokens.length > 0 ? tokens : only
  for (const token of full) {
    if (token.failuresMax === Infinity) token.failuresMax = token.failures
    token.failures = Math.max(token.failures, token.failuresMax)
  }
  if (full.length === 0 && owner !== null && fullTokens(owner).length === 0) owner.isSaidFull = true
}

function move(
  step: 'empty' | 'limit' | 'enrol' | 'leave',
  tokens: readonly Token[],
  named: Owner | null,
  row: AuditRow,
) {
  // Of several it is not known which was enrolled.
  if (step === 'enrol' && tokens.length !== 1) return
  const touched = tokens.length > 0 ? tokens : [...(named?.tokens ?? [])]
  for (const token of touched) {
    const { owner } = token
    if (step === 'limit') {
      token.failuresMax = Number(LIMIT.exec(row.detail)?.[1] ?? token.failuresMax)
      token.isMaxKnown = true
    } else token.failures = 0
    if (owner !== null) {
      owner.isSaidFull = false
      if (step === 'leave') {
        owner.tokens.delete(token)
        token.owner = null
      }
    }
  }
  if (named !== null && step !== 'limit') {
    named.isSaidFull = false
    named.unnamed = 0
  }
}

function isFull(token: Token): boolean {
  return token.failures >= token.failuresMax
}

function fullTokens(owner: Owner): Token[] {
  return [...owner.tokens].filter(isFull)
}

function mustLock(owner: Owner, full: readonly Token[], options: RehearsalOptions): boolean {
  if (owner.isSaidFull) return true
  if (owner.tokens.size === 0) return owner.unnamed >= options.failuresMaxDefault
  return options.lockWhen === 'any-token-locked' ? full.length > 0 : full.length === owner.tokens.size
}

interface Book {
  learn(known: KnownToken): void
  owner(login: Login, realm: Realm | null): Owner
  token(serial: Serial): Token
  owners(): Iterable<Owner>
}

/** The users and tokens met so far. */
function newBook(options: RehearsalOptions): Book {
  const owners = new Map<string, Owner>()
  const tokens = new Map<SerialKey, Token>()
  /** Of tokens that privacyIDEA lists although another differs by case only: by their exact spelling. */
  const twins = new Map<string, Token>()

  function checkRoom(): void {
    if (owners.size + tokens.size < options.trackedMax) return
    throw new AppError('limit-exceeded', `the log names more than ${options.trackedMax} users and tokens`, {
      hint: 'Rehearse a shorter time: --since 7d.',
    })
  }

  function owner(login: Login, realm: Realm | null): Owner {
    // The log has the login as the request spelled it, and LDAP resolvers find it in any case.
    const key = `${realm ?? ''}\n${login.toLowerCase()}`
    const found = owners.get(key)
    if (found !== undefined) return found
    checkRoom()
    const made: Owner = { login, realm, tokens: new Set(), unnamed: 0, isSaidFull: false, lock: null }
    owners.set(key, made)
    return made
  }

  function token(serial: Serial): Token {
    const found = twins.get(serial) ?? tokens.get(serialKey(serial))
    if (found !== undefined) return found
    const made = newToken(serial)
    tokens.set(serialKey(serial), made)
    return made
  }

  function newToken(serial: Serial): Token {
    checkRoom()
    const failuresMax = options.failuresMaxDefault
    return { serial, owner: null, failures: 0, failuresMax, isMaxKnown: false, isFullNow: null }
  }

  /** privacyIDEA lists it: in another case it is another one. */
  function listed(serial: Serial): Token {
    const found = token(serial)
    if (found.serial === serial) return found
    const made = newToken(serial)
    twins.set(serial, made)
    return made
  }

  return {
    owner,
    token,
    owners: () => owners.values(),
    learn(known) {
      const made = listed(known.serial)
      made.failuresMax = known.failuresMax
      made.isMaxKnown = true
      made.isFullNow = known.isFull
      if (known.login !== null) own(owner(known.login, known.realm), made)
    },
  }
}
