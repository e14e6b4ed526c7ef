import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink, type ReceivedMail } from '../../servers/mail/mail-sink.ts'
import { look } from '../../support/account-view.ts'
import { closeOpened, opened, slapd, slapdTest as test, startOwn } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { describePeople, HELP_DESK, mailYaml } from '../mail/mail-fixture.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** History says what happened, and no behaviour depends on how it is worded. */

const PEOPLE = ['u1', 'u2', 'u3', 'u4']

interface Reason {
  readonly code: string
  readonly params: object
  readonly text: string
}

interface Shown {
  readonly timeline: readonly {
    readonly what: string
    readonly serial: string | null
    readonly actor: string
    readonly details: string
    readonly reason: Reason | null
  }[]
}

test.override('slapdOptions', { users: PEOPLE.length })
test.beforeAll(async () => {
  const people = PEOPLE.map((login) => [login, { mail: `${login}@example.org`, name: login, language: 'de' }])
  await describePeople(slapd, Object.fromEntries(people) as Parameters<typeof describePeople>[1])
})

let sink: MailSink
beforeEach(async () => {
  sink = opened.use(await startMailSink())
})

async function start(options: { guards?: string; env?: Record<string, string> } = {}): Promise<Lockstep> {
  const desk = `helpDesk: { addresses: [${HELP_DESK}], language: de, kinds: [locked, unlocked, refused, unresolved, failed] }`
  return startOwn({ ...options, yaml: mailYaml(sink, [desk]) })
}

async function showOf(lockstep: Lockstep, login: string): Promise<Shown> {
  const [shown] = (await lockstep.json<{ accounts: Shown[] }>('show', slapd.userDn(login))).accounts
  if (shown === undefined) throw new Error(`nothing on record about ${login}`)
  return shown
}

async function mailsTo(address: string, count: number): Promise<ReceivedMail[]> {
  const mine = (): ReceivedMail[] => sink.mails().filter((mail) => mail.to === address)
  await eventually(`${count} mails to ${address}`, () => mine().length >= count)
  return mine()
}

test('after an undo the history says so, and not that the token was unassigned', async () => {
  const lockstep = await start()
  await lockstep.shim('register', asAdmin('OATH2', 'u1'))
  await lockstep.shim('lock', asNobody('OATH2', 'u1'))
  await lockstep.settled()
  await lockstep.json('undo', '--since', '1h', '--yes')
  await lockstep.settled()
  const { timeline } = await showOf(lockstep, 'u1')
  const of = (what: string) => timeline.findLast((entry) => entry.what === what)
  for (const what of ['unregister applied', 'unlock applied']) {
    expect(of(what), what).toMatchObject({ reason: { code: 'undo' }, details: expect.stringMatching(/^undo of /) })
    expect(of(what)?.actor, what).not.toBe('')
  }
  expect(of('register applied')).toMatchObject({ reason: { code: 'token-assigned' }, actor: 'admin@' })
  expect(of('lock applied')).toMatchObject({ reason: { code: 'token-max-fail', params: { serial: 'OATH2' } } })
  await lockstep.shim('register', asAdmin('OATH2', 'u1'))
  await lockstep.shim('unregister', asAdmin('OATH2', 'u1'))
  await lockstep.settled()
  const last = (await showOf(lockstep, 'u1')).timeline.findLast(({ what }) => what === 'unregister applied')
  expect(last).toMatchObject({ reason: { code: 'token-unassigned' }, actor: 'admin@' })
})

