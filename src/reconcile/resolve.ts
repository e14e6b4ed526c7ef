import { AppError, retryDelayMs, toAppError } from '../core/error.ts'
import { isTokenEvent, nothingToDo } from '../core/event.ts'
import type { Serial } from '../core/names.ts'
import { serialsIn } from '../core/serial-values.ts'
import type { FoundAccount } from '../ports/directory.ts'
import type { NotedAccount, Resolution, WaitingEvent } from '../ports/store.ts'
import type { Ports } from './ports.ts'
import { accountsOfHint, type TruthPorts } from './truth.ts'

/**
 * Which account does an event belong to? By its user, else by its serial: by our record first, then by who carries it
 * in the directory. What cannot be told is not guessed: the event waits with its reason.
 */

/** The older an unlock of an unknown serial gets, the less can a lock before it still be on its way. */
const UNKNOWN_UNDO_MAX_MS = 24 * 3_600_000
const READING_AGE_MAX_MS = 1_000

export async function resolveEvent(event: WaitingEvent, ports: Ports, giveUpAfterMs: number): Promise<Resolution> {
  const nothing = nothingToDo(event)
  if (nothing !== null) return { kind: 'ended', event, reason: nothing }
  try {
    if (ports.truth !== null && isTokenEvent(event.kind)) {
      return { kind: 'hinted', event, accounts: await hintedAccounts(event, ports, ports.truth) }
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

/** Mode `api`: the event only says whom to ask about. A serial alone is enough, and so is a user. */
async function hintedAccounts(event: WaitingEvent, ports: Ports, truth: TruthPorts): Promise<readonly NotedAccount[]> {
  const { login, serial, realm } = event
  let user: NotedAccount | null = null
  if (login !== null) {
    try {
      const { key, dn } = await ports.directory.findByLogin(login, realm)
      user = { key, dn, login, realm }
    } catch (thrown) {
      const error = toAppError(thrown)
      if (serial === null || (error.code !== 'unknown-user' && error.code !== 'realm-unmapped')) throw error
    }
  }
  return accountsOfHint({ serial, user }, truth)
}

async function findAccount(event: WaitingEvent, ports: Ports): Promise<FoundAccount> {
  const { login, serial, realm } = event
  if (login === null) return findBySerial(event, ports)
  try {
    return await ports.directory.findByLogin(login, realm)
  } catch (thrown) {
    const error = toAppError(thrown)
    const isUnknown = error.code === 'unknown-user' || error.code === 'realm-unmapped'
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
    const serials = event.kind === 'unregister' ? await serialsStanding(recorded.key, ports) : []
    return { ...recorded, serials }
  }
  const found = await ports.directory.findBySerial(serial)
  const [only, ...others] = found
  if (only === undefined) throw new AppError('unknown-serial', `no account is known for serial ${serial}`)
  if (others.length === 0) return only
  const where = found.map((each) => each.dn).join(' and ')
  throw new AppError('ambiguous-match', `serial ${serial} stands at several accounts: ${where}`, {
    hint: 'Take it away where it is wrong; the event is tried again by itself.',
  })
}

/** What stands at the account now: an unregistration needs to know whether a token is left. */
async function serialsStanding(key: FoundAccount['key'], ports: Ports): Promise<readonly Serial[]> {
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
  const nowMs = ports.clock.nowMs()
  const ageMs = nowMs - event.receivedAtMs
  const isUndo = event.kind === 'unlock' || event.kind === 'unregister'
  const limitMs =
    error.code === 'unknown-serial' && isUndo ? Math.min(giveUpAfterMs, UNKNOWN_UNDO_MAX_MS) : giveUpAfterMs
  if (ageMs > limitMs) return { kind: 'ended', event, reason: `gave up: ${error.message}` }
  const againAtMs = nowMs + retryDelayMs(error.code, event.attempts, ports.clock.random())
  return { kind: 'waiting', event, code: error.code, reason: error.message, againAtMs }
}
