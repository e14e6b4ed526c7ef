import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/ports/clock.ts'
import { parseMailAddress } from '../../../src/core/mail/mail-address.ts'
import type { MailLanguage } from '../../../src/core/mail/mail-language.ts'
import type { NoticeKind } from '../../../src/core/mail/notice.ts'
import { sampleDigest } from '../../../src/notify/mail-samples.ts'
import { TemplateMailComposer } from '../../../src/notify/mail-composer.ts'
import { openSmtp } from '../../../src/notify/smtp.ts'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink } from '../../servers/mail/mail-sink.ts'

/**
 * Mails as a browser shows them, from what the mail server got: at the width of a phone and of a desk, light and dark.
 * With LOCKSTEP_SCREENSHOTS=FOLDER pictures are left there, to look at.
 */

const LOOK = readFileSync(new URL('look-at-page.js', import.meta.url), 'utf8')

/** What look-at-page.js gives. */
interface Look {
  readonly scrollWidth: number
  readonly texts: number
  readonly fontMin: number
  readonly backgroundLuminance: number
  readonly low: readonly { readonly text: string; readonly contrast: number }[]
}

const CHROMIUM = '/usr/bin/chromium'
const PICTURES = process.env['LOCKSTEP_SCREENSHOTS'] ?? ''
const WIDTHS = { phone: 375, desktop: 1280 } as const
/** WCAG 2.2, 1.4.3. */
const CONTRAST_MIN = 4.5

const MAILS: readonly [string, NoticeKind | 'digest', 'owner' | 'help-desk', MailLanguage][] = [
  ['owner-locked-de', 'locked', 'owner', 'de'],
  ['owner-unlocked-en', 'unlocked', 'owner', 'en'],
  ['owner-news-de', 'not-effective', 'owner', 'de'],
  ['desk-digest-en', 'digest', 'help-desk', 'en'],
  ['desk-refused-de', 'refused', 'help-desk', 'de'],
]

let stack: AsyncDisposableStack
let sink: MailSink
let browser: Browser

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  sink = stack.use(await startMailSink())
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }).catch((error: unknown) => {
    throw new Error('install it with: apt-get install -y --no-install-recommends chromium', { cause: error })
  })
  stack.defer(() => browser.close())
  await send()
  if (PICTURES !== '') await mkdir(PICTURES, { recursive: true })
})
afterAll(() => stack.disposeAsync())

async function send(): Promise<void> {
  const from = parseMailAddress('lockstep@example.org')
  const smtp = { host: '127.0.0.1', port: sink.port, isSecure: false, startTls: 'off', caFile: null } as const
  const times = { connectTimeoutMs: 5_000, timeoutMs: 10_000, tlsServerName: null, login: null }
  await using transport = openSmtp({ ...smtp, ...times }, () => '')
  if (from === null) throw new Error('no address')
  const contact = 'IT-Service, Tel. 1234\nit@example.org'
  const words = { contact, timeZone: 'Europe/Berlin', templates: null }
  const common = {
    from: { name: 'Lockstep', address: from },
    replyTo: null,
    language: 'de',
    helpDesk: { addresses: [], kinds: [], language: 'de' },
  } as const
  const writer = new TemplateMailComposer({ ...common, ...words }, 'lockstep1', systemClock, (error) => {
    throw error
  })
  for (const [name, kind, recipient, language] of MAILS) {
    const to = parseMailAddress(`${name}@example.org`)
    if (to === null) throw new Error('no address')
    const digest = sampleDigest(kind, Date.UTC(2026, 10, 24, 9, 39))
    const made = writer.words({ recipient, digest, name: 'Jürgen Größenwahn', language, isLate: false })
    await transport.send({
      messageId: `<${name}@x>`,
      dateMs: Date.now(),
      from: common.from,
      replyTo: null,
      to,
      ...made,
    })
  }
  await eventually('all came', () => sink.count() === MAILS.length)
}

for (const [device, width] of Object.entries(WIDTHS)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`mails can be read on a ${device}, ${colorScheme}: nothing sticks out, and every text stands out`, async () => {
      await using context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
      const page = await context.newPage()
      for (const [name] of MAILS) {
        const mail = sink.mails().find((each) => each.to === `${name}@example.org`)
        await page.setContent(mail?.html ?? '')
        if (PICTURES !== '') {
          await page.screenshot({ path: join(PICTURES, `${name}-${device}-${colorScheme}.png`), fullPage: true })
        }
        const seen = await page.evaluate<Look>(LOOK)
        expect(seen.scrollWidth, name).toBeLessThanOrEqual(width)
        expect(seen.texts, name).toBeGreaterThan(3)
        expect(
          seen.low.filter(({ contrast }) => contrast < CONTRAST_MIN),
          name,
        ).toEqual([])
        expect(seen.fontMin, name).toBeGreaterThanOrEqual(13)
        // Light on dark where that is wanted, and the other way round.
        expect(seen.backgroundLuminance < 0.2, name).toBe(colorScheme === 'dark')
      }
    })
  }
}
