import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rehearsalJson } from '../../../src/cli/texts/rehearsal-json.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { adviseBreaker, breakerLines } from '../../../src/core/source/rehearsal-report.ts'
import { durationText, rehearsalPage } from '../../../src/operations/rehearsal/rehearsal-page.ts'
import { timeBins, timeTicks } from '../../../src/operations/rehearsal/rehearsal-time.ts'
import { documentIn } from '../../support/json-contract.ts'
import { lockOf, reportOf, SAMPLES } from '../../e2e/rehearsal/rehearsal-samples.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const SINCE = Date.UTC(2026, 7, 26, 13, 37)
const CONFIG = `directories:
  corp:
    type: openldap
    urls: [ldaps://ldap.example.org]
    bindDn: cn=lockstep,dc=example,dc=org
    bindPasswordFile: /etc/lockstep/ldap-password
    base: ou=people,dc=example,dc=org
`

/** The texts of a page, without its markup and style. */
function textOf(page: string): string {
  return page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
}

function pageOf(sample: string): string {
  return rehearsalPage(SAMPLES[sample]?.() ?? reportOf([], SINCE))
}

test('names and reasons from outside do nothing in the page', () => {
  const hostile = `"><script>alert(1)</script>'&`
  const locks = [lockOf(hostile, SINCE + DAY, { fate: 'protected', why: '<img src=x>' })]
  const page = rehearsalPage(reportOf(locks, SINCE, SINCE + 90 * DAY, ['<b>not bold</b>']))
  expect(page).not.toMatch(/<script|<img|<b>/)
  expect(page).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;')
  expect(page).toContain('protected: &lt;img src=x&gt;')
})

test('what cannot be seen, or turns a text around, shows as a question mark', () => {
  const page = rehearsalPage(reportOf([lockOf('a\u202eb\nc\u2066d', SINCE + DAY)], SINCE, SINCE + DAY * 2))
  expect(page).toContain('>a?b?c?d<')
})

