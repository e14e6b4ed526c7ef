import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { breakerLines } from '../../../src/core/source/rehearsal-report.ts'
import { isWritten, rehearsalPage } from '../../../src/operations/rehearsal/rehearsal-page.ts'
import type { RehearsalReport } from '../../../src/operations/rehearsal/rehearse.ts'
import { SAMPLES } from './rehearsal-samples.ts'

/**
 * The rehearsal's page as a browser shows it, opened as the file that the command writes: of logs that are hard to show, at
 * each width from a phone to a desk, light and dark. With LOCKSTEP_SCREENSHOTS=FOLDER pictures are left there, to look at.
 */

const LAYOUT = readFileSync(new URL('look-at-layout.js', import.meta.url), 'utf8')
const LOOK = readFileSync(new URL('../mail/look-at-page.js', import.meta.url), 'utf8')
const CHROMIUM = '/usr/bin/chromium'
const PICTURES = process.env['LOCKSTEP_SCREENSHOTS'] ?? ''
const WIDTHS = Array.from({ length: 27 }, (_, index) => 360 + index * 40)
const PICTURE_WIDTHS = [360, 768, 1400]
const SCHEMES = ['light', 'dark'] as const
/** WCAG 2.2, 1.4.3 and 1.4.11. */
const TEXT_CONTRAST_MIN = 4.5
const SHAPE_CONTRAST_MIN = 3

/** What look-at-layout.js gives. */
interface Layout {
  readonly found: readonly string[]
  readonly charts: readonly {
    readonly id: string
    readonly sum: number
    readonly bars: number
    readonly width: number
    readonly limit: string | null
  }[]
}

/** What look-at-page.js gives. */
interface Look {
  readonly backgroundLuminance: number
  readonly low: readonly { readonly text: string; readonly contrast: number }[]
  readonly shapes: readonly { readonly name: string; readonly contrast: number }[]
}

let stack: AsyncDisposableStack
let browser: Browser
let dir: string

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  dir = await mkdtemp(join(tmpdir(), 'lockstep-page-'))
  stack.defer(() => rm(dir, { recursive: true }))
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }).catch((error: unknown) => {
    throw new Error('install it with: apt-get install -y --no-install-recommends chromium', { cause: error })
  })
  stack.defer(() => browser.close())
  if (PICTURES !== '') await mkdir(PICTURES, { recursive: true })
})
afterAll(() => stack.disposeAsync())

function reportOf(sample: string): RehearsalReport {
  const make = SAMPLES[sample]
  if (make === undefined) throw new Error(`no sample ${sample}`)
  return make()
}

interface Opened extends AsyncDisposable {
  readonly page: Page
  /** What the page asked for, and what the browser complained about. */
  readonly noise: readonly string[]
}

async function open(sample: string, colorScheme: 'light' | 'dark' = 'light', width = 360): Promise<Opened> {
  const file = join(dir, `${sample}.html`)
  await writeFile(file, rehearsalPage(reportOf(sample)))
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
  const page = await context.newPage()
  const noise: string[] = []
  const url = pathToFileURL(file).href
  page.on('request', (request) => {
    if (request.url() !== url) noise.push(request.url())
  })
  page.on('console', (message) => noise.push(message.text()))
  page.on('pageerror', (error) => noise.push(error.message))
  await page.goto(url)
  return { page, noise, [Symbol.asyncDispose]: () => context.close() }
}

const unfold = (page: Page): Promise<unknown> =>
  page.evaluate('for (const each of document.querySelectorAll("details")) each.open = true')

for (const sample of Object.keys(SAMPLES)) {
  describe(`a rehearsal: ${sample}`, () => {
    const { locks } = reportOf(sample)

    test.each(SCHEMES)('%s: nothing lies aside, is cut or covered, at any width', async (scheme) => {
      await using opened = await open(sample, scheme)
      const { page, noise } = opened
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 })
        const { found, charts } = await page.evaluate<Layout>(LAYOUT)
        expect(found, `${sample} at ${width}`).toEqual([])
        const main = charts.filter(({ id }) => id.startsWith('locks-'))
        expect(
          main.map(({ sum }) => sum),
          `${sample} at ${width}`,
        ).toEqual(locks.length === 0 ? [] : [locks.length])
        const limits = charts.filter(({ id }) => id.startsWith('within-'))
        for (const { limit } of limits) expect(limit).toMatch(/^limit [\d,]+ in (?:10 min|1 h|24 h)$/)
        expect(limits.length > 0).toBe(locks.some(isWritten))
        if (PICTURES !== '' && PICTURE_WIDTHS.includes(width)) {
          await page.screenshot({ path: join(PICTURES, `rehearsal-${sample}-${width}-${scheme}.png`), fullPage: true })
        }
      }
      expect(noise).toEqual([])
    })

    test.each([
      ['all details open', '100%'],
      ['text twice as large, all details open', '200%'],
    ])('%s: nothing lies aside', async (_, size) => {
      await using opened = await open(sample)
      const { page } = opened
      await unfold(page)
      await page.evaluate(`document.documentElement.style.fontSize = '${size}'`)
      for (const width of [360, 768, 1400]) {
        await page.setViewportSize({ width, height: 800 })
        const { found } = await page.evaluate<Layout>(LAYOUT)
        expect(found, `${sample} at ${width}`).toEqual([])
      }
    })

    test.each(SCHEMES)('%s: every text and every shape stands out', async (scheme) => {
      await using opened = await open(sample, scheme)
      const seen = await opened.page.evaluate<Look>(LOOK)
      expect(seen.low.filter(({ contrast }) => contrast < TEXT_CONTRAST_MIN)).toEqual([])
      expect(seen.shapes.filter(({ contrast }) => contrast < SHAPE_CONTRAST_MIN)).toEqual([])
      expect(seen.shapes.length > 0).toBe(locks.length > 0)
      expect(seen.backgroundLuminance < 0.2).toBe(scheme === 'dark')
    })
  })
}

