import { expect } from 'vitest'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cellWidth } from '../../../src/cli/terminal/cells.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { runOnTerminal } from '../../servers/debian/terminal.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import { AWKWARD, awkwardLdif, LONG_LOGIN } from './awkward-people.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { mailYaml } from '../mail/mail-fixture.ts'

/** What the commands of mode `api` print on a terminal of 80 columns. */

const FULL = 3
const UNPLACED = `zacharias-${'without-an-account-'.repeat(3)}`
const HOUR_MS = 3_600_000

let simulator: Simulator
let lockstep: Lockstep

test.override('slapdOptions', { users: 2, extraLdif: awkwardLdif() })
test.beforeAll(async () => {
  simulator = shared.use(await startSimulator())
  const { stock, admins, audit } = simulator.world
  admins.set('lockstep', 'lockstep-secret')
  for (const [at, login] of [...AWKWARD, UNPLACED].entries()) {
    const { userId } = stock.addUser(login, await entryUuid(login, at))
    const token = stock.addToken(`OATH${String(at).padStart(8, '0')}`, { userId, maxfail: FULL, failcount: FULL })
    const row = { action: 'POST /validate/check', success: 0, user: login, realm: 'r1', serial: token.serial }
    for (let tries = FULL; tries > 0; tries--) {
      audit.add({ ...row, info: 'wrong otp value' }, Date.now() - (at + 1) * 24 * HOUR_MS - tries * 1_000)
    }
  }
  audit.add({ action: 'GET /token/', success: 1 }, Date.now())
  // Nobody listens there: every mail waits.
  const yaml = mailYaml({ url: `smtp://127.0.0.1:${await freePort()}` })
  lockstep = shared.use(await createApiLockstep({ slapd, pi: simulator }, { yaml }))
  await serveSwept(lockstep)
  await eventually('a mail was tried', async () => {
    const { mails } = await lockstep.json<{ mails: { state: string; why: object | null }[] }>('mail')
    return mails.some(({ state, why }) => state === 'waiting' && why !== null)
  })
  await lockstep.settled()
}, 300_000)

/** As the directory has it; of nobody where it has no such login. */
async function entryUuid(login: string, at: number): Promise<string> {
  const text = await slapd.ldapsearch('-b', slapd.peopleDn, `(uid=${login})`, 'entryUUID')
  return /^entryUUID: (\S+)/m.exec(text)?.[1] ?? `00000000-0000-0000-0000-00000000000${at}`
}

async function shown(command: string): Promise<readonly string[]> {
  const program = fileURLToPath(new URL('../../../bin/lockstep', import.meta.url))
  const ran = await runOnTerminal([program, '--config', lockstep.configFile, ...command.split(' ')])
  expect(ran.code, ran.lines.join('\n')).toBe(0)
  return ran.lines
}

function bare(text: string): string {
  return text.replace(/\s/g, '')
}

test.each(['status', 'owners', 'mail', 'rehearse', 'rehearse --utc', 'resync --dry-run', 'resync --adopt'])(
  'no line of `%s` is wider than 80 cells, and none is cut',
  async (command) => {
    const lines = await shown(command)
    expect(lines.filter((line) => cellWidth(line) > 80)).toEqual([])
    expect(lines.join('')).not.toContain('…')
  },
)

test('owners, mail and rehearse name people in full', async () => {
  expect(bare((await shown('owners')).join(''))).toContain(UNPLACED)
  const mail = bare((await shown('mail')).join(''))
  const rehearsal = bare((await shown('rehearse')).join(''))
  for (const login of AWKWARD) expect(rehearsal).toContain(`${bare(login)}@r1`)
  expect(mail).toContain('helpdesk@example.org')
  expect(mail).toContain('theconnectionwasrefused')
})

test('the breaker that a rehearsal prints is what check takes, copied from a terminal as it stands', async () => {
  const lines = await shown('rehearse')
  const first = lines.indexOf('guards:')
  const copied = lines.slice(first, lines.indexOf('', first)).join('\n')
  expect(copied).toMatch(/^guards:\n {2}breaker:\n {4}maxLocks: \d+\n {4}per: 10m\n {4}limits:\n( {6}- .*\n?){2}$/)
  const file = join(lockstep.dir, 'with-breaker.yaml')
  writeFileSync(file, readFileSync(lockstep.configFile, 'utf8').replace(/^guards: .*/m, copied))
  expect(await lockstep.cli('--config', file, 'check')).toMatchObject({ code: 0 })
})

test('a rehearsal says what its columns hold, and each has a title that fits', async () => {
  const { stdout } = await lockstep.cli('rehearse')
  expect(stdout).toMatch(/^LOGIN .* HOW KNOWN +NOTE$/m)
  expect(stdout).toContain('How known: counted = ')
})

test('a page that cannot be written is refused before privacyIDEA is asked', async () => {
  const file = join(lockstep.dir, 'nobody-answers.yaml')
  const dead = `http://127.0.0.1:${await freePort()}`
  writeFileSync(file, readFileSync(lockstep.configFile, 'utf8').replace(simulator.url, dead))
  const run = (out: string) => lockstep.cli('--config', file, 'rehearse', '--out', out)
  expect(await run('/nonexist/x.html')).toMatchObject({ code: 64, stderr: expect.stringContaining('/nonexist/x.html') })
  expect(await run(lockstep.dir)).toMatchObject({ code: 74, stderr: expect.stringContaining('it is a folder') })
  expect(await run(join(lockstep.dir, 'page.html'))).toMatchObject({ code: 75 })
  expect(readdirSync(lockstep.dir).filter((name) => name.startsWith('page.html'))).toEqual([])
})

test('a rehearsal shows times of this machine on a terminal, and those of the audit log through a pipe', async () => {
  const document = await lockstep.json<{ locks: { login: string; from: string }[] }>('rehearse')
  const { from = '' } = document.locks.find(({ login }) => login === LONG_LOGIN) ?? {}
  const local = new Date(from).toLocaleTimeString('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' })
  const lines = await shown('rehearse')
  const at = lines.findIndex((line) => line.startsWith(LONG_LOGIN))
  expect(lines.slice(at, at + 2).join(' ')).toContain(` ${local} `)
  expect(bare(lines.join(''))).toContain('timesofthismachine,Europe/Berlin')
  expect(bare((await shown('rehearse --utc')).join(''))).toContain(from)
  expect((await lockstep.cli('rehearse')).stdout).toMatch(/ \d{4}-\d\d-\d\d \d\d:\d\d /)
})