test('an unlock carries what ended the last hold, and who did it', async () => {
  const lockstep = await start()
  await lockstep.shim('lock', asNobody('OATH1', 'u1'))
  await lockstep.settled()
  await lockstep.shim('unlock', asAdmin('OATH1', 'u1'))
  await lockstep.json('lock', 'u2', '--reason', 'on leave')
  await lockstep.json('unlock', 'u2', '--reason', 'back again')
  await lockstep.json('lock', 'u3', '--reason', 'for a moment', '--for', '1s')
  await eventually('the time of the lock is over', async () => (await look(slapd, 'u3')).canBind)
  await lockstep.settled()
  const unlockOf = async (login: string) =>
    (await showOf(lockstep, login)).timeline.findLast(({ what }) => what === 'unlock applied')
  expect(await unlockOf('u1')).toMatchObject({ reason: { code: 'token-usable' }, actor: 'admin@' })
  expect(await unlockOf('u2')).toMatchObject({ reason: { code: 'manual' }, details: 'back again' })
  expect(await unlockOf('u3')).toMatchObject({ reason: { code: 'hold-expired' } })
})

test('the LDIF header has the sentence in English and the code with its parameters', async () => {
  const lockstep = await start()
  await lockstep.shim('lock', asNobody('OATH1', 'u1'))
  await lockstep.settled()
  const text = readFileSync(join(lockstep.ldifDir, 'unlock', 'OATH1.ldif'), 'utf8')
  expect(text).toContain(
    '# reason: token OATH1 reached its max fail count\n# code: token-max-fail {"serial":"OATH1"}\n',
  )
  type Journal = { records: { kind: string; body: object }[] }
  const { records } = await lockstep.json<Journal>('journal', '--limit', '50')
  expect(records.find(({ kind }) => kind === 'planned')?.body).toMatchObject({
    reason: { code: 'token-max-fail', params: { serial: 'OATH1' }, text: 'token OATH1 reached its max fail count' },
  })
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

test('who was locked by hand reads nothing about failed attempts; who reached the max fail count does', async () => {
  const lockstep = await start()
  await lockstep.json('lock', 'u1', '--reason', 'laptop stolen')
  const [byHand] = await mailsTo('u1@example.org', 1)
  await lockstep.json('unlock', 'u1', '--reason', 'found')
  await lockstep.json('lock', 'u1', '--reason', 'stolen again')
  await lockstep.shim('lock', asNobody('OATH2', 'u2'))
  const [full] = await mailsTo('u2@example.org', 1)
  for (const part of [byHand?.text, byHand?.html]) {
    expect(part).toContain('Die Administration hat das Konto gesperrt.')
    expect(part).not.toMatch(/Fehlversuch|Token/)
    expect(part).not.toContain('laptop')
  }
  for (const part of [full?.text, full?.html]) expect(part).toMatch(/Fehlversuche nicht selbst verursacht/)
  for (const mail of await mailsTo('u1@example.org', 3)) expect(mail.text).not.toContain('Fehlversuch')
})

test('a mail in German is in German throughout, whatever it is about', async () => {
  const guards = `{ protect: { dns: ['${slapd.userDn('u1')}'] } }`
  const lockstep = await start({ guards })
  await lockstep.shim('lock', asNobody('OATH1', 'u1'))
  const [refused] = await mailsTo(HELP_DESK, 1)
  expect(refused?.text).toContain('das Konto ist geschützt (guards.protect) und wird nicht gesperrt')
  await lockstep.shim('lock', asNobody('OATH2', 'u2'))
  await mailsTo('u2@example.org', 1)
  await lockstep.shim('unlock', asAdmin('OATH2', 'u2'))
  await mailsTo('u2@example.org', 2)
  await mailsTo(HELP_DESK, 3)
  const english = /\b(the|its|is|not|token [A-Z]|account|count|protected|locked|unlocked)\b/
  for (const { text } of sink.mails()) expect(text.replaceAll(/lockstep [a-z]+|guards\.\w+/g, '')).not.toMatch(english)
})

interface Outcome {
  readonly exits: readonly (readonly [string, number])[]
  readonly locks: readonly boolean[]
  readonly mails: readonly string[]
  readonly findings: readonly string[]
  readonly standings: readonly string[]
  readonly journal: readonly string[]
}

interface Told {
  readonly audience: string
  readonly recipient: string
  readonly counts: Readonly<Record<string, number>>
}

/** However they were gathered into mails: who was told how often of what. */
function reportedOf(mails: readonly Told[]): string[] {
  const sums = new Map<string, number>()
  for (const { audience, recipient, counts } of mails) {
    for (const [kind, count] of Object.entries(counts)) {
      const name = `${audience} ${recipient} ${kind}`
      sums.set(name, (sums.get(name) ?? 0) + count)
    }
  }
  return [...sums].map(([name, count]) => `${name}: ${count}`).toSorted()
}

/** One day of everything that used to be told in sentences. */
async function liveThrough(env: Record<string, string>): Promise<Outcome> {
  const lockstep = await start({ guards: `{ protect: { dns: ['${slapd.userDn('u4')}'] } }`, env })
  const exits: [string, number][] = []
  const run = async (...args: string[]): Promise<void> => {
    exits.push([args.join(' '), (await lockstep.cli(...args)).code])
  }
  await lockstep.shim('register', asAdmin('OATH1', 'u1'))
  for (const user of PEOPLE) await lockstep.shim('lock', asNobody(`OATH${user.slice(1)}`, user))
  await lockstep.settled()
  await lockstep.shim('unlock', asAdmin('OATH2', 'u2'))
  await lockstep.settled()
  const free = `dn: ${slapd.userDn('u1')}\nchangetype: modify\nreplace: pwdAccountLockedTime\n`
  expect((await slapd.ldapmodify(free)).code).toBe(0)
  await run('retry')
  await lockstep.settled()
  await run('lock', 'u2', '--reason', 'on leave')
  await run('lock', 'nobody', '--reason', 'x')
  await run('pause', '--reason', 'maintenance')
  await run('unlock', 'u2', '--reason', 'back')
  await run('resume', '--reason', 'over')
  await lockstep.settled()
  await run('undo', '--since', '1h')
  await run('show', 'u9')
  await run('journal', '--verify')
  await run('status')
  await run('unlock', 'u3', '--reason', 'the end of the day')
  const told = await eventually('the last thing is told', async () => {
    const { mails } = await lockstep.json<{ mails: Told[] }>('mail', 'list', '--limit', '500')
    const last = mails.some(({ recipient, counts }) => recipient === 'u3' && (counts['unlocked'] ?? 0) > 0)
    return last ? mails : undefined
  })
  const { findings } = await lockstep.json<{ findings: { code: string }[] }>('status')
  type Accounts = { accounts: { login: string; standing: string; standingReason: Reason | null }[] }
  const { accounts } = await lockstep.json<Accounts>('accounts')
  type Journal = { records: { kind: string; body: { reason?: Reason | null; why?: Reason | null } }[] }
  const { records } = await lockstep.json<Journal>('journal', '--limit', '500')
  const locks: boolean[] = []
  for (const user of PEOPLE) locks.push((await look(slapd, user)).canBind)
  const outcome = {
    exits,
    locks,
    mails: reportedOf(told),
    findings: findings.map(({ code }) => code).toSorted(),
    standings: accounts
      .map(({ login, standing, standingReason }) => `${login} ${standing} ${standingReason?.code}`)
      .toSorted(),
    journal: records.map(({ kind, body }) => `${kind} ${body.reason?.code ?? body.why?.code ?? ''}`).toSorted(),
  }
  const text = (await lockstep.cli('show', 'u1')).stdout
  expect(text.includes('token OATH1 reached its max fail count')).toBe(
    env['LOCKSTEP_INTERNAL_BARE_REASONS'] === undefined,
  )
  return outcome
}

test('with every sentence as its bare code, locks, mails, findings and exit codes are the same', async () => {
  const words = await liveThrough({})
  await closeOpened()
  sink = opened.use(await startMailSink())
  const codes = await liveThrough({ LOCKSTEP_INTERNAL_BARE_REASONS: '1' })
  expect(codes).toEqual(words)
  expect(words.mails).toContain('owner u1 unlocked: 1')
})