test('a phone gets fewer bars than a desk, of the same locks', async () => {
  await using opened = await open('90-days')
  const { page } = opened
  const mainAt = async (width: number): Promise<Layout['charts'][number] | undefined> => {
    await page.setViewportSize({ width, height: 800 })
    const { charts } = await page.evaluate<Layout>(LAYOUT)
    return charts.find(({ id }) => id.startsWith('locks-'))
  }
  const [phone, desk] = [await mainAt(360), await mainAt(1400)]
  expect(phone?.id).toBe('locks-narrow-title')
  expect(desk?.id).toBe('locks-wide-title')
  expect(phone?.sum).toBe(desk?.sum)
  expect(phone?.width).toBeGreaterThan(250)
  expect(desk?.width).toBeGreaterThan(900)
})

test('the newest bar is in sight on a phone', async () => {
  await using opened = await open('newest-only')
  const right = await opened.page.evaluate<number>(
    'Math.max(...[...document.querySelectorAll("rect[data-count]")].map((bar) => bar.getBoundingClientRect().right))',
  )
  expect(right).toBeGreaterThan(300)
  expect(right).toBeLessThanOrEqual(360)
})

test.each([360, 1400])(
  'at %d px the lines for the configuration are whole, and one click selects all of them',
  async (width) => {
    await using opened = await open('huge-day', 'light', width)
    const { page } = opened
    const lines = breakerLines(reportOf('huge-day').breaker)
    const rows = await page.evaluate<number>(
      '(() => { const r = document.createRange(); r.selectNodeContents(document.querySelector("pre")); return new Set([...r.getClientRects()].map((rect) => rect.top)).size })()',
    )
    expect(rows).toBe(lines.split('\n').length)
    await page.click('pre')
    expect(await page.evaluate<string>('getSelection().toString()')).toBe(lines)
  },
)

test('the page reads in order, and its details open with the keyboard', async () => {
  await using opened = await open('huge-day')
  const { page } = opened
  expect(await page.getAttribute('html', 'lang')).toBe('en')
  const headings = await page.evaluate<string[]>(
    '[...document.querySelectorAll("h1, h2, h3, h4")].map((each) => each.tagName)',
  )
  expect(headings[0]).toBe('H1')
  expect(new Set(headings.slice(1))).toEqual(new Set(['H2']))
  const ids = await page.evaluate<string[]>('[...document.querySelectorAll("[id]")].map((each) => each.id)')
  expect(new Set(ids).size).toBe(ids.length)
  await page.keyboard.press('Tab')
  expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('The numbers of this chart')
  await page.keyboard.press('Enter')
  expect(await page.isVisible('table.numbers')).toBe(true)
  const chart = page.getByRole('img', { name: /^Locks for each week$/ })
  expect(await chart.count()).toBe(1)
  expect(await chart.getAttribute('aria-describedby')).toBe('locks-narrow-desc')
})

test('printed it is dark on white, also from a dark screen, and fits the paper', async () => {
  await using opened = await open('long-names', 'dark', 700)
  const { page } = opened
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
  const { found } = await page.evaluate<Layout>(LAYOUT)
  expect(found).toEqual([])
  const seen = await page.evaluate<Look>(LOOK)
  expect(seen.backgroundLuminance).toBeGreaterThan(0.9)
  expect(seen.low.filter(({ contrast }) => contrast < TEXT_CONTRAST_MIN)).toEqual([])
  if (PICTURES !== '') await page.pdf({ path: join(PICTURES, 'rehearsal-long-names.pdf'), format: 'A4' })
})
