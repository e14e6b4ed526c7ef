import { AppError } from '../../core/error.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { headerOf, writeChangeLdif } from '../../core/ldif.ts'
import { parseRealm, type AccountKey } from '../../core/names.ts'
import type { LossReview, Review, ReviewFilter, ReviewDecision } from '../../ports/store/review.ts'
import type { Store } from '../../store/store.ts'
import { carryOut } from './manual-action.ts'
import { refuseWhereFileForbids, refuseWhereFileIsDrier } from './file-forbids.ts'
import type { Log } from '../../app/log.ts'
import { accountsNamed, ambiguous } from './named-account.ts'
import { newId, type System } from '../../app/system.ts'
import { manualActionTimeUs } from './manual-action-time.ts'

/** Decisions of a person on the locks and the losses that the breakers hold back. */

/** The accounts whose locks and losses are meant. */
export interface ReviewSelection {
  /** The named accounts; null: all that the other criteria allow. */
  readonly keys: readonly AccountKey[] | null
  readonly realm: string | null
  readonly directory: string | null
  /** Null: both. */
  readonly kind: ReviewKind | null
}

export const REVIEW_KINDS = ['lock', 'loss'] as const
export type ReviewKind = (typeof REVIEW_KINDS)[number]

export interface ReviewResult {
  readonly approved: number
  readonly rejected: number
  /** Approved by this person, and a second approval is needed. */
  readonly short: number
  /** This person approved them before. */
  readonly again: number
  /** Of the named accounts: locks and losses that were approved before and are not carried out yet. */
  readonly approvedBefore: readonly Approved[]
  /** Decided, and not carried out yet. */
  readonly pending: number
  /** The same numbers, in tokens whose loss waited. */
  readonly losses: {
    readonly approved: number
    readonly dismissed: number
    readonly short: number
    readonly again: number
  }
}

/** A lock or a loss that is approved already. */
export interface Approved {
  readonly account: AccountKey
  readonly login: string | null
  readonly by: readonly string[]
}

const PAGE = 200
/** Accounts of one name at most. */
const NAMED_MAX = 10
/** The command waits for so few; with more, the work goes on in the background where a daemon runs. */
const AWAITED_MAX = 200

/**
 * The accounts that these names stand for: logins, login@realm, serials, account keys or DNs. Fails with
 * `unknown-user`.
 * @param isOrder a name must then match only one account with a waiting lock or loss: fails with `ambiguous-match`
 */
export async function accountsToReview(
  access: Pick<System, 'settings' | 'store'>,
  names: readonly string[],
  isOrder: boolean,
): Promise<{ readonly keys: readonly AccountKey[]; readonly notes: readonly string[] }> {
  const keys: AccountKey[] = []
  const notes: string[] = []
  for (const name of names) {
    const { matches, note, hint } = await accountsNamed(access, name, NAMED_MAX)
    if (matches.length === 0) {
      throw new AppError('unknown-user', `nothing is on record about ${name}`, {
        hint: hint === '' ? 'lockstep review lists what waits.' : hint,
      })
    }
    const found = matches.map((match) => match.found.key as AccountKey)
    const waiting = isOrder && found.length > 1 ? await withReviews(access.store, found) : new Set(found)
    if (isOrder && waiting.size > 1) {
      const meant = matches.filter(({ found: { key } }) => waiting.has(key as AccountKey))
      throw ambiguous(name, meant)
    }
    keys.push(...waiting)
    if (note !== null) notes.push(note)
  }
  return { keys, notes }
}

async function withReviews({ reviews, losses }: Store, keys: readonly AccountKey[]): Promise<Set<AccountKey>> {
  const all = [...(await reviews.list({ keys, limit: PAGE })), ...(await losses.list({ keys, limit: PAGE }))]
  return new Set(all.map(({ key }) => key))
}

