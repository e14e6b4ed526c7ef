import { expect, test } from 'vitest'
import { parseLogin, parseRealm } from '../../src/core/names.ts'
import { adviseBreaker, lockedAtOnce, peaks } from '../../src/core/rehearsal-report.ts'
import { rehearsalPage } from '../../src/daemon/rehearsal-page.ts'
import type { RehearsalReport, ReportedLock } from '../../src/daemon/rehearse.ts'

const DAY = 86_400_000
const SINCE = 20_000 * DAY

function lockOf(login: string, fromMs: number, change: Partial<ReportedLock> = {}): ReportedLock {
  const name = parseLogin(login)
  if (name === null) throw new Error(`no login: ${login}`)
  const fixed = { realm: parseRealm('r1'), toMs: fromMs + 600_000, end: 'seen', isConfirmed: true } as const
  return { login: name, fromMs, serials: [], fate: 'locked', why: '', ...fixed, ...change }
}

function reportOf(locks: readonly ReportedLock[], days = 90): RehearsalReport {
  const starts = locks.map((lock) => lock.fromMs)
  return {
    version: '3.14',
    sinceMs: SINCE,
    untilMs: SINCE + days * DAY,
    zoneMs: 3_600_000,
    rows: 1234,
    locks,
    rates: peaks(starts),
    lockedAtOnce: lockedAtOnce(locks),
    breaker: adviseBreaker(starts),
    caveats: ['<b>not bold</b>'],
  }
}

test('names and reasons from outside do nothing in the page', () => {
  const hostile = `"><script>alert(1)</script>'&`
  const page = rehearsalPage(reportOf([lockOf(hostile, SINCE + DAY, { fate: 'protected', why: '<img src=x>' })]))
  expect(page).not.toMatch(/<script|<img|<b>/)
  expect(page).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;')
  expect(page).toContain('protected: &lt;img src=x&gt;')
})

test('the page loads nothing from elsewhere and knows light and dark', () => {
  const page = rehearsalPage(reportOf([lockOf('alice', SINCE + DAY)]))
  expect(page).not.toMatch(/(?:src|href)=|url\(|@import/)
  expect(page).toContain("default-src 'none'")
  expect(page).toContain('prefers-color-scheme: dark')
  expect(page).toContain('UTC+01:00')
})

test.each([1 / 24, 1, 3, 14, 90, 365, 3650])('the chart of %d days holds every lock and fits', (days) => {
  const locks = Array.from({ length: 40 }, (_, index) =>
    lockOf(`u${index}`, SINCE + (index / 40) * days * DAY, index % 4 === 0 ? { fate: 'no-account' } : {}),
  )
  const page = rehearsalPage(reportOf(locks, days))
  const bars = [
    ...page.matchAll(/<rect class="(?:locked|spared)" x="([\d.]+)" y="([\d.]+)"[^>]*><title>(\d+)<\/title>/g),
  ]
  expect(bars.reduce((sum, bar) => sum + Number(bar[3]), 0)).toBe(40)
  for (const [, x, y] of bars) {
    expect(Number(x)).toBeLessThan(1000)
    expect(Number(y)).toBeGreaterThanOrEqual(0)
  }
  expect(page).not.toContain('NaN')
})

test('nobody locked makes a page that says so', () => {
  expect(rehearsalPage(reportOf([]))).toContain('<p>Nobody.</p>')
})
