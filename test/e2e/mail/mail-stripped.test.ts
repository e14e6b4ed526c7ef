import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink } from '../../servers/mail/mail-sink.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { startSmtpInTheMiddle } from '../../servers/mail/smtp-in-the-middle.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { makeCertificates } from '../../servers/test-certificates.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { describePeople, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** STARTTLS that somebody in the middle takes out. */

const LOGIN = 'lockstep-of-the-mail'
const PASSWORD = 'mail-password-of-the-tests'
const STRIPPED = 'the connection could not be secured by STARTTLS'

test('with STARTTLS taken out on the way neither a login nor a word of a mail goes out, and the mail comes once it is back', async () => {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 1, dbNoSync: true }))
  await describePeople(slapd, { u1: { mail: 'u1@example.org' } })
  const certificates = await makeCertificates(stack.use(await makeTempDir('mail-tls')).path)
  const sink = stack.use(await startMailSink({ certificates, auth: { user: LOGIN, password: PASSWORD } }))
  const middle = stack.use(await startSmtpInTheMiddle(sink.port))
  const more = [`ca: ${certificates.caFile}`, `user: ${LOGIN}`, 'passwordFile: mail-password']
  const yaml = mailYaml(middle, [...more, 'helpDesk: { addresses: [] }'])
  const lockstep = stack.use(await startLockstep(slapd, { yaml }))
  writeFileSync(join(lockstep.dir, 'mail-password'), PASSWORD, { mode: 0o600 })
  const whys = async (): Promise<(string | undefined)[]> => {
    type Listed = { mails: { why: { code: string } | null }[] }
    const { mails } = await lockstep.json<Listed>('mail', 'list', '--state', 'waiting')
    return mails.map(({ why }) => why?.code)
  }

  middle.strip('not-offered')
  lockstep.spool({ kind: 'lock', args: asNobody(null, 'u1'), takenAtMs: Date.now() })
  await eventually('the mail failed', async () => (await whys()).includes('mail-tls'))
  for (const [how, exit, said] of [
    ['not-offered', 78, STRIPPED],
    ['refused', 78, STRIPPED],
    ['pretended', 78, 'TLS'],
    // It looks like a server that is not right, and is tried again.
    ['no-ehlo', 75, '502 5.5.1'],
  ] as const) {
    middle.strip(how)
    const ran = await lockstep.cli('mail', 'test', 'you@example.org')
    expect(ran.code, how).toBe(exit)
    expect(ran.stderr, how).toContain(said)
  }
  const { findings } = (await lockstep.cli('doctor', '--json')).json<{
    findings: { check: string; status: string; what: string }[]
  }>()
  expect(findings.find(({ check }) => check === 'mail-reach')).toMatchObject({
    status: 'fail',
    code: 'mail-unreachable',
  })
  expect(middle.heard()).toContain('STARTTLS')
  expect(middle.heard()).not.toMatch(/AUTH|MAIL FROM|RCPT TO|DATA|u1@|you@|lockstep@|Subject:/i)
  expect(middle.heard()).not.toContain(LOGIN)
  expect(sink.count()).toBe(0)

  middle.strip(null)
  expect((await lockstep.cli('mail', 'retry', '--all')).code).toBe(0)
  await eventually('the mail came', () => sink.count() === 1)
  expect(sink.mails()[0]?.headers.get('x-tls')).toBe('yes')
})