/** Page by page, in the order of the keys. Fails with `usage`. */
export async function* reviewsOf(store: Store, selection: ReviewSelection): AsyncGenerator<readonly Review[]> {
  if (selection.kind === 'loss') return
  const filter = filterOf(selection)
  if (filter.keys !== undefined && filter.keys.length === 0) return
  for (let after: AccountKey | undefined; ;) {
    const page = await store.reviews.list({ ...filter, ...(after === undefined ? {} : { after }), limit: PAGE })
    if (page.length > 0) yield page
    after = page.at(-1)?.key
    if (after === undefined || page.length < PAGE) return
  }
}

/** As `reviewsOf`, the losses, in the order of the serials. */
export async function* lossesOf(store: Store, selection: ReviewSelection): AsyncGenerator<readonly LossReview[]> {
  if (selection.kind === 'lock') return
  const filter = filterOf(selection)
  if (filter.keys !== undefined && filter.keys.length === 0) return
  for (let after: LossReview['serial'] | undefined; ;) {
    const page = await store.losses.list({ ...filter, ...(after === undefined ? {} : { after }), limit: PAGE })
    if (page.length > 0) yield page
    after = page.at(-1)?.serial
    if (after === undefined || page.length < PAGE) return
  }
}

function filterOf({ keys, realm, directory }: ReviewSelection): Omit<ReviewFilter, 'limit' | 'after'> {
  const parsed = realm === null ? undefined : parseRealm(realm)
  if (parsed === null) throw new AppError('usage', '--realm: is no name of a realm')
  return {
    ...(parsed === undefined ? {} : { realm: parsed }),
    ...(directory === null ? {} : { directory: directory as Review['directory'] }),
    ...(keys === null ? {} : { keys }),
  }
}

/** What would be written, and what would revert it. */
export function previewOf({ change, key, login, realm, reason }: Review): { forward: string; inverse: string } {
  const facts = { atMs: change.plannedAtMs, actor: change.actor, owner: { login, realm }, account: key, change: '' }
  const header = (event: 'lock' | 'unlock') => headerOf({ ...facts, event, reason })
  return {
    forward: writeChangeLdif(change.forward, header('lock')),
    inverse: writeChangeLdif(change.inverse, header('unlock')),
  }
}

/** Decides on all that wait now, and carries it out. */
export async function decide(
  system: System,
  kind: 'approve' | 'reject',
  selection: ReviewSelection,
  decision: ReviewDecision,
  log: Log,
): Promise<ReviewResult> {
  await refuseBothKinds(system.store, kind, selection)
  const approvedBefore = selection.keys === null ? [] : await approvedIn(system.store, selection)
  const approvedKeys: AccountKey[] = []
  let [approved, rejected, short, again] = [0, 0, 0, 0]
  for await (const page of reviewsOf(system.store, selection)) {
    const waiting = page.filter(({ state }) => state === 'waiting')
    if (waiting.length === 0) continue
    if (kind === 'reject') {
      const words = await Promise.all(waiting.map((review) => releaseOf(system, review, decision)))
      const keys = await system.store.reviews.reject(words, decision)
      rejected += keys.length
      approvedKeys.push(...keys)
      continue
    }
    const accounts = waiting.map(({ key, realm }) => ({ key, realm, isLocked: true }))
    await refuseWhereFileForbids(system, accounts)
    const keys = accounts.map(({ key }) => key)
    const result = await system.store.reviews.approve(keys, decision)
    approved += result.approved.length
    short += result.short.length
    again += result.again.length
    approvedKeys.push(...result.approved)
  }
  const losses = await decideLosses(system, kind, selection, decision, approvedKeys)
  const pending = await carriedOut(system, approvedKeys, log)
  return { approved, rejected, short, again, approvedBefore, pending, losses }
}

async function approvedIn(store: Store, selection: ReviewSelection): Promise<Approved[]> {
  const found: Approved[] = []
  for (const pages of [reviewsOf(store, selection), lossesOf(store, selection)]) {
    for await (const page of pages) {
      const approved = page.filter(({ state }) => state === 'approved')
      found.push(...approved.map(({ key, login, approvedBy }) => ({ account: key, login, by: approvedBy })))
    }
  }
  return found
}

