import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { eventually } from '../servers/eventually.ts'
import { startMailSink, type MailSink, type ReceivedMail } from '../servers/mail-sink.ts'
import { startSlapd, type Slapd } from '../servers/slapd.ts'
import { resetPeople } from './account-view.ts'
import { startLockstep, type Lockstep } from './lockstep.ts'
import { describePeople, HELP_DESK, mailYaml } from './mail-fixture.ts'
import { asAdmin, asNobody } from './privacyidea-arguments.ts'

/** What people are told, from the event to the mail that the server has. */

const PEOPLE = ['u1', 'u2', 'u3']

let stack: AsyncDisposableStack
let slapd: Slapd

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  slapd = stack.use(await startSlapd({ users: PEOPLE.length, dbNoSync: true }))
  await describePeople(slapd, {
    u1: { mail: 'u1@example.org', name: 'Ursula Eins' },
    u2: { mail: 'u2@example.org', name: 'Übermut <img src=x onerror=alert(1)> & "Söhne"', language: 'de-AT, en;q=0.5' },
    u3: {},
  })
})
afterAll(() => stack.disposeAsync())
let opened: AsyncDisposableStack
let sink: MailSink
beforeEach(async () => {
  opened = new AsyncDisposableStack()
  sink = opened.use(await startMailSink())
})
afterEach(async () => {
  await opened.disposeAsync()
  await resetPeople(slapd, PEOPLE)
})

async function start(more: readonly string[] = [], options: { guards?: string } = {}): Promise<Lockstep> {
  return opened.use(await startLockstep(slapd, { ...options, yaml: mailYaml(sink, more) }))
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
