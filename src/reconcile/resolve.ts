import {
  AppError,
  CORRELATION_MAX_MS,
  isCorrelationCode,
  retryDelayMs,
  toAppError,
  type ErrorCode,
} from '../core/error.ts'
import { isTokenEvent, nothingToDo } from '../core/events/event.ts'
import type { Login, Realm, Serial } from '../core/names.ts'
import { spelledAmong } from '../core/serials/serial-key.ts'
import { serialsIn } from '../core/account/serial-values.ts'
import type { FoundAccount } from '../ports/directory.ts'
import type { CountedWait, NotedAccount, Resolution, WaitingEvent } from '../ports/store/store.ts'
import { failureReason } from '../core/account/outcome.ts'
import { placeOfUser } from './place.ts'
import type { Ports } from './ports.ts'
import { accountsToRefresh, type SnapshotPorts } from './source/snapshot.ts'

/**
 * Which account does an event belong to? By its user, else by its serial: by our record first, then by the account that
 * has it in the directory. Nothing is guessed: the event waits with its reason.
 */

/** The older an unlock of an unknown serial gets, the less can a lock before it still be on its way. */
const UNKNOWN_UNDO_MAX_MS = 24 * 3_600_000
const READING_AGE_MAX_MS = 1_000
/** An event that was not tried yet. */
export const NOT_COUNTED: CountedWait = { ms: 0, whyCode: null, triedAtMs: null }

export async function resolveEvent(event: WaitingEvent, ports: Ports, giveUpAfterMs: number): Promise<Resolution> {
  const nothing = nothingToDo(event)
  if (nothing !== null) return { kind: 'ended', event, reason: nothing }
  try {
    if (ports.snapshot !== null && isTokenEvent(event.kind)) {
      return { kind: 'hinted', event, ...(await hintedAccounts(event, ports, ports.snapshot)) }
    }
    const found = await findAccount(event, ports)
    return {
      kind: 'resolved',
      event,
      key: found.key,
      dn: found.dn,
      login: found.login ?? event.login,
      realm: event.realm,
      attributeSerials: found.serials,
    }
  } catch (thrown) {
    return unresolved(event, toAppError(thrown), ports, giveUpAfterMs)
  }
}

type Hinted = Extract<Resolution, { kind: 'hinted' }>

/** Mode `api`: the event only names accounts to ask about. A serial alone is enough, and so is a user. */
async function hintedAccounts(
  event: WaitingEvent,
  ports: Ports,
  snapshot: SnapshotPorts,
): Promise<Pick<Hinted, 'accounts' | 'named'>> {
  const { login, serial, realm } = event
  let user: NotedAccount | null = null
  let found: readonly FoundAccount[] = []
  if (login !== null) {
    try {
      const account = await ports.directory.findByLogin(login, realm)
      found = [account]
      user = { key: account.key, dn: account.dn, login, realm }
    } catch (thrown) {
      // The serial decides whose token it is, whatever the login is.
      const error = toAppError(thrown)
      if (serial === null) return { accounts: await accountsCalled(login, realm, error, snapshot), named: [] }
      if (!isOfOwner(error)) throw error
    }
  }
  const accounts = await accountsToRefresh({ serial, user }, snapshot)
  if (event.kind !== 'unregister' || serial === null) return { accounts, named: [] }
  return withDuplicates({ serial, found, accounts }, ports, snapshot)
}

/**
 * Lockstep may remove a serial that an unregistration names from every entry, by any author; privacyIDEA's answer
 * about it decides. What a reading has confirmed before is on record, and needs no further reading.
 */
async function withDuplicates(
  { serial, found, accounts }: { serial: Serial; found: readonly FoundAccount[]; accounts: readonly NotedAccount[] },
  ports: Ports,
  { snapshots: snapshot }: SnapshotPorts,
): Promise<Pick<Hinted, 'accounts' | 'named'>> {
  if ((await snapshot.tokensLike(serial)).length > 0) return { accounts, named: [] }
  const own = found.filter(({ serials }) => spelledAmong(serials, serial) !== null)
  const duplicates = own.length > 0 ? own : await ports.directory.findBySerial(serial)
  const others = duplicates.filter(({ key }) => accounts.every((account) => account.key !== key))
  return {
    // Nothing is known of its user: the turn of the account asks about the serial.
    accounts: [...accounts, ...others.map(({ key, dn }) => ({ key, dn, login: null, realm: null }))],
    named: duplicates.map(({ key, serials }) => ({ key, serial: spelledAmong(serials, serial) ?? serial })),
  }
}

function isOfOwner({ code }: AppError): boolean {
  return isCorrelationCode(code) || code === 'realm-excluded' || code.startsWith('directory-')
}

