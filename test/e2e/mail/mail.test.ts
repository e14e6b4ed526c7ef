import { DatabaseSync } from 'node:sqlite'
import { beforeEach, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink, type ReceivedMail } from '../../servers/mail/mail-sink.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { resetPeople } from '../../support/account-view.ts'
import { opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { describePeople, HELP_DESK, mailYaml } from './mail-fixture.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** What people are told, from the event to the mail that the server has. */

const PEOPLE = ['u1', 'u2', 'u3']

test.override('slapdOptions', { users: PEOPLE.length })
test.beforeAll(async () => {
  await describePeople(slapd, {
    u1: { mail: 'u1@example.org', name: 'Ursula Eins' },
    u2: { mail: 'u2@example.org', name: 'Übermut <img src=x onerror=alert(1)> & "Söhne"', language: 'de-AT, en;q=0.5' },
    u3: {},
  })
})
let sink: MailSink
beforeEach(async () => {
  sink = opened.use(await startMailSink())
})

async function start(more: readonly string[] = [], options: { guards?: string } = {}): Promise<Lockstep> {
  return startOwn({ ...options, yaml: mailYaml(sink, more) })
}

async function received(count: number): Promise<ReceivedMail[]> {
  await eventually(`${count} mails came`, () => sink.count() >= count)
  return sink.mails()
}

function to(mails: readonly ReceivedMail[], address: string): ReceivedMail {
  const [only, ...others] = mails.filter((mail) => mail.to === address)
  expect(others).toEqual([])
  if (only === undefined) throw new Error(`no mail to ${address}`)
  return only
}

test('the owner and the help desk are told of a lock and of its end, once each, in their languages', async () => {
  const lockstep = await start(['contact: IT service desk', `helpDesk: { addresses: [${HELP_DESK}], language: de }`])
  await lockstep.shim('lock', asNobody('OATH0001', 'u1'))
  const locked = await received(2)
  const owner = to(locked, 'u1@example.org')
  expect(owner.subject).toBe('Your account u1 was locked')
  expect(owner.text).toMatch(/^Hello Ursula Eins,\n\nyour account u1 was locked on \d+ \w+ \d{4} at \d\d:\d\d CES?T\./)
  expect(owner.text).toContain('- Your token OATH0001 reached the highest number of failed attempts.')
  expect(owner.text).toContain('IT service desk')
  expect(owner.html).toContain('<strong>u1</strong>')
  expect(owner.headers.get('from')).toBe('Lockstep <lockstep@example.org>')
  expect(owner.headers.get('auto-submitted')).toBe('auto-generated')
  const desk = to(locked, HELP_DESK)
  expect(desk.subject).toBe('Lockstep: u1: 1 Konto gesperrt')
  expect(desk.text).toContain('Token OATH0001 hat die Höchstzahl an Fehlversuchen erreicht')
  await lockstep.shim('unlock', asAdmin('OATH0001', 'u1'))
  const all = await received(4)
  expect(all.map(({ subject }) => subject).toSorted()).toEqual([
    'Lockstep: u1: 1 Konto entsperrt',
    'Lockstep: u1: 1 Konto gesperrt',
    'Your account u1 was locked',
    'Your account u1 was unlocked',
  ])
  const { mail } = await lockstep.json<{ mail: { states: object; failing: null } }>('status')
  expect(mail).toMatchObject({ states: { sent: 4 }, failing: null })
})

test('a name that holds HTML is shown as it is written, in the language that its owner prefers', async () => {
  const lockstep = await start()
  await lockstep.shim('lock', asNobody('OATH0002', 'u2'))
  const owner = to(await received(2), 'u2@example.org')
  expect(owner.subject).toBe('Ihr Konto u2 wurde gesperrt')
  expect(owner.text).toContain('Guten Tag Übermut <img src=x onerror=alert(1)> & "Söhne",')
  expect(owner.html).toContain('Übermut &lt;img src=x onerror=alert(1)&gt; &amp; &#34;Söhne&#34;')
  expect(owner.html).not.toContain('<img')
})

test('a reason or a name with line ends makes no header, and an address with one gets no mail', async () => {
  const evil = 'Eve\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>'
  await using other = await startSlapd({ users: 2, dbNoSync: true })
  await describePeople(other, {
    u1: { mail: 'u1@example.org', name: evil },
    u2: { mail: 'u2@example.org\r\nBcc: evil@example.org', name: 'x' },
  })
  await using lockstep = await startLockstep(other, { yaml: mailYaml(sink) })
  await lockstep.json('lock', 'u1', '--reason', '<b>bold</b> & "quoted" \\r\\nBcc: evil@example.org')
  await lockstep.json('lock', 'u2', '--reason', 'x')
  await eventually('nothing is on its way any more', async () => {
    const { states } = await lockstep.json<{ states: Record<string, number> }>('mail', 'list')
    return states['no-address'] === 1 && sink.mails().some(({ to: address }) => address === 'u1@example.org')
  })
  await eventually('the help desk was told of both', () => {
    const texts = sink.mails().flatMap((mail) => (mail.to === HELP_DESK ? [mail.text] : []))
    return texts.join('').includes('uid=u1') && texts.join('').includes('uid=u2')
  })
  const mails = sink.mails()
  expect(mails.filter((mail) => mail.to !== HELP_DESK)).toHaveLength(1)
  for (const mail of mails) {
    expect([...mail.headers.keys()]).not.toContain('bcc')
    expect(mail.to).not.toContain('evil')
    expect(mail.html).not.toMatch(/<script|<b>bold/)
  }
  const owner = to(mails, 'u1@example.org')
  expect(owner.text).toContain('Hello Eve Bcc: evil@example.org <script>alert(1)</script>,')
  // Who locked it by hand and why is for the help desk alone.
  expect(owner.text).toContain('An administrator locked the account.')
  expect(owner.raw).not.toContain('bold')
  const desk = mails.filter((mail) => mail.to === HELP_DESK).map(({ text }) => text)
  expect(desk.join('')).toContain('by hand: <b>bold</b> & "quoted"')
})

test('what a guard held back and what the breaker stopped is told to the help desk; in a dry run nothing is', async () => {
  const protect = `protect: { dns: ['${slapd.userDn('u1')}'] }`
  const lockstep = await start([], { guards: `{ breaker: { maxLocks: 1, per: 1h }, ${protect} }` })
  for (const user of ['u1', 'u2', 'u3']) {
    await lockstep.shim('lock', asNobody(null, user))
    await lockstep.settled()
  }
  const desk = (): string[] => sink.mails().flatMap((mail) => (mail.to === HELP_DESK ? [mail.text] : []))
  await eventually('all three were told', () =>
    /change held back[^]*lock held back|lock held back[^]*change held back/.test(desk().join('')),
  )
  expect(desk().join('')).toContain('its DN is in guards.protect.dns')
  expect(desk().join('')).toContain('account locked')
  await lockstep.stop()
  const before = sink.count()
  lockstep.editConfig((yaml) => yaml.replace(/^guards:.*$/m, 'guards: { breaker: null, dryRun: true }'))
  await lockstep.serve()
  await lockstep.shim('lock', asNobody(null, 'u2'))
  await lockstep.settled()
  await lockstep.stop()
  lockstep.editConfig((yaml) => yaml.replace('dryRun: true', 'dryRun: false'))
  await lockstep.serve()
  // Only what comes afterwards: u3, whose lock was held back by the breaker.
  await lockstep.settled()
  await eventually('u3 was told', () => sink.count() > before)
  const fresh = sink.mails().slice(before)
  expect(fresh.map(({ subject }) => subject).join()).not.toContain('dry')
})

test('an event that finds no account is told once, after the time that is configured', async () => {
  const limits = 'limits: { gather: 0s, interval: 0s, unresolvedAfter: 1s, perSecond: 50 }'
  const lockstep = await start([limits])
  await lockstep.shim('lock', asNobody('OATH0009', 'nobody'))
  const [mail] = await received(1)
  expect(mail?.subject).toBe('Lockstep: nobody: 1 unresolved event')
  expect(mail?.text).toContain('has no account for this login')
  await lockstep.restart()
  await lockstep.shim('lock', asNobody(null, 'u3'))
  await received(2)
  expect(sink.mails().map(({ subject }) => subject)).toEqual([
    'Lockstep: nobody: 1 unresolved event',
    'Lockstep: u3: 1 account locked',
  ])
})

test('a lock that was taken away in the directory is told as its end', async () => {
  const lockstep = await start()
  await lockstep.shim('lock', asNobody('OATH0001', 'u1'))
  await received(2)
  await resetPeople(slapd, ['u1'])
  await lockstep.json('retry')
  const owner = (await received(4)).filter((mail) => mail.to === 'u1@example.org')
  expect(owner.map(({ subject }) => subject)).toEqual(['Your account u1 was locked', 'Your account u1 was unlocked'])
})

test('a drain tells what it did, and so does the next one what a command did meanwhile', async () => {
  const lockstep = await start()
  await lockstep.stop()
  await lockstep.json('lock', 'u1', '--reason', 'suspended')
  expect((await lockstep.drain()).code).toBe(0)
  expect(
    sink
      .mails()
      .map(({ to: address }) => address)
      .toSorted(),
  ).toEqual([HELP_DESK, 'u1@example.org'])
  expect((await lockstep.drain()).code).toBe(0)
  expect(sink.count()).toBe(2)
})

test('a lock that the directory does not enforce is told to the help desk', async () => {
  await using other = await startSlapd({ users: 1, dbNoSync: true, pwdLockout: false })
  await using lockstep = await startLockstep(other, { yaml: mailYaml(sink, ['owner: { kinds: [] }']) })
  await lockstep.shim('lock', asNobody('OATH0001', 'u1'))
  const desk = (): string =>
    sink
      .mails()
      .map(({ text }) => text)
      .join('')
  await eventually('it was told', () => desk().includes('1 lock without effect'))
  expect(desk()).toMatch(/pwdLockout/)
  expect(sink.mails().map(({ to: address }) => address)).not.toContain('u1@example.org')
})

test('an owner’s mail waits while another directory than the one on record answers', async () => {
  const lockstep = await start()
  await lockstep.stop()
  await lockstep.json('lock', 'u1', '--reason', 'x')
  const database = new DatabaseSync(lockstep.storeFile, { timeout: 5_000 })
  const key = 'directory-identity corp'
  const before = String(database.prepare('select value from meta where key = ?').get(key)?.['value'])
  const write = database.prepare('update meta set value = ? where key = ?')
  write.run(JSON.stringify({ ...JSON.parse(before), baseId: '00000000-0000-0000-0000-000000000000' }), key)
  await lockstep.drain()
  const owners = (): unknown[] =>
    database.prepare("select state, why_code from mail where recipient like 'account %'").all()
  expect(owners()).toEqual([{ state: 'waiting', why_code: 'directory-changed' }])
  write.run(before, key)
  await eventually('the owner is told', async () => {
    await lockstep.drain()
    return sink.mails().some((mail) => mail.to === 'u1@example.org')
  })
  database.close()
})
