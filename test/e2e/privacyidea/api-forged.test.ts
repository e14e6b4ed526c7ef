import { expect, test } from 'vitest'
import { TOKEN_EVENT_KINDS } from '../../../src/core/events/event.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { lookAtAll } from '../../support/account-view.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import { HOOK_SECRET, openReadOnly, type Lockstep } from '../../support/lockstep.ts'

/**
 * Somebody knows the webhook's secret, and may write into the spool: 10,000 lies about users and tokens that exist, that do
 * not, and that are no names at all, while privacyIDEA says that nothing has happened.
 */

const USERS = 20
const LIES_OF_EACH_KIND = 5_000
const AT_ONCE = 16
const SHIMS = 20
const TAKEN_WITHIN_MS = 120_000
const FAILURES_MAX = 3

/** Repeats itself, so that a failure can be looked into. */
function chances(seed: number): (max: number) => number {
  let state = seed
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * max)
  }
}

async function fill(simulator: Simulator, slapd: Slapd): Promise<void> {
  const { stock, admins } = simulator.world
  admins.set('lockstep', 'lockstep-secret')
  const text = await slapd.ldapsearch('-b', slapd.peopleDn, '(uid=*)', 'uid', 'entryUUID')
  for (const entry of text.split('\n\n')) {
    const login = /^uid: (.*)$/m.exec(entry)?.[1]
    const userId = /^entryUUID: (.*)$/m.exec(entry)?.[1]
    if (login === undefined || userId === undefined) continue
    const number = Number(login.slice(1))
    stock.addUser(login, userId)
    const token = stock.addToken(`S${number}`, { userId })
    token.maxfail = FAILURES_MAX
    // One is full, and others have failed almost often enough.
    token.failcount = number === 1 ? FAILURES_MAX : number % FAILURES_MAX
  }
}

const ODD = [
  'none',
  'None',
  '',
  '*',
  '*)(uid=*',
  '../../etc/passwd',
  'u1\0',
  'ü\u202e',
  '%00',
  '{"$ne":1}',
  'a'.repeat(300),
]

interface Lie {
  readonly kind: (typeof TOKEN_EVENT_KINDS)[number]
  readonly serial: string
  readonly user: string
  readonly realm: string
}

function lieBy(pick: (max: number) => number): Lie {
  const odd = (): string => ODD[pick(ODD.length)] ?? ''
  const number = (): number => 1 + pick(2 * USERS)
  return {
    kind: TOKEN_EVENT_KINDS[pick(TOKEN_EVENT_KINDS.length)] ?? 'lock',
    serial: [`S${number()}`, `S${number()},S${number()}`, 'none', odd()][pick(4)] ?? '',
    user: [`u${number()}`, `U${number()}`, 'none', odd()][pick(4)] ?? '',
    realm: ['r1', 'r1', 'R1', 'elsewhere', odd()][pick(5)] ?? '',
  }
}

function bodyOf({ serial, user, realm }: Lie, pick: (max: number) => number): Buffer {
  const forms = [
    new URLSearchParams({ serial, user, realm }).toString(),
    `user=${user}&realm=${realm}&serial=${serial}`,
    JSON.stringify({ serial, user, realm }),
  ]
  const body = Buffer.from(forms[pick(forms.length)] ?? '')
  // Now and then a byte that belongs nowhere.
  if (pick(10) === 0 && body.length > 0) body[pick(body.length)] = pick(256)
  return body
}

/** @returns how many were taken */
async function eventByWebhook(port: number, pick: (max: number) => number): Promise<number> {
  let left = LIES_OF_EACH_KIND
  let taken = 0
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const lie = lieBy(pick)
      const { status } = await fetch(`http://127.0.0.1:${port}/hooks/privacyidea/${HOOK_SECRET}/${lie.kind}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new Uint8Array(bodyOf(lie, pick)),
      })
      expect([202, 400]).toContain(status)
      if (status === 202) taken++
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return taken
}

async function eventByShim(lockstep: Lockstep, pick: (max: number) => number): Promise<void> {
  for (let count = 0; count < LIES_OF_EACH_KIND; count++) {
    const { kind, serial, user, realm } = lieBy(pick)
    const args = ['--serial', serial, '--user', user, '--realm', realm, '--logged_in_user', 'admin@']
    // The shim itself now and then; what it writes otherwise. No program can be given a NUL.
    if (count % (LIES_OF_EACH_KIND / SHIMS) === 0)
      await lockstep.shim(
        kind,
        args.map((text) => text.replaceAll('\0', '?')),
      )
    else lockstep.spool({ kind, args: args.map((text) => text.replaceAll('\0', '?')), takenAtMs: Date.now() })
  }
}

function changesOf(lockstep: Lockstep): unknown {
  using store = openReadOnly(lockstep.storeFile)
  return store.prepare('select kind, count(*) n from change group by kind order by kind').all()
}

test('10,000 forged webhooks and shim calls: nobody is locked, nobody unlocked, no serial comes or goes', async () => {
  await using slapd = await startSlapd({ users: USERS, dbNoSync: true })
  await using simulator = await startSimulator()
  await fill(simulator, slapd)
  const httpPort = await freePort()
  await using lockstep = await createApiLockstep({ slapd, pi: simulator }, { httpPort })
  lockstep.editConfig((yaml) => yaml.replace('http: { ', 'http: { rateLimit: 100000, '))
  await serveSwept(lockstep)
  await lockstep.settled()
  const before = await lookAtAll(slapd)
  expect([...before].filter(([, { lockedTime }]) => lockedTime !== null).map(([login]) => login)).toEqual(['u1'])
  const changes = changesOf(lockstep)

  const pick = chances(20_261_124)
  const [taken] = await Promise.all([eventByWebhook(httpPort, pick), eventByShim(lockstep, pick)])
  expect(taken).toBeGreaterThan(LIES_OF_EACH_KIND / 4)
  await lockstep.settled(TAKEN_WITHIN_MS)
  await lockstep.json('resync')
  await lockstep.settled()

  expect(await lookAtAll(slapd)).toEqual(before)
  expect(changesOf(lockstep)).toEqual(changes)
  expect(await lockstep.json('journal', '--verify')).toMatchObject({ faults: [] })

  // And the truth is still followed.
  const { stock } = simulator.world
  const [second] = stock.tokensOf(stock.userOf('u2')?.userId ?? '')
  if (second !== undefined) second.failcount = FAILURES_MAX
  await lockstep.shim('lock', ['--user', 'u2', '--realm', 'r1'])
  await eventually('u2 is locked', async () => (await lookAtAll(slapd)).get('u2')?.lockedTime !== null)
}, 240_000)
