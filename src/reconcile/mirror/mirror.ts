import { retryDelayMs, toAppError } from '../../core/error.ts'
import {
  isOurLockout,
  lockoutDurationS,
  lockoutStep,
  tokenStep,
  type ForeignLock,
  type Mirrored,
  type MirroredLockout,
  type MirroredToken,
} from '../../core/source/mirror.ts'
import { type AccountKey, type Serial } from '../../core/names.ts'
import { failureReason, GONE_LOOK_MS, type Amendment, type Conclusion } from '../../core/account/outcome.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { GuardSettings, MirrorPolicy } from '../../core/settings/settings.ts'
import { isSameUser, type Token, type UserOfSource } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { MirrorPort } from '../../ports/store/mirror.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { Claim, GuardPort, KnownOwner, SnapshotPort } from '../../ports/store/store.ts'
import { verdictOn } from '../guards.ts'

/**
 * Brings privacyIDEA in sync with somebody else's lock in the directory, for one account, after that was read. Each
 * call is on record before it is made, so that a crash leaves either nothing, or something that the next turn finds and
 * finishes. Our own lock of the account is never mirrored, and hides no lock of others.
 */
export interface MirrorPorts {
  /** As it is, with what we did there. */
  readonly source: PrivacyIdeaPort
  readonly record: MirrorPort
  readonly snapshots: Pick<SnapshotPort, 'knownOf'>
  readonly guards: GuardPort
  readonly guardSettings: Pick<GuardSettings, 'dryRun' | 'breaker'>
  readonly mode: MirrorPolicy
  readonly clock: Clock
}

/** The interval at which a release in the directory is looked for. */
const LOOK_AGAIN_MS = 30_000
/** While nothing may be written. */
const HELD_BACK_LOOK_MS = 60_000

/** The result of a reading of the directory, for the mirror to follow; null: there was none. */
export interface Observed {
  readonly foreign: ForeignLock | null
  readonly protectedBy: string | null
  readonly isRetired: boolean
}

/** One look. `whyReleased`: for the journal, why what was done in privacyIDEA is reverted. */
interface Look extends MirrorPorts {
  readonly whyReleased: string
}

/** The result for the account: when to look again, and why privacyIDEA does not follow. Never fails. */
export async function mirrored(
  claim: Claim,
  conclusion: Conclusion,
  seen: Observed | null,
  ports: MirrorPorts,
): Promise<Amendment> {
  const nowMs = ports.clock.nowMs()
  try {
    const recorded = await ports.record.of(claim.key)
    const isAnyLock = ports.mode !== 'off' && seen !== null && seen.foreign !== null
    if (recorded.length === 0 && !isAnyLock) return lookAgain(null)
    // The number of accounts that were deleted while they were locked only grows.
    if (seen === null) return lookAgain(nowMs + (conclusion.isGone === true ? GONE_LOOK_MS : LOOK_AGAIN_MS))
    const foreign = seen.protectedBy === null ? seen.foreign : null
    if (isSettled(foreign, recorded, claim, ports)) return lookAgain(nextLookMs(foreign, nowMs))
    if ((await verdictOn(null, claim, ports)).kind !== 'go') return lookAgain(nowMs + HELD_BACK_LOOK_MS)
    const isAll = await follow(claim.key, foreign, recorded, { ...ports, whyReleased: whyReleased(seen) })
    if (!isAll) return atBreaker(nowMs)
    const after = await ports.record.of(claim.key)
    return lookAgain(after.length === 0 ? null : nextLookMs(foreign, nowMs))
  } catch (thrown) {
    return notFollowed(claim, conclusion, thrown, ports)
  }
}

function whyReleased({ foreign, protectedBy, isRetired }: Observed): string {
  if (isRetired) return 'the directory is retired'
  if (foreign === null) return 'the directory released the account'
  return protectedBy === null ? 'policy.mirrorDirectoryLocks was changed' : 'the account is protected'
}

/** Between two readings of privacyIDEA only the directory is read: it decides when this ends. */
function isSettled(
  foreign: ForeignLock | null,
  recorded: readonly Mirrored[],
  claim: Claim,
  { mode, clock }: MirrorPorts,
): boolean {
  if (foreign === null || claim.isHinted || recorded.length === 0) return false
  const nowUs = clock.nowMs() * 1000
  return recorded.every((each) => {
    if (each.state === 'open' || modeOf(each) !== mode) return false
    return each.kind === 'token' || each.state === 'left' || lockoutStep(foreign, each, 'ours', nowUs) === 'nothing'
  })
}

