import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink } from '../../servers/mail/mail-sink.ts'
import { qrCodeOfMail } from '../../servers/mail/qr-code.ts'
import { mailYaml } from '../mail/mail-fixture.ts'
import type { SetUpWorld } from '../../support/privacyidea-world.ts'

/** A roll-out on a real privacyIDEA, killed on its way. */

const LOGINS = ['u6', 'u7', 'u8', 'u9', 'u11', 'u12']

export function enrollTests(world: () => SetUpWorld): void {
  test('a roll-out that is killed on its way goes on: one token of its own and one mail for each', async () => {
    await using sink = await startMailSink()
    const { lockstep, pi } = world()
    const config = world().configAs('admin', (yaml) => `${yaml}${mailYaml(sink)}`)
    const file = join(lockstep.dir, 'staff.csv')
    writeFileSync(file, `login,realm\n${LOGINS.map((login) => `${login},r1\n`).join('')}`)
    const args = ['--config', config, 'enroll', '--csv', file, '--mail', '--rate', '50/s', '--even-with-token']
    const before = new Map<string, readonly string[]>()
    for (const login of LOGINS) before.set(login, await serialsOf(world(), login))

    const child = lockstep.startBeside(...args)
    await eventually('a mail', () => sink.count() > 0)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))

    const ran = await lockstep.cli(...args, '--json')
    // The daemon works with another file.
    expect(ran.stderr).toContain('Tokens are made and mails are sent as this file says')
    expect(ran.json<object>()).toMatchObject({ failed: [], skipped: [], left: 0, stopped: null })
    const mails = new Map(sink.mails().map((mail) => [mail.headers.get('message-id'), mail]))
    expect(mails.size).toBe(LOGINS.length)
    for (const login of LOGINS) {
      const made = (await serialsOf(world(), login)).filter((serial) => before.get(login)?.includes(serial) !== true)
      expect(made, login).toHaveLength(1)
      const mail = [...mails.values()].find((each) => each.to === `${login}@example.org`)
      expect(mail?.subject).toBe(`Your new token ${made[0]}`)
      const { says } = await qrCodeOfMail(mail?.raw ?? '')
      expect(says).toContain(`otpauth://totp/${made[0]}`)
      await pi.ask('DELETE', `/token/${made[0]}`)
    }
  }, 120_000)
}

async function serialsOf({ pi }: SetUpWorld, user: string): Promise<readonly string[]> {
  const found = (await pi.ask('GET', '/token/', { user, realm: 'r1' })) as { tokens: { serial: string }[] }
  return found.tokens.map(({ serial }) => serial)
}
