import { fileURLToPath } from 'node:url'
import { beforeEach, expect } from 'vitest'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import { eventually } from '../../servers/eventually.ts'
import { runTool } from '../../servers/run-tool.ts'
import { lockstep, lockstepTest as test, shared, slapd, user } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** `lockstep show` in mode api: the tokens of an account, as privacyIDEA has them now, or as they were read last. */

/** More than all that `show` asks privacyIDEA may take. */
const SHOWN_WITHIN_MS = 20_000
const NO_SCRIPT = 'script is not installed; install it with: apt-get install -y --no-install-recommends bsdutils'

let simulator: Simulator

interface ShownToken {
  readonly serial: string
  readonly type: string | null
  readonly state: string | null
  readonly failCount: number | null
  readonly failCountMax: number | null
  readonly readAt: string | null
}
interface Shown {
  readonly tokens: readonly ShownToken[]
  readonly tokensUnread: { readonly code: string; readonly message: string } | null
}

test.override('slapdOptions', { users: 20 })
test.override('lockstepOptions', async () => {
  simulator = shared.use(await startSimulator())
  return {
    yaml: `privacyidea: { url: '${simulator.url}', user: admin, passwordEnv: PI_PASSWORD }\nresync: { full: 1h }\n`,
    env: { PI_PASSWORD: 'secret' },
  }
})
beforeEach(() => {
  simulator.world.stock.addUser(user, `id-of-${user}`)
})

/** A token of the user, known to Lockstep. */
async function token(serial: string, change: Partial<SimToken> = {}): Promise<SimToken> {
  const added = simulator.world.stock.addToken(serial, { userId: `id-of-${user}`, ...change })
  await lockstep.shim('register', asAdmin(serial, user))
  await lockstep.settled()
  return added
}

async function shown(): Promise<Shown> {
  const [account] = (await lockstep.json<{ accounts: Shown[] }>('show', user)).accounts
  if (account === undefined) throw new Error(`${user} is not on record`)
  return account
}

async function lines(): Promise<string[]> {
  const { stdout } = await lockstep.cli('show', user)
  return stdout.split('\n').filter((line) => /^ {2}(?:token| {5}) {5}\S/.test(line))
}

test('each token has its type, state and fail counter as they are in privacyIDEA now, and when that was read', async () => {
  const first = await token('LIVE1')
  await token('LIVE2', { type: 'totp', active: false, maxfail: 5 })
  await token('LIVE3', { revoked: true })
  await token('LIVE4', { rolloutState: 'clientwait' })
  // Below the max no event is sent, and nothing on record changes.
  first.failcount = 3
  const startedMs = Date.now()
  const { tokens, tokensUnread } = await shown()
  expect(tokensUnread).toBeNull()
  const facts = tokens.map(({ readAt: _readAt, ...each }) => each)
  expect(facts).toEqual([
    { serial: 'LIVE1', type: 'hotp', state: 'active', failCount: 3, failCountMax: 10 },
    { serial: 'LIVE2', type: 'totp', state: 'disabled', failCount: 0, failCountMax: 5 },
    { serial: 'LIVE3', type: 'hotp', state: 'revoked', failCount: 0, failCountMax: 10 },
    { serial: 'LIVE4', type: 'hotp', state: 'enrolling', failCount: 0, failCountMax: 10 },
  ])
  for (const { readAt } of tokens) expect(Date.parse(readAt ?? '')).toBeGreaterThanOrEqual(startedMs)
  const [line, ...others] = await lines()
  expect(line).toMatch(/^ {2}token {5}LIVE1: hotp, active, fail counter 3 of 10; read \d+ s ago$/)
  expect(others).toHaveLength(3)
  first.failcount = 10
  await lockstep.shim('lock', asNobody('LIVE1', user))
  await lockstep.settled()
  expect((await lines())[0]).toContain('LIVE1: hotp, active, fail counter 10 of 10, full; read ')
})

test('a token that privacyIDEA does not list any more is said to be so', async () => {
  await token('KEPT1')
  const gone = await token('GONE1')
  simulator.world.stock.removeToken(gone)
  const { tokens } = await shown()
  expect(tokens.map(({ serial, state, failCount }) => [serial, state, failCount])).toEqual([
    ['GONE1', 'not-listed', null],
    ['KEPT1', 'active', 0],
  ])
  expect((await lines())[0]).toContain('GONE1: not listed by privacyIDEA; read ')
})

test.each(['is down', 'does not answer', 'answers with a page of HTML'])(
  'while privacyIDEA %s the tokens are as they were read last, with the age and the reason',
  async (how) => {
    const serial = `LAST${user.slice(1)}`
    const one = await token(serial, { failcount: 2 })
    const before = (await shown()).tokens
    // Read by the daemon: the look of a person leaves nothing on record.
    await lockstep.stop()
    one.failcount = 7
    const { faults } = simulator
    if (how === 'is down') await simulator.stop()
    else if (how === 'does not answer') faults.isHung = true
    else faults.htmlStatus = 502
    try {
      const ran = await lockstep.cli('show', user, '--json')
      const [{ tokens, tokensUnread } = { tokens: [], tokensUnread: null }] = ran.json<{ accounts: Shown[] }>().accounts
      expect(ran.code).toBe(0)
      expect(ran.ms).toBeLessThan(SHOWN_WITHIN_MS)
      expect(tokensUnread?.code).toMatch(/^source-/)
      expect(tokens).toEqual([{ ...before[0], failCount: 2, readAt: expect.any(String) as string }])
      expect(tokens[0]?.readAt).not.toBe(before[0]?.readAt)
      const [line, why] = await lines()
      expect(line).toMatch(
        new RegExp(`^ {2}token {5}${serial}: hotp, active, fail counter 2 of 10; read \\d+ \\w+ ago$`),
      )
      expect(why).toMatch(/^ {12}privacyIDEA could not be asked: /)
    } finally {
      Object.assign(faults, { isHung: false, htmlStatus: 0 })
      if (how === 'is down') await simulator.start()
      await lockstep.serve()
    }
  },
)

