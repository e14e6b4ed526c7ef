import { parseLogin, parseRealm, parseSerial } from '../../../src/core/names.ts'
import { adviseBreaker, lockedAtOnce, peaks } from '../../../src/core/source/rehearsal-report.ts'
import { isWritten } from '../../../src/operations/rehearsal/rehearsal-page.ts'
import type { RehearsalReport, ReportedLock } from '../../../src/operations/rehearsal/rehearse.ts'

/** Reports as a rehearsal makes them, of logs that are hard to show. */

const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 86_400_000
/** Not at midnight: a rehearsal begins whenever it is called. */
const UNTIL = Date.UTC(2026, 10, 24, 13, 37, 21)

const LONG = 'verylongnamewithoutanyspace'.repeat(9)
const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(2)>'&`

export function lockOf(login: string, fromMs: number, change: Partial<ReportedLock> = {}): ReportedLock {
  const name = parseLogin(login)
  if (name === null) throw new Error(`no login: ${login}`)
  const fixed = { realm: parseRealm('r1'), toMs: fromMs + 10 * MINUTE, end: 'seen', isConfirmed: true } as const
  return { login: name, fromMs, serials: serials('TOTP0001'), fate: 'locked', why: '', ...fixed, ...change }
}

export function serials(...texts: readonly string[]): ReportedLock['serials'] {
  return texts.flatMap((text) => parseSerial(text) ?? [])
}

export function reportOf(
  locks: readonly ReportedLock[],
  sinceMs: number,
  untilMs: number = UNTIL,
  caveats: readonly string[] = ['Failures are counted from the first row on.', HOSTILE, `cn=${LONG},dc=example`],
): RehearsalReport {
  const sorted = locks.toSorted((a, b) => a.fromMs - b.fromMs)
  const written = sorted.filter(isWritten)
  const starts = written.map((lock) => lock.fromMs)
  return {
    version: '3.14',
    sinceMs,
    untilMs,
    zoneMs: HOUR,
    rows: 123_456,
    locks: sorted,
    rates: peaks(starts),
    lockedAtOnce: lockedAtOnce(written),
    breaker: adviseBreaker(starts),
    caveats,
  }
}

/** So many locks, evenly over the time, some of them protected, without an account, still there, or ended unseen. */
function evenly(count: number, sinceMs: number, untilMs: number): ReportedLock[] {
  return Array.from({ length: count }, (_, index) => {
    const fromMs = sinceMs + Math.floor(((index + 0.5) / count) * (untilMs - sinceMs))
    if (index % 7 === 3)
      return lockOf(`user${index}`, fromMs, { fate: 'protected', why: 'cn=admins,ou=groups,dc=example' })
    if (index % 11 === 5) return lockOf(`user${index}`, fromMs, { fate: 'no-account', why: 'unknown-user' })
    if (index % 5 === 1) return lockOf(`user${index}`, fromMs, { toMs: null, end: 'none', isConfirmed: false })
    if (index % 5 === 2) return lockOf(`user${index}`, fromMs, { toMs: fromMs + 30 * HOUR, end: 'unseen' })
    return lockOf(`user${index}`, fromMs)
  })
}

function burst(count: number, fromMs: number, withinMs: number): ReportedLock[] {
  return Array.from({ length: count }, (_, index) => lockOf(`spray${index}`, fromMs + (index / count) * withinMs))
}

function longOnes(sinceMs: number): ReportedLock[] {
  return [
    lockOf(LONG, sinceMs + HOUR, { realm: parseRealm(`realm${LONG}`), serials: serials(`T${LONG}`.slice(0, 64)) }),
    lockOf(HOSTILE, sinceMs + 2 * HOUR, { fate: 'protected', why: HOSTILE }),
    lockOf('many', sinceMs + 3 * HOUR, { serials: serials(...Array.from({ length: 40 }, (_, n) => `TOTP000${n}`)) }),
    lockOf('dn', sinceMs + 4 * HOUR, { fate: 'protected', why: `uid=${LONG},ou=people,dc=example,dc=org` }),
    lockOf('Jürgen Größenwahn 李小龍', sinceMs + 5 * HOUR, { realm: null }),
    lockOf('مستخدم', sinceMs + 6 * HOUR, { fate: 'unknown' }),
  ]
}

export const SAMPLES: Readonly<Record<string, () => RehearsalReport>> = {
  '90-days': () => reportOf(evenly(180, UNTIL - 90 * DAY, UNTIL), UNTIL - 90 * DAY),
  'newest-only': () => reportOf(burst(12, UNTIL - 40 * MINUTE, 30 * MINUTE), UNTIL - 90 * DAY),
  '1-day': () => reportOf(evenly(15, UNTIL - DAY, UNTIL), UNTIL - DAY),
  '1-hour': () => reportOf(evenly(4, UNTIL - HOUR, UNTIL), UNTIL - HOUR + 3),
  'one-lock': () => reportOf([lockOf('alice', UNTIL - 30 * HOUR)], UNTIL - 90 * DAY),
  none: () => reportOf([], UNTIL - 90 * DAY),
  'none-in-a-day': () => reportOf([], UNTIL - DAY),
  'spared-only': () =>
    reportOf([lockOf('root', UNTIL - 5 * DAY, { fate: 'protected', why: 'cn=admins' })], UNTIL - 90 * DAY),
  'huge-day': () =>
    reportOf([...evenly(80, UNTIL - 90 * DAY, UNTIL), ...burst(5_000, UNTIL - 33 * DAY, 4 * HOUR)], UNTIL - 90 * DAY),
  '400-days': () => reportOf(evenly(700, UNTIL - 400 * DAY, UNTIL), UNTIL - 400 * DAY),
  'ten-years': () => reportOf(evenly(300, UNTIL - 3650 * DAY, UNTIL), UNTIL - 3650 * DAY),
  'long-names': () => reportOf([...longOnes(UNTIL - 3 * DAY), ...evenly(9, UNTIL - 14 * DAY, UNTIL)], UNTIL - 14 * DAY),
}
