import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink, type SinkOptions } from '../../servers/mail/mail-sink.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { makeCertificates } from '../../servers/test-certificates.ts'
import { resetPeople } from '../../support/account-view.ts'
import { opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { describePeople, HELP_DESK, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A mail server that is away, slow, choosy or badly set up delays and reports what it must, and no more. */

const PEOPLE = Array.from({ length: 12 }, (_, at) => `u${at + 1}`)
const ONLY_OWNERS = 'helpDesk: { addresses: [] }'
const PASSWORD = 'mail-password-of-the-tests'

interface Listed {
  readonly mails: readonly {
    id: string
    recipient: string
    state: string
    why: { code: string; text: string } | null
  }[]
}

test.override('slapdOptions', { users: PEOPLE.length })
test.beforeAll(async () => {
  await describePeople(slapd, Object.fromEntries(PEOPLE.map((login) => [login, { mail: `${login}@example.org` }])))
})

async function sinkWith(options: SinkOptions = {}): Promise<MailSink> {
  return opened.use(await startMailSink(options))
}

async function start(sink: MailSink, more: readonly string[] = [ONLY_OWNERS]): Promise<Lockstep> {
  const lockstep = await startOwn({ yaml: mailYaml(sink, more) })
  writeFileSync(join(lockstep.dir, 'mail-password'), PASSWORD, { mode: 0o600 })
  return lockstep
}

async function lockAll(lockstep: Lockstep, people: readonly string[]): Promise<void> {
  for (const login of people) lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
  await lockstep.settled()
}

async function listed(lockstep: Lockstep, state: string): Promise<Listed['mails']> {
  return (await lockstep.json<Listed>('mail', 'list', '--state', state)).mails
}

test('one address that is refused and one that is put off hold up nobody else, and are told', async () => {
  const sink = await sinkWith()
  sink.fault({ refuse: ['u1@example.org'], defer: ['u2@example.org'] })
  const lockstep = await start(sink)
  await lockAll(lockstep, PEOPLE)
  await eventually('all others came', () => sink.count() === PEOPLE.length - 2)
  expect(await listed(lockstep, 'refused')).toMatchObject([
    {
      recipient: 'u1',
      why: { text: expect.stringContaining('the address was refused: 550 5.1.1 no such user here') },
    },
  ])
  const [deferred] = await listed(lockstep, 'waiting')
  expect(deferred).toMatchObject({
    recipient: 'u2',
    why: { code: 'mail-deferred', text: expect.stringContaining('greylisted') },
  })
  const { notes, healthReasons } = await lockstep.json<{ notes: string[]; healthReasons: object[] }>('status')
  expect(notes.join()).toContain(
    '1 mail could not be delivered in the last day (lockstep mail list --state lost), 1 of them refused by the mail server',
  )
  expect(healthReasons).toEqual([])
  sink.fault({})
  expect(await lockstep.json('mail', 'retry', '--all')).toMatchObject({ mails: 1 })
  await eventually('the deferred one came', () => sink.count() === PEOPLE.length - 1)
  expect(await lockstep.json('mail', 'retry', (await listed(lockstep, 'refused'))[0]?.id ?? '')).toMatchObject({
    mails: 1,
  })
  await eventually('the refused one came', () => sink.count() === PEOPLE.length)
  expect(new Set(sink.mails().map(({ to }) => to)).size).toBe(PEOPLE.length)
})

test('a server that is away delays all mails, status says since when, and they come when it is back, once each', async () => {
  const sink = await sinkWith()
  await sink.stop()
  const lockstep = await start(sink)
  await lockAll(lockstep, PEOPLE)
  const reasons = async (): Promise<string> =>
    (await lockstep.json<{ healthReasons: { text: string }[] }>('status')).healthReasons.map(({ text }) => text).join()
  await eventually('status tells', async () => /mail could not be sent for .*ECONNREFUSED/.test(await reasons()))
  await sink.start()
  await eventually('all came', () => sink.count() === PEOPLE.length)
  await eventually('status is content', async () => (await reasons()) === '')
  expect(lockstep.log().match(/mail cannot be sent/g)).toHaveLength(1)
  expect(lockstep.log()).toContain('info mail is sent again')
  expect(sink.count()).toBe(PEOPLE.length)
})

test('a slow server gets three at a time, and locks are not held up by it', async () => {
  const sink = await sinkWith()
  sink.fault({ dataDelayMs: 1_000 })
  const lockstep = await start(sink)
  const startedMs = performance.now()
  await lockAll(lockstep, PEOPLE)
  const lockedMs = performance.now() - startedMs
  await eventually('all came', () => sink.count() === PEOPLE.length)
  const ms = performance.now() - startedMs
  expect(ms).toBeGreaterThan(3_900)
  expect(ms).toBeGreaterThan(lockedMs)
  expect(new Set(sink.mails().map((mail) => mail.headers.get('message-id'))).size).toBe(PEOPLE.length)
})

test('over STARTTLS and over TLS, with a login; doctor tells both, and what is wrong', async () => {
  const certificates = await makeCertificates(opened.use(await makeTempDir('mail-tls')).path)
  for (const tls of [false, true]) {
    const sink = await sinkWith({ certificates, tls, auth: { user: 'lockstep', password: PASSWORD } })
    const more = [`ca: ${certificates.caFile}`, 'user: lockstep', 'passwordFile: mail-password', ONLY_OWNERS]
    await using lockstep = await start(sink, more)
    const { findings } = (await lockstep.cli('doctor', '--json')).json<{ findings: { area: string; what: string }[] }>()
    expect(findings.filter(({ area }) => area === 'mail').map(({ what }) => what)).toEqual([
      `mail server ${sink.url} answers, over TLS`,
      'the login as lockstep is good',
      'it takes lockstep@example.org as the sender',
      'it takes mail for lockstep@example.org',
      'the help desk has no address',
    ])
    await lockAll(lockstep, ['u1'])
    await eventually('it came', () => sink.count() === 1)
    expect(sink.mails()[0]?.headers.get('x-tls')).toBe('yes')
    const sent = await lockstep.json<{ messageId: string }>('mail', 'test', 'you@example.org')
    expect(sink.mails().map((mail) => mail.headers.get('message-id'))).toContain(sent.messageId)
    sink.fault({ refuseSender: true })
    expect((await lockstep.cli('doctor')).stdout).toContain('refuses lockstep@example.org as the sender: 550 5.7.1')
    sink.fault({})
    writeFileSync(join(lockstep.dir, 'mail-password'), 'another', { mode: 0o600 })
    const refused = await lockstep.cli('mail', 'test', 'you@example.org', '--json')
    expect({ code: refused.code, error: refused.document<{ error: { code: string } }>().error.code }).toEqual({
      code: 77,
      error: 'mail-login-refused',
    })
    expect((await lockstep.cli('doctor')).stdout).toContain('the login was refused')
    const everything = [lockstep.log(), refused.stderr, refused.stdout, ...sink.mails().map(({ raw }) => raw)].join()
    expect(everything).not.toContain(PASSWORD)
    expect(everything).not.toContain(Buffer.from(PASSWORD).toString('base64').slice(0, 12))
    await resetPeople(slapd, PEOPLE)
  }
})

test('nothing is sent to a server whose certificate is not trusted, nor in the clear where TLS is configured', async () => {
  const certificates = await makeCertificates(opened.use(await makeTempDir('mail-tls')).path, 'wrong-name')
  const sink = await sinkWith({ certificates })
  await using lockstep = await start(sink, [`ca: ${certificates.caFile}`, ONLY_OWNERS])
  const ran = await lockstep.cli('mail', 'test', 'you@example.org')
  expect(ran.code).toBe(78)
  expect(ran.stderr).toContain('its certificate is for another name')
  const plain = await sinkWith()
  lockstep.editConfig((yaml) => yaml.replace(sink.url, plain.url))
  const second = await lockstep.cli('mail', 'test', 'you@example.org')
  expect(second.code).toBe(78)
  expect(second.stderr).toContain('the connection could not be secured by STARTTLS')
  expect(plain.count() + sink.count()).toBe(0)
})

test('a template of one’s own is used; one that is broken is told with its line, and the built-in one goes', async () => {
  const sink = await sinkWith()
  const folder = opened.use(await makeTempDir('templates')).path
  const lockstep = await start(sink, [`templates: ${folder}`, `helpDesk: { addresses: [${HELP_DESK}] }`])
  const { mkdirSync } = await import('node:fs')
  mkdirSync(join(folder, 'en'))
  writeFileSync(join(folder, 'en', 'locked.txt'), 'Subject: Konto {{ login }}\n\nOur own words, {{ name }}.\n')
  writeFileSync(
    join(folder, 'en', 'help-desk.txt'),
    'Subject: {{ count }}\n\n{% for x in groups %}\n{{ x.kind }}\n{% endfo %}\n',
  )
  writeFileSync(join(folder, 'en', 'unlocked.html'), '<p>\n{{ logn }}</p>\n')
  const checked = await lockstep.cli('check')
  expect(checked.code).toBe(78)
  expect(checked.stdout).toContain(`${join(folder, 'en', 'help-desk.txt')}:5:1: tag "endfo" not found`)
  expect(checked.stdout).toMatch(/unlocked\.html:2:\d+: undefined variable: logn/)
  await lockAll(lockstep, ['u1'])
  await eventually('both came', () => sink.count() === 2)
  const subjects = sink.mails().map(({ subject }) => subject)
  expect(subjects.toSorted()).toEqual(['Konto u1', 'Lockstep: u1: 1 account locked'])
  expect(lockstep.log()).toContain('a template of mail failed; the built-in one is used')
})
