import { marksText, type OwnMarks } from '../../core/settings/directory-form.ts'
import { directoryOf, splitAccountKey, type AccountKey, type DirectoryName } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { PendingLdif } from '../../ports/ldif.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import { carryOut } from './manual-action.ts'
import { refuseWhereFileIsDrier } from './file-forbids.ts'
import type { Log } from '../../app/log.ts'
import type { System } from '../../app/system.ts'
import { readWaitingFile } from '../../app/evidence/waiting-file.ts'

/**
 * Retires a directory: every lock and serial of ours is released as any other is, by plan, guards, ledger and LDIF,
 * while events do not count any more. Then the directory is searched for remaining marks.
 */

/** What is on record there now. */
export interface RetirePlan extends OwnMarks {
  readonly directory: DirectoryName
  /** Accounts that are processed. */
  readonly accounts: number
  /** Since when it is retired, and whether a search proved it, in milliseconds since 1970; null: it is not. */
  readonly sinceMs: number | null
  readonly provenMs: number | null
}

export interface RetireReport {
  readonly directory: DirectoryName
  /** What was on record before. */
  readonly before: OwnMarks
  /** Remaining marks of ours, the first of `leftCount`. */
  readonly left: readonly Left[]
  readonly leftCount: number
  /** Serials and locks that look the same, and that this store neither wrote nor adopted: they stay. */
  readonly others: OwnMarks
  /** Accounts that are no longer in the directory, so without marks. */
  readonly gone: number
  /** Until then a write of ours may still arrive, in milliseconds since 1970; null: none. */
  readonly mayArriveUntilMs: number | null
  readonly isProven: boolean
}

export interface Left {
  readonly dn: string
  readonly what: string
  readonly why: string
}

const PAGE = 500
/** Each waits up to 15 s for a daemon. */
const TRIES_MAX = 20
const LEFT_SHOWN_MAX = 20
const GONE = 'entry-not-found'

export async function planRetire({ store }: Pick<System, 'store'>, directory: DirectoryName): Promise<RetirePlan> {
  const marks = await store.forms.marksIn(directory)
  const accounts = (await store.retirements.accountsIn(directory)).length
  const order = (await store.retirements.all()).find((each) => each.directory === directory)
  return { directory, ...marks, accounts, sinceMs: order?.sinceMs ?? null, provenMs: order?.provenMs ?? null }
}

/**
 * May be repeated. Fails as the search does (`directory-*`), and with `not-ready` where the file has a dry run that the
 * daemon has not loaded.
 */
export async function retire(
  system: System,
  directory: DirectoryName,
  { by, reason }: { readonly by: string; readonly reason: string },
  log: Log,
): Promise<RetireReport> {
  const { store } = system
  await refuseWhereFileIsDrier(system.settings, store)
  const before = await store.forms.marksIn(directory)
  await store.retirements.order(directory, by, reason)
  const keys = await store.retirements.accountsIn(directory)
  for (let at = 0; at < keys.length; at += PAGE) await release(system, keys.slice(at, at + PAGE), log)
  const found = await search(system, directory)
  const mayArriveUntilMs = await store.retirements.mayArriveUntilMs(directory)
  const isProven = found.left.length === 0 && mayArriveUntilMs === null
  if (isProven) await store.retirements.proven(directory)
  const { left, others, gone } = found
  const shown = left.slice(0, LEFT_SHOWN_MAX)
  return { directory, before, left: shown, leftCount: left.length, others, gone, mayArriveUntilMs, isProven }
}

async function release(system: System, keys: readonly AccountKey[], log: Log): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    await carryOut(system, keys, log)
    if (!(await system.store.maintenance.isAnyDue(keys, system.clock.nowMs()))) return
  }
}

interface Found {
  readonly left: Left[]
  readonly others: { locks: number; serials: number }
  gone: number
}

async function search(system: System, directory: DirectoryName): Promise<Found> {
  const found: Found = { left: [], others: { locks: 0, serials: 0 }, gone: 0 }
  let page: ObservedState[] = []
  for await (const observed of system.directory.walkMarked(directory)) {
    page.push(observed)
    if (page.length < PAGE) continue
    await judge(system, page, found)
    page = []
  }
  await judge(system, page, found)
  const named = new Set(found.left.map(({ dn }) => dn))
  for (const folder of ['unlock', 'unregister'] as const) await searchFolder(system, directory, folder, named, found)
  return found
}

async function judge({ store }: System, page: readonly ObservedState[], found: Found): Promise<void> {
  const ours = await store.authorship.serialsAt(page.map(({ key }) => key))
  for (const { key, dn, lock, serialFormat, serialAttributeMultiValued, serialValues } of page) {
    const account = await reportOf(store, key)
    const serials = serialsIn(serialFormat, serialAttributeMultiValued, serialValues)
    const authored = ours.get(key)
    const isOwn = (each: SerialKey): boolean => authored?.has(each) === true
    const own = serials.filter((serial) => isOwn(serialKey(serial)))
    found.others.serials += serials.length - own.length
    const isLocked = lock.state === 'as-ours'
    const isOurs = isLocked && account?.lockedByUs === true
    if (isLocked && !isOurs) found.others.locks++
    if (own.length === 0 && !isOurs) continue
    const what = marksText({ locks: isOurs ? 1 : 0, serials: own.length })
    found.left.push({ dn, what, why: whyOf(account) })
  }
}

/** A waiting file of ours without a mark is left over from unfinished work. */
async function searchFolder(
  system: System,
  directory: DirectoryName,
  folder: PendingLdif['folder'],
  named: ReadonlySet<string>,
  found: Found,
): Promise<void> {
  for (const name of await system.ldif.listPending(folder)) {
    const file = await readWaitingFile(system.ldif, folder, name).catch(() => null)
    if (file === null || directoryOf(file.key) !== directory) continue
    const account = await reportOf(system.store, file.key)
    if (account?.standingCode === GONE) found.gone++
    else if (!named.has(account?.dn ?? '')) {
      found.left.push({ dn: account?.dn ?? file.key, what: `${folder}/${name}.ldif`, why: whyOf(account) })
    }
  }
}

async function reportOf(store: System['store'], key: AccountKey): Promise<AccountReport | undefined> {
  const [account] = await store.reports.find(key, 1)
  return account !== undefined && splitAccountKey(account.key)?.key === key ? account : undefined
}

function whyOf(account: AccountReport | undefined): string {
  if (account === undefined) return 'the account is not on record'
  return account.standingReason || account.standing
}
