import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { chartSvg } from '../../bench/chart.ts'
import { readHistory } from '../../bench/history.ts'
import { figureOf, recordFileName, type BenchRecord } from '../../bench/record.ts'
import { INFORMATION } from '../../bench/report.ts'

const RATE = { ...INFORMATION, name: 'lock rate', measured: '1,000 locks/s', bar: '>= 20 x', ratio: '25 x', pass: true }
const OLD: BenchRecord = {
  name: '0.1.0',
  date: '2026-11-24',
  machine: 'a machine',
  load: { start: 0.2, end: 0.3 },
  scale: 'full',
  rows: [RATE, { ...INFORMATION, name: 'idle <daemon>', measured: '85.2 MiB' }],
  notes: [],
}
const NEW: BenchRecord = { ...OLD, name: '0.2.0', date: '2026-12-24', rows: [{ ...RATE, measured: '500 locks/s' }] }

test.each([
  ['829 locks/s', { value: 829, unit: 'locks/s' }],
  ['1,158 us, bare 671', { value: 1158, unit: 'us' }],
  ['1.30 % of one core', { value: 1.3, unit: '% of one core' }],
  ['not measured', null],
])('the figure of a row is what it begins with: %s', (text, expected) => {
  expect(figureOf(text)).toEqual(expected)
})

test('a run is kept under the name of a release, and under nothing that leads elsewhere', () => {
  expect(['0.1.0', '1.0.0-rc.1', '../x', '', '.x', 'a/b'].map(recordFileName)).toEqual([
    '0.1.0.json',
    '1.0.0-rc.1.json',
    ...[null, null, null, null],
  ])
})

test('each measure has a panel with a bar for each release, the newest last, as long as its figure', () => {
  const svg = chartSvg([NEW, OLD])
  expect(svg.indexOf('0.1.0, 2026-11-24, load 0.2 to 0.3')).toBeLessThan(
    svg.indexOf('0.2.0, 2026-12-24, load 0.2 to 0.3'),
  )
  const widths = [...svg.matchAll(/width="(\d+)" height="18" rx="3" fill="#(?:1f6fb2|a9bccd)"/g)].map(([, width]) =>
    Number(width),
  )
  const [first = 0, second = 0] = widths
  expect(widths).toHaveLength(3)
  expect(second).toBe(first / 2)
  expect(svg).toContain('more is better; 25 x; asked for: &gt;= 20 x; reached')
  expect(svg).not.toContain('compared with')
  expect(svg).toContain('idle &lt;daemon&gt;')
})

test('what a release is compared with is a bar of its own, so that one release alone makes a chart', () => {
  const compared = { ...RATE, baseline: '50 locks/s' }
  const svg = chartSvg([{ ...OLD, rows: [compared, { ...RATE, name: 'p99', baseline: '3 x' }] }])
  expect(svg.match(/compared with, in the last run/g)).toHaveLength(1)
  expect(svg).toContain('>50 locks/s</text>')
})

test('docs/pictures/bench.svg is drawn from bench/history/ (npm run bench:chart)', () => {
  const picture = readFileSync(new URL('../../docs/pictures/bench.svg', import.meta.url), 'utf8')
  expect(readHistory().length).toBeGreaterThan(0)
  expect(picture).toBe(chartSvg(readHistory()))
})
