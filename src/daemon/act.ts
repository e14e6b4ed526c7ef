import { AppError, toAppError } from '../core/error.ts'
import type { Event } from '../core/event.ts'
import {
  asDn,
  parseLogin,
  parseRealm,
  parseSerial,
  splitAccountKey,
  type AccountKey,
  type Login,
  type Realm,
} from '../core/names.ts'
import type { FoundAccount } from '../ports/directory.ts'
import type { AccountReport } from '../store/reports.ts'
import { startEngine } from './engine.ts'
import type { Log } from './log.ts'
import { newId, type System } from './system.ts'
import { wordTimeUs } from './word.ts'

/** What a person does by hand: a hold, a release. Both are events like privacyIDEA's, so they meet the same rules. */

export interface Act {
  readonly kind: 'hold' | 'release'
  readonly login: string
  readonly realm: string | null
  readonly reason: string
  readonly actor: string
  /** `hold` only: it ends by itself after this; null: not by itself. */
  readonly forMs: number | null
  /** `release` only, mode `api`: the fail counters of the tokens that hold the account are reset as well. */
  readonly resetsTokens: boolean
}

export interface ActResult {
  readonly account: AccountReport
  /** What the directory says of the account now; `others`: locked, and not by us. */
  readonly lock: 'open' | 'ours' | 'others' | 'unknown'
  /** It had a hold or a lock of ours before. */
  readonly wasHeld: boolean
  /** False when it is on record but could not be carried out yet; the account's standing says why. */
  readonly isDone: boolean
}

const SETTLED_TIMEOUT_MS = 15_000
const SETTLED_LOOK_MS = 50

/** Fails with `usage`, `unknown-user`, `ambiguous-match`, `realm-unmapped` and what the directory may fail with. */
export async function act(system: System, order: Act, log: Log): Promise<ActResult> {
  const login = parseLogin(order.login)
  const realm = order.realm === null ? null : parseRealm(order.realm)
  if (login === null || (order.realm !== null && realm === null)) {
    throw new AppError(
      'usage',
      `${login === null ? 'the login' : 'the realm'} is empty, too long or holds control characters`,
    )
  }
  if (order.resetsTokens && system.source === null) {
    throw new AppError('usage', '--reset-token: privacyIDEA’s API is needed for that', {
      hint: 'Configure the section privacyidea, or reset the token in privacyIDEA.',
    })
  }
  const found = await findAccount(system, login, realm, order.kind)
  const [before] = await system.store.reports.find(found.key, 1)
  const wasHeld = before !== undefined && (before.lockedByUs || before.holds.length > 0)
  const nowMs = system.clock.nowMs()
  const event: Event = {
    id: `cli:${newId(system.clock)}`,
    kind: order.kind,
    serial: null,
    login,
    realm,
    actor: order.actor,
    takenAtUs: await wordTimeUs(system, found.key, login),
    source: 'cli',
    reason: order.reason,
    untilUs: order.forMs === null ? null : (nowMs + order.forMs) * 1000,
  }
  await system.store.inbox.take([event], [])
  const { key, dn, serials } = found
  await system.store.inbox.settle([{ kind: 'resolved', event, key, dn, login, realm, attributeSerials: serials }], 0)
  if (order.resetsTokens) {
    const named = (before?.holds ?? []).map((hold) => (hold.serial === null ? null : parseSerial(hold.serial)))
    const holding = named.filter((serial) => serial !== null)
    await system.store.truth.wantReset(key, holding)
  }
  await carryOut(system, [found.key], log)
  const result = await resultFor(system, found.key)
  return { ...result, wasHeld, lock: await lockOf(system, found.key, result.account) }
}

/** A lock of somebody else's is none of the record's business where nothing is held: only a look tells of it. */
async function lockOf(system: System, key: AccountKey, account: AccountReport): Promise<ActResult['lock']> {
  try {
    const { lock } = await system.directory.observe(key, [], 0)
    if (lock.state === 'open') return 'open'
    return account.lockedByUs ? 'ours' : 'others'
  } catch {
    // What was told is on record whatever can be seen now.
    return 'unknown'
  }
}

/** A release must be possible while the directory is away: then our own record tells the account. */
async function findAccount(
  system: System,
  login: Login,
  realm: Realm | null,
  kind: Act['kind'],
): Promise<Pick<FoundAccount, 'key' | 'dn' | 'serials'>> {
  try {
    return await system.directory.findByLogin(login, realm)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (!error.code.startsWith('directory-')) throw error
    if (kind === 'hold') {
      const nothing = 'Nothing is on record: give the lock again once the account can be looked up.'
      const hint = error.hint === '' ? nothing : `${nothing} ${error.hint}`
      throw new AppError(error.code, error.message, { cause: error, hint })
    }
    const known = (await system.store.reports.find(login, 2)).filter((each) => each.login === login)
    const key = splitAccountKey(known[0]?.key ?? '')
    if (known.length !== 1 || key === null) throw error
    return { key: key.key, dn: asDn(known[0]?.dn ?? ''), serials: [] }
  }
}

/**
 * Waits for the daemon to do it; without one, does it here. The caller tells how the accounts stand.
 */
export async function carryOut(system: System, keys: readonly AccountKey[], log: Log): Promise<void> {
  const { processLock, upkeep } = system.store
  if ((await processLock.daemon()) === null) {
    await processLock.freeDeadLeases()
    await processLock.enter()
    await processLock.prepared()
    try {
      const { worker } = startEngine(system, log, false)
      try {
        await Promise.race([worker.whenIdle(), system.store.failed])
      } finally {
        await worker.stop()
      }
    } finally {
      await processLock.leave()
    }
    return
  }
  const deadlineMs = system.clock.nowMs() + SETTLED_TIMEOUT_MS
  while ((await upkeep.isAnyDue(keys, system.clock.nowMs())) && system.clock.nowMs() < deadlineMs) {
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, SETTLED_LOOK_MS)
    await promise
  }
}

/** Fails with `internal` for an account that is not on record. */
export async function resultFor(system: System, key: AccountKey): Promise<Pick<ActResult, 'account' | 'isDone'>> {
  const [account] = await system.store.reports.find(key, 1)
  if (account === undefined) throw new AppError('internal', `account ${key} is not on record`)
  // A conflict is about a serial; the lock comes before it.
  const isDone = ['in-step', 'foreign-lock', 'not-effective', 'conflict'].includes(account.standing)
  return { account, isDone: isDone && !(await system.store.upkeep.isAnyDue([key], system.clock.nowMs())) }
}
