import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink, type ScriptedStep } from '../../servers/mail/mail-sink.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { makeCertificates } from '../../servers/test-certificates.ts'
import { resetPeople } from '../../support/account-view.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { describePeople, HELP_DESK, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A mail server that refuses this machine, its name, its login or the sender, at each step at which servers do. */

const PASSWORD = 'mail-password-of-the-tests'
const PEOPLE = ['u1', 'u2', 'u3', 'u4']

test.override('slapdOptions', { users: PEOPLE.length })
test.beforeAll(async () => {
  await describePeople(slapd, Object.fromEntries(PEOPLE.map((login) => [login, { mail: `${login}@example.org` }])))
})

interface Answer {
  readonly stage: string
  readonly status: number
  readonly enhanced: string | null
  readonly kind: string
}
interface MailStatus {
  readonly mail: {
    readonly states: Readonly<Record<string, number>>
    readonly sentAt: string | null
    readonly refusedLately: number
    readonly failing: {
      readonly text: string
      readonly code: string
      readonly fix: string
      readonly answer: Answer
    } | null
  }
  readonly notes: readonly string[]
  readonly healthReasons: readonly { readonly code: string; readonly text: string }[]
}
interface Finding {
  readonly area: string
  readonly check: string
  readonly status: string
  readonly what: string
  readonly fix: string
}

async function setUp(more: readonly string[] = []): Promise<{ sink: MailSink; lockstep: Lockstep }> {
  const sink = shared.use(await startMailSink())
  const yaml = mailYaml(sink, ['helpDesk: { addresses: [helpdesk@example.org], kinds: [] }', ...more])
  return { sink, lockstep: shared.use(await startLockstep(slapd, { yaml })) }
}

async function lock(lockstep: Lockstep, people: readonly string[]): Promise<void> {
  for (const login of people) lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
  await lockstep.settled()
}

async function doctor(lockstep: Lockstep, ...args: string[]): Promise<Finding[]> {
  const { findings } = (await lockstep.cli('doctor', '--json', ...args)).json<{ findings: Finding[] }>()
  return findings.filter(({ area }) => area === 'mail')
}

/** Postfix 3.7.11 said the first nine, to a client that it was set up to refuse; the others are Exchange's and Exim's. */
const REFUSALS: readonly (readonly [step: ScriptedStep, answer: string, kind: string, fix: RegExp])[] = [
  ['RCPT', '504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname', 'ehlo-name', /mail\.ehloName/],
  ['RCPT', '554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied', 'client', /mynetworks/],
  ['RCPT', '554 5.7.1 <{address}>: Relay access denied', 'relay', /mail\.user and mail\.passwordFile/],
  ['RCPT', '554 5.7.1 <lockstep@example.org>: Sender address rejected: Access denied', 'sender', /mail\.from/],
  ['RCPT', '554 5.7.1 <{address}>: Recipient address rejected: Access denied', 'policy', /log of the mail server/],
  ['MAIL', '530 5.7.0 Must issue a STARTTLS command first', 'tls', /startTls: required/],
  ['MAIL', '503 5.7.0 Error: access denied for localhost[127.0.0.1]', 'client', /mynetworks/],
  ['EHLO', '504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname', 'ehlo-name', /mail\.ehloName/],
  ['connect', '554 5.7.1 Client host rejected: Access denied', 'client', /mynetworks/],
  ['RCPT', '530 5.7.1 Authentication required', 'login', /mail\.user and mail\.passwordFile/],
  ['RCPT', '550 relay not permitted', 'relay', /mynetworks/],
  ['DATA', '550 5.7.57 Client not authenticated to send mail', 'login', /mail\.user/],
  ['message', '550 5.7.60 SMTP; Client does not have permissions to send as this sender', 'sender', /mail\.from/],
]