test('a token that Lockstep itself disabled is shown as disabled, also where privacyIDEA cannot be asked', async () => {
  await using other = await startSimulator({ version: '3.12' })
  const { stock } = other.world
  stock.addUser(user, `id-of-${user}`)
  stock.addToken('MIRROR1', { userId: `id-of-${user}` })
  await using instance = await startLockstep(slapd, {
    yaml: `privacyidea: { url: '${other.url}', user: admin, passwordEnv: PI_PASSWORD }\npolicy: { mirrorDirectoryLocks: disable-tokens }\n`,
    env: { PI_PASSWORD: 'secret' },
  })
  await instance.shim('register', asAdmin('MIRROR1', user))
  await instance.settled()
  const lock = `dn: ${slapd.userDn(user)}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n`
  expect((await slapd.ldapmodify(lock)).code).toBe(0)
  await eventually('its token is disabled', async () => {
    await instance.cli('resync')
    return stock.token('MIRROR1')?.active === false
  })
  // An event has its owner read once more.
  await instance.shim('unlock', asAdmin('MIRROR1', user))
  await instance.settled()
  const states = async (): Promise<(string | null)[]> => {
    const { accounts } = await instance.json<{ accounts: Shown[] }>('show', user)
    return accounts.flatMap(({ tokens }) => tokens.map(({ state }) => state))
  }
  expect(await states()).toEqual(['disabled'])
  await other.stop()
  expect(await states()).toEqual(['disabled'])
})

test('in mode events the tokens are listed, and what nobody said of them is not made up', async () => {
  await using instance = await startLockstep(slapd)
  await instance.shim('register', asAdmin('EVENTS1', user))
  await instance.shim('lock', asNobody('EVENTS1', user))
  await instance.settled()
  const { accounts } = await instance.json<{ accounts: Shown[] }>('show', user)
  const nothing = { type: null, state: null, failCount: null, failCountMax: null, readAt: null }
  expect(accounts).toMatchObject([{ tokens: [{ serial: 'EVENTS1', ...nothing }], tokensUnread: null }])
  expect((await instance.cli('show', user)).stdout).toContain(
    '  token     EVENTS1: fail counter -, not known in mode events\n',
  )
})

test('on a terminal of 80 columns nothing is cut: what is longer goes on below', async () => {
  await token('NARROW1')
  const reason =
    'The laptop was stolen on the way home, so nobody may come in until the police has looked at all of it.'
  await lockstep.cli('lock', user, '--reason', reason)
  const program = fileURLToPath(new URL('../../../bin/lockstep', import.meta.url))
  const command = `stty cols 80; exec ${program} --config ${lockstep.configFile} show ${user}`
  const env = { PI_PASSWORD: 'secret', TERM: 'dumb' }
  const ran = await runTool('/usr/bin/script', ['-qec', command, '/dev/null'], { env, missing: NO_SCRIPT })
  const text = ran.stdout.replaceAll('\r', '')
  const all = text.trimEnd().split('\n')
  expect(Math.max(...all.map((line) => line.length))).toBeLessThanOrEqual(80)
  expect(text).not.toContain('…')
  // Once at the hold, once in the timeline.
  expect(text.replaceAll(/\s+/g, ' ').split(reason).length).toBeGreaterThan(2)
  expect(text).toMatch(/^ {2}token {5}NARROW1: hotp, active, fail counter 0 of 10; read \d+ s ago$/m)
})

test('the command that a plain unlock names resets the fail counter, after the hold has ended; without a full one it says so', async () => {
  const full = await token('ADVICE1', { maxfail: 10 })
  const behind = await token('ADVICE2', { maxfail: 10 })
  full.failcount = 10
  await lockstep.shim('lock', asNobody('ADVICE1', user))
  await lockstep.settled()
  const plain = await lockstep.cli('unlock', user, '--reason', 'a call')
  const next = /^ {2}Next: lockstep (.*) TEXT$/m.exec(plain.stdout)?.[1]?.split(' ') ?? []
  expect(next).toEqual(['unlock', user, '--reset-token', '--reason'])
  // Nobody has reported this one yet: it is full in privacyIDEA alone.
  await lockstep.stop()
  behind.failcount = 10
  const reset = await lockstep.cli(...next, 'a call')
  expect(reset).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('\n  the fail counters of ADVICE1, ADVICE2 were reset\n'),
  })
  expect([full.failcount, behind.failcount]).toEqual([0, 0])
  await lockstep.serve()
  const none = await lockstep.cli(...next, 'a call')
  expect(none.stdout).toContain('\n  no fail counter of a token of the account is full: none was reset\n')
  full.failcount = 10
  await lockstep.shim('lock', asNobody('ADVICE1', user))
  await lockstep.settled()
  await lockstep.cli('unlock', user, '--reason', 'a call')
  expect(await lockstep.json(...next, 'a call')).toMatchObject({
    changed: true,
    tokens: [{ serial: 'ADVICE1', failCounter: 'reset' }],
  })
  expect(full.failcount).toBe(0)
})
