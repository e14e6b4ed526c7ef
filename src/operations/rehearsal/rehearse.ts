import { counted } from '../../core/format/counted.ts'
import { AppError, toAppError } from '../../core/error.ts'
import { parseLogin, parseRealm, parseSerial, type Login, type Realm } from '../../core/names.ts'
import { newRehearsal, type AuditRow, type KnownToken, type RehearsedLock } from '../../core/source/rehearsal.ts'
import {
  adviseBreaker,
  lockedAtOnce,
  peaks,
  type BreakerAdvice,
  type Peak,
  type RateName,
} from '../../core/source/rehearsal-report.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { Token } from '../../core/source/token.ts'
import { openDirectories } from '../../directory/open-directories.ts'
import { systemClock } from '../../ports/clock.ts'
import type { DirectoryPort } from '../../ports/directory.ts'
import type { AuditRow as SourceRow, PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { openPrivacyIdea } from '../../privacyidea/open-privacyidea.ts'
import { isAtLeast } from '../../privacyidea/setup/policies.ts'

/** `lockstep rehearse`: what Lockstep would have done, by privacyIDEA's audit log. Writes nothing. */

const FAILURES_MAX_DEFAULT = 10
const LOCKS_MAX = 200_000
const TRACKED_MAX = 2_000_000
const LOOKUPS_MAX = 20_000
const LOOKUPS_AT_ONCE = 8
/** Time zones differ by quarters of an hour; a row that is this far from one does not determine the zone. */
const ZONE_STEP_MS = 900_000
const ZONE_SLACK_MS = 120_000

export interface RehearsalRequest {
  readonly sinceMs: number
  readonly onStep: (text: string) => void
}

/** The status of an account in the directory: whether it would have been locked at all. */
export type AccountFate = 'locked' | 'protected' | 'no-account' | 'unknown'

export interface ReportedLock extends RehearsedLock {
  readonly fate: AccountFate
  /** Why it is protected, or what was found instead; '' otherwise. */
  readonly why: string
}

/** All times are in milliseconds of privacyIDEA's local time, as if it were UTC; `zoneMs` is the difference to UTC. */
export interface RehearsalReport {
  readonly version: string
  readonly sinceMs: number
  readonly untilMs: number
  readonly zoneMs: number | null
  readonly rows: number
  readonly locks: readonly ReportedLock[]
  readonly rates: Readonly<Record<RateName, Peak>>
  readonly lockedAtOnce: Peak
  readonly breaker: BreakerAdvice
  /** Limits of this result, a sentence each. */
  readonly caveats: readonly string[]
}

/** Fails as privacyIDEA's port does, with `usage` without a section `privacyidea`, and with `limit-exceeded`. */
export async function rehearse(
  settings: Settings,
  readSecret: SecretReader,
  request: RehearsalRequest,
): Promise<RehearsalReport> {
  if (settings.privacyidea === null) {
    const hint = 'Write privacyidea with url, user and passwordFile; the account needs the right auditlog.'
    throw new AppError(
      'usage',
      'a rehearsal reads the audit log from privacyIDEA, and the section privacyidea is missing',
      { hint },
    )
  }
  await using source = openPrivacyIdea(settings.privacyidea, readSecret, systemClock)
  const { text: version } = await source.version()
  const caveats: string[] = []
  const known = await knownTokens(source, request, caveats)
  const { lockWhen } = settings.policy
  const tellsFull = isAtLeast(version, 3, 12, 1)
  if (!tellsFull) caveats.push(SILENT_WHEN_FULL)
  const options = {
    lockWhen,
    tellsFull,
    failuresMaxDefault: FAILURES_MAX_DEFAULT,
    locksMax: LOCKS_MAX,
    trackedMax: TRACKED_MAX,
  }
  const rehearsal = newRehearsal(known, options)
  const nowMs = systemClock.nowMs()
  const read = await replay(source, request, (row) => rehearsal.take(row))
  const zoneMs = zoneOf(read.lastMs, systemClock.nowMs())
  if (read.rows > 0 && zoneMs === null) caveats.push('The time zone of the log could not be determined.')
  const untilMs = nowMs + (zoneMs ?? 0)
  await using directory = openDirectories(settings, systemClock)
  const locks = await withFates(directory, rehearsal.finish(), request, caveats)
  const startsMs = locks.filter((lock) => lock.fate === 'locked' || lock.fate === 'unknown').map((lock) => lock.fromMs)
  return {
    version,
    sinceMs: untilMs - request.sinceMs,
    untilMs,
    zoneMs,
    rows: read.rows,
    locks,
    rates: peaks(startsMs),
    lockedAtOnce: lockedAtOnce(locks.filter((lock) => lock.fate === 'locked' || lock.fate === 'unknown')),
    breaker: adviseBreaker(startsMs),
    caveats: [...caveats, ...BLIND_SPOTS],
  }
}

const SILENT_WHEN_FULL =
  'Before 3.12.1 an attempt on a full token looks like any other failure: few locks are confirmed, and none shows that its clear timeout ended it.'

/** Facts that no audit log contains. */
const BLIND_SPOTS: readonly string[] = [
  'The log never shows a fail counter: failures are counted from its first row on. A lock marked "counted" was not confirmed by a later attempt.',
  'A failure without a serial (a wrong PIN, or several tokens of one user) counts on all tokens of the user, so that a lock may come out too early.',
  'The end of a lock by the clear timeout is in no row: it shows at the next attempt, or not at all.',
  'User lockouts of 3.14, changes by pi-manage or SQL, and actions of event handlers are not in it.',
  "Tokens' owners and limits are those of today, where no row of the log changed them.",
]

/** The owners of the tokens, and how many failures the tokens take. Without the right to see them much is assumed. */
async function knownTokens(
  source: PrivacyIdeaPort,
  request: RehearsalRequest,
  caveats: string[],
): Promise<KnownToken[]> {
  const known: KnownToken[] = []
  try {
    for await (const { tokens, count } of source.walkTokens()) {
      for (const token of tokens) known.push(knownOf(token))
      request.onStep(`${known.length} of ${counted(count, 'token')} read`)
      if (known.length > TRACKED_MAX) break
    }
  } catch (thrown) {
    const error = toAppError(thrown)
    if (!['source-not-permitted', 'source-unproven', 'source-resolver'].includes(error.code)) throw thrown
    caveats.push(
      `The tokens of today could not all be read (${error.message}): ${FAILURES_MAX_DEFAULT} failures are assumed, and owners are known from the log alone.`,
    )
  }
  return known
}

function knownOf(token: Token): KnownToken {
  const { serial, owner, failCountMax, isFull } = token
  const isUser = owner.kind === 'user'
  return {
    serial,
    login: isUser ? owner.login : null,
    realm: isUser ? owner.realm : null,
    failuresMax: failCountMax,
    isFull,
  }
}

async function replay(
  source: PrivacyIdeaPort,
  request: RehearsalRequest,
  take: (row: AuditRow) => void,
): Promise<{ rows: number; lastMs: number }> {
  let rows = 0
  let lastMs = Number.NaN
  for await (const page of source.auditRows({ sinceMs: request.sinceMs, afterNumber: 0 })) {
    for (const row of page) {
      const read = auditRowOf(row)
      lastMs = read.atMs
      take(read)
    }
    rows += page.length
    request.onStep(`${counted(rows, 'row')} of the audit log read`)
  }
  return { rows, lastMs }
}

/** An invalid name is left out: the row then has less information, and nothing wrong. */
function auditRowOf(row: SourceRow): AuditRow {
  return {
    atMs: localMs(row.date),
    action: row.action,
    isSuccess: row.isSuccess,
    authentication: row.authentication,
    serials: row.serial.split(',').flatMap((text) => parseSerial(text.trim()) ?? []),
    login: parseLogin(row.user),
    realm: parseRealm(row.realm),
    detail: row.detail,
    info: row.info,
  }
}

/** @param date `2026-11-24T13:36:19.968144`, without a zone */
function localMs(date: string): number {
  const ms = Date.parse(`${date.replace(/Z$/, '')}Z`)
  if (!Number.isNaN(ms)) return ms
  throw new AppError('source-answer', 'privacyIDEA: a row of the audit log has no date', {
    hint: 'Is it privacyIDEA 3.11 to 3.14 that answers there?',
  })
}

/** The newest row is of our own request, made a moment ago: its offset is privacyIDEA's time zone. */
function zoneOf(lastMs: number, nowMs: number): number | null {
  const zoneMs = Math.round((lastMs - nowMs) / ZONE_STEP_MS) * ZONE_STEP_MS
  return Math.abs(lastMs - nowMs - zoneMs) <= ZONE_SLACK_MS ? zoneMs : null
}

interface Fate {
  readonly fate: AccountFate
  readonly why: string
}

async function withFates(
  directory: DirectoryPort,
  locks: readonly RehearsedLock[],
  request: RehearsalRequest,
  caveats: string[],
): Promise<readonly ReportedLock[]> {
  const keyOf = (lock: Pick<RehearsedLock, 'login' | 'realm'>): string => `${lock.realm ?? ''}\n${lock.login}`
  const users = [...new Map(locks.map((lock) => [keyOf(lock), lock])).entries()]
  const fates = new Map<string, Fate>()
  const asked = users.slice(0, LOOKUPS_MAX)
  if (asked.length < users.length)
    caveats.push(`Only the first ${LOOKUPS_MAX} accounts were looked up in the directory.`)
  const next = asked.values()
  let failure: AppError | null = null
  const lookUp = async (): Promise<void> => {
    for (const [key, { login, realm }] of next) {
      if (failure !== null) return
      try {
        fates.set(key, await fateOf(directory, login, realm))
      } catch (thrown) {
        failure = toAppError(thrown)
      }
      request.onStep(`${fates.size} of ${counted(asked.length, 'account')} looked up`)
    }
  }
  await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, lookUp))
  const broken = failure as AppError | null
  if (broken !== null)
    caveats.push(`Not every account was looked up, so that some may be protected: ${broken.message}.`)
  return locks.map((lock) => ({ ...lock, ...(fates.get(keyOf(lock)) ?? { fate: 'unknown', why: '' }) }))
}

/** Fails where the directory does not answer: then nothing is known. */
async function fateOf(directory: DirectoryPort, login: Login, realm: Realm | null): Promise<Fate> {
  try {
    const { key } = await directory.findByLogin(login, realm)
    const { protectedBy, protectionUnread } = await directory.observe(key, [], 1000)
    if (protectionUnread !== undefined) return { fate: 'unknown', why: protectionUnread.reason }
    return protectedBy === null ? { fate: 'locked', why: '' } : { fate: 'protected', why: protectedBy }
  } catch (thrown) {
    const error = toAppError(thrown)
    const isNone = ['unknown-user', 'ambiguous-match', 'realm-unmapped', 'entry-not-found'].includes(error.code)
    if (isNone) return { fate: 'no-account', why: error.code }
    throw error
  }
}