test('whatever a server has against this machine, and whenever it says so, mails wait, status and doctor say what to do, and all come later', async () => {
  const { sink, lockstep } = await setUp()
  sink.fault({ answers: { RCPT: '504 5.5.2 <{helo}>: Helo command rejected' } })
  await lock(lockstep, PEOPLE)
  for (const [step, answer, kind, fix] of REFUSALS) {
    sink.fault({ answers: { [step]: answer } })
    const codes = /^(\d+)(?: (\d\.\d+\.\d+))?/.exec(answer)
    const expected = { status: Number(codes?.[1]), enhanced: codes?.[2] ?? null, kind }
    const status = await eventually(`status has: ${answer}`, async () => {
      await lockstep.json('mail', 'retry', '--all')
      const now = await lockstep.json<MailStatus>('status')
      const { stage = '', ...is } = now.mail.failing?.answer ?? {}
      return stage !== '' && JSON.stringify(is) === JSON.stringify(expected) ? now : null
    })
    expect(status.mail.failing, answer).toMatchObject({ code: 'mail-not-permitted', fix: expect.stringMatching(fix) })
    expect(status.mail.failing?.text, answer).toMatch(
      /mail server smtp:.*: (?:it takes no mail from here|the sender was refused): /,
    )
    expect(status.notes.join(), answer).toMatch(fix)
    expect(
      status.healthReasons.map(({ code }) => code),
      answer,
    ).toContain('mail-fails')
    // Nothing is called sent, and nothing is lost.
    expect(status.mail, answer).toMatchObject({ sentAt: null, refusedLately: 0 })
    const { waiting = 0, gathering = 0, ...others } = status.mail.states
    expect([waiting + gathering, others], answer).toEqual([PEOPLE.length, {}])
    if (step === 'DATA' || step === 'message') continue
    const failed = (await doctor(lockstep)).filter(({ status: is }) => is === 'fail')
    expect(failed, answer).toHaveLength(1)
    expect(failed[0]?.fix, answer).toMatch(fix)
    expect(failed[0]?.what, answer).toContain(answer.slice(0, 9))
    const sent = await lockstep.cli('mail', 'test', HELP_DESK)
    expect(sent.code, answer).not.toBe(0)
    expect(sent.stderr, answer).toMatch(fix)
  }
  expect(sink.count()).toBe(0)
  expect((await lockstep.cli('status')).stdout).toMatch(
    /^mail +\d waiting, \d gathering, the oldest for .*; none sent yet$/m,
  )
  expect(lockstep.log()).not.toContain('mail is sent again')
  expect(lockstep.log()).not.toContain('a mail was refused')
  sink.fault({})
  await lockstep.json('mail', 'retry', '--all')
  await eventually('all came', () => sink.count() === PEOPLE.length)
  await eventually('status is content', async () => (await lockstep.json<MailStatus>('status')).mail.failing === null)
  expect(new Set(sink.mails().map(({ to }) => to)).size).toBe(PEOPLE.length)
  expect((await lockstep.json<MailStatus>('status')).mail.sentAt).not.toBeNull()
  expect(lockstep.log()).toContain('mail is sent again')
  await lockstep.stop()
  await resetPeople(slapd, PEOPLE)
})

test('one recipient that is refused without a clear code ends alone, is never called sent, and the log has the codes without an address', async () => {
  const { sink, lockstep } = await setUp()
  const taken = PEOPLE.slice(1).map((login) => `${login}@example.org`)
  sink.fault({ answers: { RCPT: '554 5.7.1 <{address}>: no' }, taken })
  await lock(lockstep, PEOPLE)
  await eventually('the others came', () => sink.count() === taken.length)
  const ended = await eventually('it ended', async () => {
    const { mails } = await lockstep.json<{ mails: object[] }>('mail', 'list', '--state', 'refused')
    return mails.length === 1 && mails
  })
  const answer = { stage: 'recipient', status: 554, enhanced: '5.7.1', kind: 'policy' }
  expect(ended).toMatchObject([
    { recipient: 'u1', answer, why: { code: 'mail-refused', text: expect.stringContaining('<u1@example.org>: no') } },
  ])
  const status = await lockstep.json<MailStatus>('status')
  expect(status.mail).toMatchObject({ states: { sent: 3, refused: 1 }, refusedLately: 1, failing: null })
  expect(status.notes.join()).toContain('1 of them refused by the mail server')
  const line = lockstep
    .log()
    .split('\n')
    .find((each) => each.includes('a mail was refused; it is not sent'))
  expect(line).toContain('stage=recipient status=554 enhanced=5.7.1')
  expect(line).not.toContain('@')
  await lockstep.stop()
  await resetPeople(slapd, PEOPLE)
})