/** A login that several accounts have: those of them that are on record, and the one that privacyIDEA means by it. */
async function accountsCalled(
  login: Login,
  realm: Realm | null,
  error: AppError,
  { snapshots: snapshot, source, directory }: SnapshotPorts,
): Promise<readonly NotedAccount[]> {
  if (error.code !== 'ambiguous-match') throw error
  const keys = await snapshot.accountsCalled(login, realm)
  if (keys.length > 0) await snapshot.markKeysForRefresh(keys)
  const user = realm === null ? null : await source.findUser(login, realm, null)
  const place = user === null ? null : await placeOfUser(user, { directory })
  if (place?.kind === 'account') return [place.account]
  if (place?.kind === 'silent') throw place.error
  if (keys.length === 0) throw error
  return []
}

async function findAccount(event: WaitingEvent, ports: Ports): Promise<FoundAccount> {
  const { login, serial, realm } = event
  if (login === null) return findBySerial(event, ports)
  try {
    return await ports.directory.findByLogin(login, realm)
  } catch (thrown) {
    const error = toAppError(thrown)
    const isUnknown = ['unknown-user', 'realm-unmapped', 'realm-excluded'].includes(error.code)
    if (!isUnknown || serial === null || event.kind === 'register') throw error
    try {
      return await findBySerial(event, ports)
    } catch (second) {
      throw toAppError(second).code === 'unknown-serial' ? error : second
    }
  }
}

async function findBySerial(event: WaitingEvent, ports: Ports): Promise<FoundAccount> {
  const serial = event.serial
  if (serial === null) throw new AppError('event-invalid', 'names neither a user nor a serial')
  const recorded = await ports.inbox.accountOfSerial(serial)
  if (recorded !== null) {
    const serials = event.kind === 'unregister' ? await serialsOnEntry(recorded.key, ports) : []
    return { ...recorded, serials }
  }
  const found = await ports.directory.findBySerial(serial)
  // Two tokens may differ by case only: then the exact spelling decides.
  const exact = found.filter(({ serials }) => serials.includes(serial))
  const [only, ...others] = exact.length > 0 ? exact : found
  if (only === undefined) throw new AppError('unknown-serial', `no account is known for serial ${serial}`)
  if (others.length === 0) return only
  const where = [only, ...others].map((each) => each.dn).join(' and ')
  throw new AppError('ambiguous-match', `serial ${serial} is at several accounts: ${where}`, {
    hint: 'Take it away where it is wrong; the event is tried again by itself.',
  })
}

/** The serials on the entry now: an unregistration depends on whether a token is left. */
async function serialsOnEntry(key: FoundAccount['key'], ports: Ports): Promise<readonly Serial[]> {
  try {
    const { serialFormat, serialAttributeMultiValued, serialValues } = await ports.directory.observe(
      key,
      [],
      READING_AGE_MAX_MS,
    )
    return serialsIn(serialFormat, serialAttributeMultiValued, serialValues)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'entry-not-found') return []
    throw error
  }
}

function unresolved(event: WaitingEvent, error: AppError, ports: Ports, giveUpAfterMs: number): Resolution {
  if (error.code === 'realm-excluded') return { kind: 'ended', event, reason: failureReason('operation-failed', error) }
  const nowMs = ports.clock.nowMs()
  const countedMs = countedAt(event.counted, error.code, nowMs)
  const isUndo = event.kind === 'unlock' || event.kind === 'unregister'
  const limitMs =
    error.code === 'unknown-serial' && isUndo ? Math.min(giveUpAfterMs, UNKNOWN_UNDO_MAX_MS) : giveUpAfterMs
  if (isCorrelationCode(error.code) && countedMs > limitMs)
    return { kind: 'ended', event, reason: failureReason('gave-up', error) }
  const againAtMs = nowMs + retryDelayMs(error.code, event.attempts, ports.clock.random())
  return { kind: 'waiting', event, code: error.code, reason: error.message, againAtMs, countedMs }
}

/**
 * Only the time in which a person must change something counts towards giving up: an event that waits for a directory
 * or for privacyIDEA to answer is kept for ever. Between two tries with the same result everything was reachable; a
 * longer time than the longest delay means that nobody asked meanwhile.
 */
function countedAt({ ms, whyCode, triedAtMs }: CountedWait, code: ErrorCode, nowMs: number): number {
  if (triedAtMs === null || whyCode === null || !isCorrelationCode(whyCode) || !isCorrelationCode(code)) return ms
  return ms + Math.max(0, Math.min(nowMs - triedAtMs, CORRELATION_MAX_MS))
}