function modeOf({ kind }: Mirrored): MirrorPolicy {
  return kind === 'lockout' ? 'user-lock' : 'disable-tokens'
}

/** @returns false where the breaker held a part back */
async function follow(
  key: AccountKey,
  foreign: ForeignLock | null,
  recorded: readonly Mirrored[],
  ports: Look,
): Promise<boolean> {
  const known = await ports.snapshots.knownOf(key)
  const users = [...userOf(known), ...known.others]
  const lockouts = recorded.filter((each) => each.kind === 'lockout')
  const tokens = recorded.filter((each) => each.kind === 'token')
  const forUsers = ports.mode === 'user-lock' ? foreign : null
  const isForTokens = ports.mode === 'disable-tokens' && foreign !== null
  let isAll = true
  if (forUsers !== null || lockouts.length > 0) isAll = await followUsers(key, forUsers, users, lockouts, ports)
  if (isForTokens || tokens.length > 0) {
    isAll = (await followTokens(key, isForTokens, users, tokens, ports)) && isAll
  }
  return isAll
}

function userOf({ owner }: KnownOwner): UserOfSource[] {
  const { login, realm, resolver, userId } = owner
  if (login === null || realm === null || resolver === null || userId === null) return []
  return [{ login, realm, resolver, userId }]
}

async function followUsers(
  key: AccountKey,
  foreign: ForeignLock | null,
  users: readonly UserOfSource[],
  recorded: readonly MirroredLockout[],
  ports: Look,
): Promise<boolean> {
  let isAll = true
  const former = recorded.map(({ user }) => user).filter((user) => !users.some((each) => isSameUser(each, user)))
  for (const user of users) {
    const row = recorded.find((each) => isSameUser(each.user, user)) ?? null
    isAll = (await followUser(key, foreign, user, row, ports)) && isAll
  }
  for (const user of former) {
    const row = recorded.find((each) => each.user === user) ?? null
    const why = foreign === null ? ports.whyReleased : 'the account is no longer theirs'
    await followUser(key, null, user, row, { ...ports, whyReleased: why })
  }
  return isAll
}

async function followUser(
  key: AccountKey,
  foreign: ForeignLock | null,
  user: UserOfSource,
  recorded: MirroredLockout | null,
  { source, record, guardSettings, clock, whyReleased: why }: Look,
): Promise<boolean> {
  if (foreign === null && recorded === null) return true
  const found = await source.userLockout(user)
  const nowUs = clock.nowMs() * 1000
  const status =
    found === null ? 'none' : recorded !== null && isOurLockout(found, recorded) ? 'ours' : ('others' as const)
  switch (lockoutStep(foreign, recorded, status, nowUs)) {
    case 'set': {
      if (foreign === null) return true
      // Its length identifies ours: the old one is released before the new one is on record.
      if (status === 'ours' && recorded !== null) {
        await record.begin(key, { ...recorded, state: 'open' }, null)
        await source.releaseUserLockout(user)
      }
      const durationS = lockoutDurationS(foreign, nowUs, clock.random())
      const next = { kind: 'lockout', user, state: 'open', durationS, untilUs: nowUs + durationS * 1_000_000 } as const
      if (!(await record.begin(key, next, guardSettings.breaker))) return false
      await source.setUserLockout(user, durationS)
      await record.end(key, next, 'set', 'the account is locked in the directory by somebody else')
      return true
    }
    case 'confirm':
      if (recorded !== null) await record.end(key, recorded, 'set', 'found after an interruption')
      return true
    case 'leave':
      if (recorded !== null) await record.end(key, recorded, 'left', 'somebody released it in privacyIDEA')
      return true
    case 'release':
      if (recorded === null) return true
      await record.begin(key, { ...recorded, state: 'open' }, null)
      await source.releaseUserLockout(user)
      await record.end(key, recorded, 'gone', why)
      return true
    case 'forget':
      if (recorded !== null) await record.end(key, recorded, 'gone', 'nothing of ours is in privacyIDEA')
      return true
    case 'nothing':
      return true
  }
}