test('doctor asks about the help desk, or whom one names, as the name that is configured, and sends nothing', async () => {
  const { sink, lockstep } = await setUp(['ehloName: lockstep.example.org'])
  sink.fault({ answers: { RCPT: '504 5.5.2 <{helo}>: Helo command rejected: Host not found' } })
  const [refused] = (await doctor(lockstep)).filter(({ status }) => status === 'fail')
  expect(refused).toMatchObject({
    check: 'mail-recipient',
    what: expect.stringContaining(`refuses mail for ${HELP_DESK}: 504 5.5.2 <lockstep.example.org>: Helo command`),
    fix: expect.stringContaining('it calls itself lockstep.example.org now'),
  })
  // One address of several is that one's matter; greylisting passes.
  sink.fault({ refuse: ['u1@example.org'], defer: ['u2@example.org'] })
  const whats = async (...args: string[]): Promise<string[]> =>
    (await doctor(lockstep, ...args))
      .filter(({ check }) => check === 'mail-recipient')
      .map(({ status, what }) => `${status} ${what}`)
  expect(await whats()).toEqual([`ok it takes mail for ${HELP_DESK}`])
  expect(await whats('--mail-to', 'u1@example.org')).toEqual([
    expect.stringMatching(/^warn .*u1@example.org: 550 5.1.1/),
  ])
  expect(await whats('--mail-to', 'u2@example.org')).toEqual([
    expect.stringMatching(/^warn .*u2@example.org: 451 4.7.1/),
  ])
  const wrong = await lockstep.cli('doctor', '--mail-to', 'nobody')
  expect([wrong.code, wrong.stderr]).toEqual([64, expect.stringContaining('--mail-to nobody: expected a mail address')])
  sink.fault({ answers: { RCPT: '421 4.7.0 too many errors' } })
  expect(await whats()).toEqual([expect.stringMatching(/^fail .*421 4.7.0/)])
  expect(sink.count()).toBe(0)
  sink.fault({})
  expect((await lockstep.cli('mail', 'test', 'you@example.org')).code).toBe(0)
  expect(sink.mails()[0]?.headers.get('x-helo')).toBe('lockstep.example.org')
})

test('over STARTTLS and with a login, what is refused is named by what it is: the name, the login for now, for good, or a lack of TLS', async () => {
  const certificates = await makeCertificates(shared.use(await makeTempDir('mail-tls')).path)
  const sink = shared.use(await startMailSink({ certificates, auth: { user: 'lockstep', password: PASSWORD } }))
  const more = [`ca: ${certificates.caFile}`, 'user: lockstep', 'passwordFile: mail-password']
  const lockstep = shared.use(await startLockstep(slapd, { yaml: mailYaml(sink, more) }))
  writeFileSync(join(lockstep.dir, 'mail-password'), PASSWORD, { mode: 0o600 })
  for (const [step, answer, exit, said] of [
    ['EHLO', '504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname', 77, /Set mail\.ehloName/],
    ['AUTH', '454 4.7.0 Temporary authentication failure', 75, /the login is not possible now: 454 4\.7\.0/],
    ['AUTH', '535 5.7.8 Error: authentication failed', 77, /the login was refused: 535 5\.7\.8[^]*Correct mail\.user/],
    ['AUTH', '538 5.7.11 Encryption required', 77, /the login was refused: 538 5\.7\.11[^]*smtps:/],
    ['MAIL', '452 4.3.1 Insufficient system storage', 75, /the sender is not taken now: 452 4\.3\.1/],
    ['RCPT', '550 5.7.1 <{address}>: no', 69, /the address was refused: 550 5\.7\.1/],
    ['RCPT', '530 5.7.57 Client not authenticated', 77, /Let mail\.user send at the mail server/],
  ] as const) {
    sink.fault({ answers: { [step]: answer } })
    const ran = await lockstep.cli('mail', 'test', 'you@example.org')
    expect([ran.code, ran.stderr], answer).toEqual([exit, expect.stringMatching(said)])
    expect(ran.stderr).not.toContain(PASSWORD)
  }
})
