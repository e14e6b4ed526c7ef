import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, expect } from 'vitest'
import { otpauthOf } from '../../privacyidea/simulator/tokens.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink } from '../../servers/mail/mail-sink.ts'
import { qrCodeOfMail } from '../../servers/mail/qr-code.ts'
import { lockstep, lockstepTest as test, shared, slapd } from '../../support/fixture.ts'
import type { Ran } from '../../support/lockstep.ts'
import { describePeople, mailYaml } from '../mail/mail-fixture.ts'

/** New tokens by `lockstep enroll`, on a simulated privacyIDEA with real slapd and a real mail server. */

/** Users of the roll-out that is killed; a full-sized one takes some minutes. */
const USERS = Number(process.env['LOCKSTEP_ROLLOUT_USERS'] ?? 60)
const ROLLOUT_TIMEOUT_MS = 120_000 + USERS * 200
const GROUP = 'cn=staff,dc=example,dc=org'
const SEARCHED_BYTES_MAX = 100_000_000

let simulator: Simulator
let sink: MailSink
let mailsBefore = 0
let ids: ReadonlyMap<string, string>

interface Report {
  readonly users: number
  readonly made: readonly { readonly login: string; readonly serial: string }[]
  readonly doneBefore: number
  readonly skipped: readonly unknown[]
  readonly failed: readonly { readonly login: string }[]
  readonly left: number
  readonly stopped: { readonly code: string } | null
}

test.override('slapdOptions', () => {
  const members = [1, 2, 3].map((number) => `member: uid=u${number},ou=people,dc=example,dc=org`)
  const inner = `dn: cn=night,dc=example,dc=org\nobjectClass: groupOfNames\ncn: night\nmember: uid=u4,ou=people,dc=example,dc=org\n`
  const outer = `dn: ${GROUP}\nobjectClass: groupOfNames\ncn: staff\n${members.join('\n')}\nmember: cn=night,dc=example,dc=org\n`
  return { users: USERS, extraLdif: `${outer}\n${inner}` }
})
test.override('lockstepOptions', async () => {
  simulator = shared.use(await startSimulator())
  sink = shared.use(await startMailSink())
  const source = `privacyidea: { url: '${simulator.url}', user: admin, passwordEnv: PI_PASSWORD }\n`
  return {
    yaml: `${source}${mailYaml(sink, ['contact: IT service desk'])}`,
    realms: '{ r1: corp }',
    env: { PI_PASSWORD: 'secret' },
  }
})
test.beforeAll(async () => {
  ids = await entryUuids()
  await lockstep.stop()
  await describePeople(slapd, {
    u1: { mail: 'u1@example.org', name: 'Ursula <img src=x onerror=alert(1)> Eins', language: 'de' },
  })
})
beforeEach(async () => {
  const { stock } = simulator.world
  for (const token of [...stock.tokens]) stock.removeToken(token)
  for (const login of [...stock.users.values()].map((user) => user.login)) stock.removeUser(login)
  for (const [login, id] of ids) stock.addUser(login, id)
  // There is a token that has nothing to do with it.
  stock.addUser('other', 'id-of-other')
  stock.addToken('OTHER1', { userId: 'id-of-other' })
  sink.fault({})
  mailsBefore = sink.count()
})

/** By login, as the directory knows them. */
async function entryUuids(): Promise<ReadonlyMap<string, string>> {
  const text = await slapd.ldapsearch('-b', slapd.peopleDn, '-s', 'one', 'uid', 'entryUUID')
  const entries = text
    .split('\n\n')
    .map((entry) => [/^uid: (.+)/m.exec(entry)?.[1], /^entryUUID: (.+)/m.exec(entry)?.[1]])
  return new Map(entries.flatMap(([login, id]) => (login === undefined || id === undefined ? [] : [[login, id]])))
}

function tokensOf(login: string): readonly SimToken[] {
  const user = simulator.world.stock.userOf(login)
  return user === null ? [] : simulator.world.stock.tokensOf(user.userId)
}

function enroll(...args: readonly string[]): Promise<Ran> {
  return lockstep.cli('enroll', ...args)
}