async function followTokens(
  key: AccountKey,
  isLocked: boolean,
  users: readonly UserOfSource[],
  recorded: readonly MirroredToken[],
  ports: Look,
): Promise<boolean> {
  const owned = new Map<Serial, Token>()
  if (isLocked) {
    for (const user of users) {
      for (const token of await tokensOf(user, ports.source)) owned.set(token.serial, token)
    }
  }
  const others = recorded.filter(({ serial }) => !owned.has(serial)).map(({ serial }) => serial)
  const found = others.length === 0 ? [] : await ports.source.tokensBySerial(others)
  let isAll = true
  for (const token of owned.values()) {
    const row = recorded.find(({ serial }) => serial === token.serial) ?? null
    isAll = (await followToken(key, true, token.serial, token, row, ports)) && isAll
  }
  for (const serial of others) {
    const token = found.find((each) => each.serial === serial) ?? null
    // The owner is not known now: what was done stays.
    if (isLocked && token !== null && token.owner.kind !== 'none' && token.owner.kind !== 'user') continue
    const row = recorded.find((each) => each.serial === serial) ?? null
    const why = isLocked ? 'the token is no longer of this account' : ports.whyReleased
    await followToken(key, false, serial, token, row, { ...ports, whyReleased: why })
  }
  return isAll
}

async function tokensOf(user: UserOfSource, source: PrivacyIdeaPort): Promise<readonly Token[]> {
  try {
    return await source.tokensOfOwner(user)
  } catch (thrown) {
    if (toAppError(thrown).code === 'unknown-user') return []
    throw thrown
  }
}

async function followToken(
  key: AccountKey,
  isLocked: boolean,
  serial: Serial,
  token: Token | null,
  recorded: MirroredToken | null,
  { source, record, guardSettings, whyReleased: why }: Look,
): Promise<boolean> {
  const open = { kind: 'token', serial, state: 'open' } as const
  switch (tokenStep(isLocked, recorded?.state ?? null, token)) {
    case 'disable':
      if (!(await record.begin(key, open, guardSettings.breaker))) return false
      await source.disableToken(serial)
      await record.end(key, open, 'set', 'the account is locked in the directory by somebody else')
      return true
    case 'confirm':
      await record.end(key, open, 'set', 'found after an interruption')
      return true
    case 'leave':
      await record.end(key, open, 'left', 'somebody enabled it in privacyIDEA')
      return true
    case 'enable':
      await record.begin(key, open, null)
      await source.enableToken(serial)
      await record.end(key, open, 'gone', isLocked ? 'it is enabled' : why)
      return true
    case 'forget':
      await record.end(key, open, 'gone', 'nothing of ours is in privacyIDEA')
      return true
    case 'nothing':
      return true
  }
}

function nextLookMs(foreign: ForeignLock | null, nowMs: number): number {
  const untilUs = foreign === null ? null : foreign.untilUs
  const endMs = untilUs === null ? Infinity : Math.ceil(untilUs / 1000) + 1
  return Math.max(nowMs + 1, Math.min(nowMs + LOOK_AGAIN_MS, endMs))
}

function lookAgain(againAtMs: number | null): Amendment {
  return { againAtMs, isUnread: false, instead: null, beside: null }
}

function atBreaker(nowMs: number): Amendment {
  const reason: Reason = { code: 'mirror-held-back', params: {} }
  const instead = { standing: 'breaker', reason, errorCode: null } as const
  return { ...lookAgain(nowMs + HELD_BACK_LOOK_MS), instead, beside: reason }
}

/** It is retried, with a fresh reading of privacyIDEA before it. */
function notFollowed(
  claim: Claim,
  { standing: status }: Conclusion,
  thrown: unknown,
  { clock }: MirrorPorts,
): Amendment {
  const error = toAppError(thrown)
  const reason = failureReason('mirror-failed', error)
  const delayMs = status === 'in-step' ? retryDelayMs(error.code, claim.attempts, clock.random()) : LOOK_AGAIN_MS
  const instead = { standing: 'failed', reason, errorCode: error.code } as const
  return { againAtMs: clock.nowMs() + delayMs, isUnread: true, instead, beside: reason }
}