/** An order for many accounts that was meant for locks must not remove serials, nor the reverse. */
async function refuseBothKinds(store: Store, kind: 'approve' | 'reject', selection: ReviewSelection): Promise<void> {
  if (selection.keys !== null || selection.kind !== null) return
  const filter = filterOf(selection)
  const locks = await store.reviews.list({ ...filter, limit: PAGE })
  const losses = await store.losses.list({ ...filter, limit: PAGE })
  const waits = ({ state }: { readonly state: string }): boolean => state === 'waiting'
  if (!locks.some(waits) || !losses.some(waits)) return
  throw new AppError('usage', 'both locks and losses of tokens wait: nothing was decided', {
    hint: `Say which: lockstep review ${kind} … --kind lock, or --kind loss; lockstep review lists them.`,
  })
}

/** @param approvedKeys gets the accounts that are to be read anew */
async function decideLosses(
  system: System,
  kind: 'approve' | 'reject',
  selection: ReviewSelection,
  decision: ReviewDecision,
  approvedKeys: AccountKey[],
): Promise<ReviewResult['losses']> {
  const { store } = system
  let [approved, dismissed, short, again] = [0, 0, 0, 0]
  const isNamed = selection.keys !== null
  for await (const page of lossesOf(store, selection)) {
    // An order with names may change an earlier decision; `--all` covers only what waits.
    const meant = page.filter(({ state }) => state === 'waiting' || (isNamed && state === 'dismissed'))
    if (meant.length === 0) continue
    const serials = meant.map(({ serial }) => serial)
    if (kind === 'reject') dismissed += await store.losses.dismiss(serials, decision)
    else {
      const accounts = meant.map(({ key, realm }) => ({ key, realm, isLocked: false }))
      await refuseWhereFileForbids(system, accounts)
      const result = await store.losses.approve(serials, decision)
      approved += result.approved
      short += result.short
      again += result.again
      for (const key of result.keys) if (!approvedKeys.includes(key)) approvedKeys.push(key)
    }
  }
  return { approved, dismissed, short, again }
}

/** @returns how many are not carried out yet */
async function carriedOut(system: System, keys: readonly AccountKey[], log: Log): Promise<number> {
  if (keys.length === 0) return 0
  const isServed = (await system.store.processLock.daemon()) !== null
  if (isServed && keys.length > AWAITED_MAX) return keys.length
  await carryOut(system, keys, log)
  let pending = 0
  for (let at = 0; at < keys.length; at += PAGE) {
    const page = await system.store.reviews.list({ keys: keys.slice(at, at + PAGE), limit: PAGE })
    const losses = await system.store.losses.list({ keys: keys.slice(at, at + PAGE), limit: PAGE })
    const undone = [...page, ...losses].filter(({ state }) => state === 'approved').map(({ key }) => key)
    pending += new Set(undone).size
  }
  return pending
}

/** The same manual action as `lockstep unlock`: it ends the holds, and their earlier causes do not restore them. */
async function releaseOf(
  system: System,
  { key, login, realm }: Review,
  decision: ReviewDecision,
): Promise<ResolvedEvent> {
  return {
    id: `cli:${newId(system.clock)}`,
    kind: 'release',
    serial: null,
    login,
    realm,
    actor: decision.person,
    takenAtUs: await manualActionTimeUs(system, key, login),
    source: 'cli',
    reason: { code: 'manual', params: { text: decision.reason } },
    untilUs: null,
    accountKey: key,
    attributeSerials: [],
    pinnedHold: null,
  }
}

/** Starts the counts of locks and losses from zero; waiting ones are tried. @returns how many waited */
export async function resumeBreaker(
  system: System,
  kind: ReviewSelection['kind'],
  decision: ReviewDecision,
  log: Log,
): Promise<{ readonly locks: number; readonly losses: number }> {
  const { store } = system
  await refuseWhereFileIsDrier(system.settings, store)
  const locks = kind === 'loss' ? 0 : await store.reviews.resume(decision)
  const losses = kind === 'lock' ? 0 : await store.losses.resume(decision)
  if ((await store.processLock.daemon()) === null) await carryOut(system, [], log)
  return { locks, losses }
}
