import { secretReader } from '../../config/secret.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { Event } from '../../core/events/event.ts'
import {
  directoryOf,
  parseLogin,
  parseRealm,
  parseSerial,
  type AccountKey,
  type Login,
  type Realm,
  type Serial,
} from '../../core/names.ts'
import { isFull } from '../../core/source/token.ts'
import { isOpen } from '../../core/account/state.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import { startEngine } from '../../app/engine.ts'
import { recoverOnce } from '../../app/evidence/evidence.ts'
import { refuseWhereFileForbids } from './file-forbids.ts'
import type { Log } from '../../app/log.ts'
import { accountOfLogin, type AccountOfLogin } from './account-of-login.ts'
import { shownTokens } from './shown-tokens.ts'
import { refuseWithoutRights } from '../setup/needed-rights.ts'
import { newId, type System } from '../../app/system.ts'
import { manualActionTimeUs } from './manual-action-time.ts'
import { delay } from '../../ports/delay.ts'

/** Manual actions: a hold, a release. Both are events like privacyIDEA's, so the same rules apply. */

export interface ManualAction {
  readonly kind: 'hold' | 'release'
  readonly login: string
  readonly realm: string | null
  readonly reason: string
  readonly actor: string
  /** `hold` only: it ends by itself after this; null: not by itself. */
  readonly forMs: number | null
  /**
   * `release` only, mode `api`: the full fail counters of the account's tokens are reset too, also of tokens that hold
   * nothing.
   */
  readonly resetsTokens: boolean
  /** `release` only: a lock that is exactly as we would write it counts as ours, with any record. */
  readonly adopts: boolean
}

export interface ManualActionResult {
  readonly account: AccountReport
  /** The lock as the directory reports it now; `others`: locked, and not by us. */
  readonly lock: 'open' | 'ours' | 'others' | 'unknown'
  /** What was on record before the order; null: nothing. */
  readonly before: Pick<AccountReport, 'lockedByUs' | 'holds' | 'otherLock'> | null
  /**
   * A lock that is not on record as ours, and equals what we would write: it is in effect, or was adopted by this
   * order.
   */
  readonly unrecorded: 'stands' | 'adopted' | 'none'
  /** The tokens whose fail counters were to be reset. */
  readonly resetOrdered: readonly Serial[]
  /** The fail counters could not be reset: privacyIDEA refuses it. */
  readonly isResetRefused: boolean
  /** Another account that the login may mean too; null: none. */
  readonly note: string | null
  /** False when it is on record but could not be carried out yet; the account's status has the reason. */
  readonly isDone: boolean
}

const SETTLED_TIMEOUT_MS = 15_000
const SETTLED_LOOK_MS = 50

/** Fails with `usage`, `unknown-user`, `ambiguous-match`, `realm-unmapped` and what the directory may fail with. */
export async function applyManualAction(system: System, order: ManualAction, log: Log): Promise<ManualActionResult> {
  const text = parseLogin(order.login)
  const ofRealm = order.realm === null ? null : parseRealm(order.realm)
  if (text === null || (order.realm !== null && ofRealm === null)) {
    throw new AppError(
      'usage',
      `${text === null ? 'the login' : 'the realm'} is empty, too long or holds control characters`,
    )
  }
  if (order.resetsTokens && system.source === null) {
    throw new AppError('usage', '--reset-token: privacyIDEA’s API is needed for that', {
      hint: 'Configure the section privacyidea, or reset the token in privacyIDEA.',
    })
  }
  const { privacyidea } = system.settings
  if (order.resetsTokens && privacyidea !== null) {
    await refuseWithoutRights(privacyidea, secretReader(process.env), ['reset'], 'unlock --reset-token')
  }
  await recoverFirst(system, log)
  const { account: found, login, realm, note } = await findAccount(system, text, ofRealm, order.kind)
  const [before] = await system.store.reports.find(found.key, 1)
  if (order.kind === 'hold') {
    await refuseWhereRetired(system, found.key)
    const ofRecord = parseRealm(before?.realm ?? '')
    await refuseWhereFileForbids(system, [{ key: found.key, realm: ofRecord ?? realm, isLocked: true }])
  }
  const nowMs = system.clock.nowMs()
  const event: Event = {
    id: `cli:${newId(system.clock)}`,
    kind: order.kind,
    serial: null,
    login,
    realm,
    actor: order.actor,
    takenAtUs: await manualActionTimeUs(system, found.key, login),
    source: 'cli',
    reason: { code: 'manual', params: { text: order.reason } },
    untilUs: order.forMs === null ? null : (nowMs + order.forMs) * 1000,
  }
  // Asked before the order is on record: a daemon may carry it out at once.
  const isUnrecorded = order.adopts && before?.lockedByUs !== true && (await lockAt(system, found.key)) === 'as-ours'
  await system.store.inbox.take([event], [])
  const { key, dn, serials } = found
  await system.store.inbox.recordResolutions(
    [{ kind: 'resolved', event, key, dn, login, realm, attributeSerials: serials }],
    0,
  )
  if (order.adopts) {
    const { actor, reason } = order
    await system.store.records.orderAdoption(key, { actor, reason })
  }
  const resetOrdered = order.resetsTokens ? await serialsToReset(system, key, before) : []
  await system.store.snapshots.wantReset(key, resetOrdered)
  // A part that could not be done so far must not block the unlock.
  if (order.kind === 'release' && !order.resetsTokens) await system.store.snapshots.dropResets(key)
  await carryOut(system, [found.key], log, false)
  const reported = await resultFor(system, found.key)
  const state = await lockAt(system, found.key)
  const isCarried = reported.isSettled && state !== 'unknown' && isCarriedOut(order, reported.account)
  const result = { account: reported.account, isDone: reported.isDone || isCarried }
  const lock = state === 'open' || state === 'unknown' ? state : result.account.lockedByUs ? 'ours' : 'others'
  const stands = lock === 'others' && state === 'as-ours'
  const open = await system.store.findings.open()
  const isResetRefused = open.some(({ kind, subject }) => kind === 'reset-refused' && subject === key)
  return {
    ...result,
    before: before ?? null,
    lock,
    resetOrdered,
    isResetRefused,
    note,
    unrecorded: stands ? 'stands' : isUnrecorded ? 'adopted' : 'none',
  }
}