test('the page loads nothing from elsewhere and knows light and dark', () => {
  const page = rehearsalPage(reportOf([lockOf('alice', SINCE + DAY)], SINCE, SINCE + 90 * DAY, []))
  expect(page).not.toMatch(/(?:src|href)=|url\(|@import|https?:/)
  expect(page).toContain("default-src 'none'")
  expect(page).toContain('prefers-color-scheme: dark')
  expect(page).toContain('UTC+01:00')
})

test.each([1 / 24, 1, 3, 14, 90, 365, 3650])('the chart of %d days holds every lock, however wide it is', (days) => {
  const locks = Array.from({ length: 40 }, (_, index) =>
    lockOf(`u${index}`, SINCE + (index / 40) * days * DAY, index % 4 === 0 ? { fate: 'no-account' } : {}),
  )
  const page = rehearsalPage(reportOf(locks, SINCE, SINCE + days * DAY))
  for (const width of ['narrow', 'wide']) {
    const svg = new RegExp(`aria-labelledby="locks-${width}-title".*?</svg>`, 's').exec(page)?.[0] ?? ''
    const bars = [...svg.matchAll(/<rect class="(?:locked|spared)"[^>]* data-count="(\d+)"/g)]
    expect(bars.reduce((sum, bar) => sum + Number(bar[1]), 0)).toBe(40)
  }
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

describe('durations are for people', () => {
  test.each(Object.keys(SAMPLES))('of %s: no hour as 60 minutes, no day as 1440', (sample) => {
    expect(textOf(pageOf(sample))).not.toMatch(/\b(?:60|1440) ?m(?:in)?\b|\.0 [hd]\b/)
  })

  test.each([
    [40_000, '40 s'],
    [600_000, '10 min'],
    [3_590_000, '1 h'],
    [HOUR, '1 h'],
    [9_000_000, '2.5 h'],
    [30 * HOUR, '30 h'],
    [3 * DAY, '3 d'],
  ])('a lock of %i ms lasted %s', (ms, text) => {
    expect(durationText({ fromMs: SINCE, toMs: SINCE + ms })).toBe(text)
  })
})

test('the breaker as it can be copied is what the configuration takes', () => {
  const starts = Array.from({ length: 300 }, (_, index) => SINCE + index * 4 * HOUR)
  const advice = adviseBreaker(starts)
  const { breaker } = parseConfig(`${CONFIG}${breakerLines(advice)}\n`, '/x.yaml').settings.guards
  expect(breaker?.limits.map(({ max, perMs }) => [max, perMs])).toEqual(
    [advice, ...advice.limits].map(({ locksMax, perMs }) => [{ locks: locksMax }, perMs]),
  )
  const page = rehearsalPage(
    reportOf(
      starts.map((ms, index) => lockOf(`u${index}`, ms)),
      SINCE,
      SINCE + 50 * DAY,
    ),
  )
  expect(page).toContain(`<pre>${breakerLines(advice)}</pre>`)
})

describe('what the page says where there is little', () => {
  test('nobody locked: it says so, of which time, and draws nothing', () => {
    const page = pageOf('none-in-a-day')
    expect(textOf(page)).toContain(
      'No token was full from 2026-11-23 13:37 to 2026-11-24 13:37 : nobody would have been',
    )
    expect(page).toContain('<p>Nobody.</p>')
    expect(page).toContain('this is the smallest breaker')
    expect(page).not.toContain('<svg')
  })

  test('only protected accounts: nobody would have been locked, and the chart shows them', () => {
    const page = pageOf('spared-only')
    expect(textOf(page)).toContain('Nobody would have been locked')
    expect(page).toContain('<svg')
  })

  test('one day: hours on the axis, and the breaker says that it rests on few days', () => {
    const page = pageOf('1-day')
    expect(page).toContain('Locks for each hour')
    expect(page).toContain('>18:00</span>')
    expect(page).toContain('>24 Nov</span>')
    expect(textOf(page)).toContain(
      'Only 2026-11-23 and 2026-11-24 have locks: 1 within 10 min. The limits rest on these days',
    )
    expect(textOf(pageOf('one-lock'))).toContain(
      'Only 2026-11-23 has locks: 1 within 10 min. The limits rest on this day',
    )
    expect(textOf(pageOf('one-lock'))).toContain('1 lock')
  })

  test('one hour: no window is longer than what was replayed', () => {
    const page = pageOf('1-hour')
    expect(page).toContain('limit 6 in 1 h')
    expect(page).not.toContain(' in 24 h')
    expect(page).not.toContain('>a day<')
  })
})

test('a day of thousands is cut and named, so that the days of one lock are seen beside it', () => {
  const page = pageOf('huge-day')
  expect(page).toContain('class="gap"')
  expect(page).toMatch(/Higher than drawn: 2026-10-22 \(5,\d{3}\)/)
  const heights = [...page.matchAll(/data-count="1"><|height="([\d.]+)" data-count="1"/g)].map((each) =>
    Number(each[1]),
  )
  expect(Math.min(...heights)).toBeGreaterThan(4)
})

test('each limit is a line at its height, with its text', () => {
  const page = pageOf('90-days')
  for (const text of ['limit 5 in 10 min', 'limit 5 in 1 h', 'limit 5 in 24 h'])
    expect(page).toContain(`>${text}</span>`)
  const figure = /aria-labelledby="within-600000-title".*?<\/figure>/s.exec(page)?.[0] ?? ''
  const [, y] = /<line class="limit"[^>]* y1="([\d.]+)"/.exec(figure) ?? []
  const tops = [...figure.matchAll(/height="([\d.]+)" data-count="(\d+)"/g)].map(
    (bar) => Number(bar[1]) / Number(bar[2]),
  )
  expect((100 - Number(y)) / 5).toBeCloseTo(tops[0] ?? 0, 1)
})

test('stretches of time are never more than asked for, have no gap, and hold all of the time', () => {
  const spans = fc.record({
    since: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    ms: fc.integer({ min: 1000, max: 3660 * DAY }),
    max: fc.integer({ min: 12, max: 120 }),
  })
  fc.assert(
    fc.property(spans, ({ since, ms, max }) => {
      const { edgesMs } = timeBins(since, since + ms, max)
      expect(edgesMs.length - 1).toBeLessThanOrEqual(max)
      expect(edgesMs[0]).toBeLessThanOrEqual(since)
      expect(edgesMs.at(-1)).toBeGreaterThanOrEqual(since + ms)
      expect(edgesMs).toEqual([...new Set(edgesMs)].toSorted((a, b) => a - b))
      const ticks = timeTicks(since, since + ms, 4)
      expect(ticks.length).toBeLessThanOrEqual(4)
      expect(new Set(ticks.map(({ text }) => text)).size).toBe(ticks.length)
    }),
  )
})

test.each(Object.keys(SAMPLES))(
  'the JSON of %s is what docs/reference/json.md promises, with durations as they are written',
  (sample) => {
    const data = rehearsalJson(SAMPLES[sample]?.() ?? reportOf([], SINCE))
    documentIn(JSON.stringify({ ok: true, data }), ['rehearse'], 0)
    expect(JSON.stringify(data)).not.toMatch(/"(?:60|1440)m"/)
  },
)

test('a burst over midnight is a stopped day, with the window that it exceeded', () => {
  const midnight = Date.UTC(2026, 8, 10)
  const burst = Array.from({ length: 8 }, (_, index) => lockOf(`b${index}`, midnight + (index - 4) * 60_000))
  const usual = Array.from({ length: 60 }, (_, index) => lockOf(`u${index}`, SINCE + index * DAY))
  const report = reportOf([...usual, ...burst], SINCE, SINCE + 60 * DAY)
  expect(rehearsalJson(report)).toMatchObject({
    breaker: { maxLocks: 5, stopped: [{ day: '2026-09-10', count: 8, exceeded: { count: 8, per: '10m' } }] },
  })
  expect(textOf(rehearsalPage(report))).toContain('It would have held locks back on 2026-09-10 (8 in 10 min)')
})