function csv(name: string, lines: readonly string[]): string {
  const file = join(lockstep.dir, name)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

const logins = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index + 1}`)

test('a user gets a new token, and a mail in his language whose QR code is the token', async () => {
  const ran = await enroll('u1', '--mail', '--json')
  expect(ran.stderr).toBe('')
  const { serial } = ran.json<{ serial: string }>()
  const [token] = tokensOf('u1')
  expect(token).toMatchObject({ serial, type: 'totp' })
  await eventually('the mail', () => sink.count() === mailsBefore + 1)
  const [mail] = sink.mails().slice(mailsBefore)
  expect(mail).toMatchObject({ to: 'u1@example.org', subject: `Ihr neuer Token ${serial}` })
  expect(mail?.html).toContain('Ursula &lt;img src=x onerror=alert(1)&gt; Eins')
  expect(mail?.text).toContain('IT service desk')
  expect(await qrCodeOfMail(mail?.raw ?? '')).toEqual({
    contentId: '<token_image>',
    says: otpauthOf('totp', serial, token?.key ?? ''),
  })
  expect(ran.stdout).not.toContain('secret')
})

test('no token is made, and nothing mailed, by what another directory than the one on record says', async () => {
  expect((await enroll('u1', '--mail', '--json')).code).toBe(0)
  await eventually('the mail', () => sink.count() === mailsBefore + 1)
  const database = new DatabaseSync(lockstep.storeFile, { timeout: 5_000 })
  const key = 'directory-identity corp'
  const before = database.prepare('select value from meta where key = ?').get(key)?.['value']
  expect(before).toBeTypeOf('string')
  const write = database.prepare('update meta set value = ? where key = ?')
  write.run(JSON.stringify({ ...JSON.parse(String(before)), baseId: '00000000-0000-0000-0000-000000000000' }), key)
  const ran = await enroll('u1', '--mail', '--json')
  write.run(String(before), key)
  database.close()
  expect(ran.code).toBe(78)
  expect(ran.document()).toMatchObject({ error: { code: 'directory-changed' } })
  expect(tokensOf('u1')).toHaveLength(1)
  expect(sink.count()).toBe(mailsBefore + 1)
})

test('without mail the QR code is not written into a pipe', async () => {
  const ran = await enroll('u2')
  expect(ran.code).toBe(64)
  expect(ran.stderr).toContain('the QR code is shown on a terminal only')
  expect(tokensOf('u2')).toEqual([])
})

test('a dry run names for whom, and makes nothing', async () => {
  simulator.world.stock.addToken('HAS1', { userId: ids.get('u2') ?? '' })
  const file = csv('dry.csv', ['login', 'u1', 'u2', 'nobody'])
  const report = (await enroll('--csv', file, '--mail', '--dry-run', '--json')).json<Report>()
  expect(report.made.map(({ login }) => login)).toEqual(['u1'])
  expect(report.skipped).toMatchObject([
    { login: 'u2', why: { code: 'has-token', params: { serial: 'HAS1' } } },
    { login: 'nobody', why: { code: 'unknown-user' } },
  ])
  expect(tokensOf('u1')).toEqual([])
  expect(sink.count()).toBe(mailsBefore)
})

test(
  'a roll-out that is killed twice goes on: one token and one mail for each, and no secret on disk',
  async () => {
    const all = logins(USERS)
    const file = csv('killed.csv', ['Login;Type', ...all.map((login) => `${login};totp`), 'u7;totp'])
    const args = ['enroll', '--csv', file, '--mail', '--rate', '200/s']
    const secrets = new Set<string>()
    const remember = (): void => {
      for (const { key, serial, type } of simulator.world.stock.tokens) {
        const secret = /secret=(\w+)/.exec(otpauthOf(type, serial, key))?.[1]
        if (secret !== undefined) secrets.add(secret).add(key)
      }
    }
    for (const share of [0.2, 0.6]) {
      const child = lockstep.startBeside(...args)
      await eventually('some mails', () => sink.count() - mailsBefore >= USERS * share, ROLLOUT_TIMEOUT_MS)
      child.kill('SIGKILL')
      await new Promise((resolve) => child.once('close', resolve))
      remember()
    }
    const report = (await enroll('--csv', file, '--mail', '--rate', '200/s', '--json')).json<Report>()
    remember()
    expect(report).toMatchObject({ users: USERS, skipped: [], failed: [], left: 0, stopped: null })
    expect(report.made.length + report.doneBefore).toBe(USERS)
    for (const login of all) expect(tokensOf(login), login).toHaveLength(1)

    // A mail whose way was cut off by the kill may come twice, under one Message-ID; the newest holds the token that is there.
    const mails = sink.mails().slice(mailsBefore)
    const ids = new Map(mails.map((mail) => [mail.headers.get('message-id'), mail]))
    expect(ids.size).toBe(USERS)
    expect(mails.length - USERS).toBeLessThanOrEqual(2 * 4)
    for (const mail of ids.values()) {
      const [token] = tokensOf(mail.to.split('@')[0] ?? '')
      if (token === undefined) throw new Error(`a mail to ${mail.to} without a token`)
      expect((await qrCodeOfMail(mail.raw)).says).toBe(otpauthOf('totp', token.serial, token.key))
    }
    const again = (await enroll('--csv', file, '--mail', '--json')).json<Report>()
    expect(again).toMatchObject({ made: [], doneBefore: USERS })
    expect(secrets.size).toBeGreaterThanOrEqual(2 * USERS)
    expect(filesWith(lockstep.dir, [...secrets])).toEqual([])
    expect([...secrets].filter((secret) => lockstep.log().includes(secret))).toEqual([])
  },
  ROLLOUT_TIMEOUT_MS,
)

test('everybody in a group gets one, also those in a group within it', async () => {
  const report = (await enroll('--group', GROUP, '--mail', '--rate', '100/s', '--json')).json<Report>()
  expect(report.made.map(({ login }) => login).toSorted()).toEqual(['u1', 'u2', 'u3', 'u4'])
})

test('whose mail is refused has no token, and the others have theirs', async () => {
  sink.fault({ refuse: ['u2@example.org'] })
  const file = csv('refused.csv', ['login', 'u1', 'u2', 'u3'])
  const ran = await enroll('--csv', file, '--mail', '--json')
  expect(ran.code).toBe(75)
  const report = ran.json<Report>()
  expect(report.made.map(({ login }) => login).toSorted()).toEqual(['u1', 'u3'])
  expect(report.failed.map(({ login }) => login)).toEqual(['u2'])
  expect(tokensOf('u2')).toEqual([])
  sink.fault({})
  const again = (await enroll('--csv', file, '--mail', '--json')).json<Report>()
  expect(again.made.map(({ login }) => login)).toEqual(['u2'])
})

test('bad addresses of some fail for these alone, however many come one after the other', async () => {
  sink.fault({ answers: { RCPT: '550 Unrouteable address' } })
  const ran = await enroll('--csv', csv('bad.csv', ['login', ...logins(6)]), '--mail', '--rate', '100/s', '--json')
  sink.fault({})
  expect(ran.code).toBe(75)
  expect(ran.json<Report & { left: number }>()).toMatchObject({ made: [], stopped: null, left: 0 })
  expect(logins(6).flatMap(tokensOf)).toEqual([])
})

test('a mail server that refuses everybody by clear codes stops it, and it goes on', async () => {
  sink.fault({ answers: { RCPT: '504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname' } })
  const file = csv('denied.csv', ['login', ...logins(20)])
  const ran = await enroll('--csv', file, '--mail', '--json')
  expect(ran.code).toBe(77)
  const report = ran.json<Report & { left: number }>()
  expect(report.stopped?.code).toBe('mail-not-permitted')
  // Four are in work at a time.
  expect(report.left).toBeGreaterThan(12)
  expect(logins(20).flatMap(tokensOf)).toEqual([])
  sink.fault({})
  const again = (await enroll('--csv', file, '--mail', '--rate', '100/s', '--json')).json<Report>()
  expect(again.made).toHaveLength(20)
})

test('a mail server that is away stops it, nobody is left with a token he was not told of, and it goes on', async () => {
  await sink.stop()
  const file = csv('away.csv', ['login', ...logins(10)])
  const ran = await enroll('--csv', file, '--mail', '--json')
  expect(ran.code).toBe(75)
  expect(ran.json<Report>().stopped?.code).toBe('mail-unreachable')
  expect(logins(10).flatMap(tokensOf)).toEqual([])
  await sink.start()
  const again = (await enroll('--csv', file, '--mail', '--rate', '100/s', '--json')).json<Report>()
  expect(again.made).toHaveLength(10)
})

test('a user store that is away is told as that, and nobody is skipped for it', async () => {
  simulator.world.isUserStoreUp = false
  const ran = await enroll('--csv', csv('store.csv', ['login', 'u1', 'u2']), '--mail', '--json')
  simulator.world.isUserStoreUp = true
  expect(ran.code).toBe(75)
  expect(ran.json<Report>()).toMatchObject({ made: [], skipped: [], stopped: { code: 'source-resolver' } })
})

test.each([
  ['no column of logins', ['name', 'u1'], ':1: no column is called login'],
  ['a type that is none', ['login,type', 'u1,push'], ':2: type: expected one of totp, hotp'],
  ['a line with too much', ['login,type', 'u1,totp', 'u2,totp,x'], ':3: it has another number of fields'],
  ['no user', ['login'], ':1: no user is below'],
])('a file with %s is refused with its line, and nothing is made', async (_what, lines, message) => {
  const file = csv('wrong.csv', lines)
  const ran = await enroll('--csv', file, '--mail')
  expect(ran.code).toBe(65)
  expect(ran.stderr).toContain(`${file}${message}`)
  expect(simulator.world.stock.tokens).toHaveLength(1)
})

/** The files below a folder that hold one of these words. */
function filesWith(dir: string, words: readonly string[]): string[] {
  const bytes = Number(execFileSync('du', ['-sb', dir]).toString().split('\t')[0])
  if (bytes > SEARCHED_BYTES_MAX) throw new Error(`${bytes} bytes are too many to search`)
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const text = readFileSync(file, 'latin1')
      return words.some((word) => text.includes(word))
    })
}