/** The tokens that hold the account, and those that are full in privacyIDEA now, or else at the last reading. */
async function serialsToReset(
  { settings, store }: System,
  key: AccountKey,
  before: AccountReport | undefined,
): Promise<readonly Serial[]> {
  const holding = (before?.holds ?? []).flatMap(({ serial }) => parseSerial(serial ?? '') ?? [])
  const shown = (await shownTokens(settings, store, new Map([[key, []]]))).of(key)
  const full = shown.filter(({ failCount, failCountMax }) => {
    return failCount !== null && failCountMax !== null && isFull(failCount, failCountMax)
  })
  return [...new Set([...holding, ...full.flatMap(({ serial }) => parseSerial(serial) ?? [])])]
}

/**
 * The account may wait for something other than the order; a reset and an adoption do not show in the account itself.
 */
function isCarriedOut({ kind, resetsTokens, adopts }: ManualAction, { lockedByUs, holds }: AccountReport): boolean {
  if (kind === 'hold') return lockedByUs && holds.some((hold) => hold.kind === 'manual')
  return !resetsTokens && !adopts && !lockedByUs && holds.length === 0
}

/**
 * Where nothing is held, the record does not track a lock by others: only a reading shows it. The order is on record,
 * with or without a reading.
 */
export async function lockAt(
  { directory }: Pick<System, 'directory'>,
  key: AccountKey,
): Promise<'open' | 'as-ours' | 'other' | 'unknown'> {
  try {
    const { lock } = await directory.observe(key, [], 0)
    return lock.state === 'as-ours' ? 'as-ours' : isOpen(lock) ? 'open' : 'other'
  } catch {
    return 'unknown'
  }
}

/** No account is locked in a retired directory. Fails with `not-ready`. */
async function refuseWhereRetired({ store, clock }: System, key: AccountKey): Promise<void> {
  const directory = directoryOf(key)
  const order = await store.guards.retirementOf(directory, clock.nowMs())
  if (order === null) return
  throw new AppError(
    'not-ready',
    `nothing is on record: directory ${directory} is retired, and nobody is locked there`,
    {
      hint: `lockstep retire ${directory} --cancel takes that order of ${order.by} back; then give the command again.`,
    },
  )
}

/** A release must be possible while the directory does not answer: then our own record names the account. */
async function findAccount(
  { settings, store, directory }: System,
  text: Login,
  realm: Realm | null,
  kind: ManualAction['kind'],
): Promise<AccountOfLogin & { readonly note: string | null }> {
  try {
    return await accountOfLogin({ settings, directory, store, isRecordEnough: kind === 'release' }, text, realm)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (kind === 'release' || !error.code.startsWith('directory-')) throw error
    const nothing = 'Nothing is on record: give the lock again once the account can be looked up.'
    const hint = error.hint === '' ? nothing : `${nothing} ${error.hint}`
    throw new AppError(error.code, error.message, { cause: error, hint })
  }
}

/**
 * Where no daemon runs, the proof in the LDIF folders comes on record before the new manual action, which may be about
 * the same lock.
 */
async function recoverFirst(system: System, log: Log): Promise<void> {
  const { processLock } = system.store
  if ((await processLock.daemon()) !== null) return
  await processLock.freeDeadLeases()
  try {
    if (await processLock.enter()) await recoverOnce(system, log)
  } finally {
    await processLock.leave()
  }
}

/**
 * Waits for the daemon to do it; without one, does it here. The caller reports the status of the accounts.
 * @param recovers false: the LDIF folders were compared with the record a moment ago
 */
export async function carryOut(system: System, keys: readonly AccountKey[], log: Log, recovers = true): Promise<void> {
  const { processLock, maintenance } = system.store
  if ((await processLock.daemon()) === null) {
    await processLock.freeDeadLeases()
    try {
      if ((await processLock.enter()) && recovers) await recoverOnce(system, log)
      await processLock.prepared()
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
  while ((await maintenance.isAnyDue(keys, system.clock.nowMs())) && system.clock.nowMs() < deadlineMs) {
    await delay(SETTLED_LOOK_MS)
  }
}

/**
 * Fails with `internal` for an account that is not on record.
 * @returns isSettled: it was processed since it was marked last
 */
export async function resultFor(
  system: System,
  key: AccountKey,
): Promise<Pick<ManualActionResult, 'account' | 'isDone'> & { readonly isSettled: boolean }> {
  const [account] = await system.store.reports.find(key, 1)
  if (account === undefined) throw new AppError('internal', `account ${key} is not on record`)
  // A conflict concerns a serial; the lock is done before it.
  const isDone = ['in-step', 'foreign-lock', 'not-effective', 'conflict'].includes(account.standing)
  const isSettled = !(await system.store.maintenance.isAnyDue([key], system.clock.nowMs()))
  return { account, isDone: isDone && isSettled, isSettled }
}
