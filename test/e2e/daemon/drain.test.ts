import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { withLease } from '../../servers/file-lease.ts'
import { lookAtAll } from '../../support/account-view.ts'
import { createOwn, slapd, slapdTest as test } from '../../support/fixture.ts'
import { openReadOnly, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** `lockstep drain`, from cron without a daemon, beside one, and beside itself. */

const USERS = 40
const OUR_TIME = '000001010000Z'

interface Report {
  readonly taken: number
  readonly filesWaiting: number
  readonly eventsWaiting: number
  readonly accountsWaiting: number
  readonly reasons: readonly { readonly code: string | null; readonly text: string }[]
  readonly isTimedOut: boolean
  readonly sourceUnread: string | null
}

let lockstep: Lockstep

test.override('slapdOptions', { users: USERS })
beforeEach(async () => {
  lockstep = await createOwn({ directory: 'operationTimeout: 1s' })
})

function spoolDay(): void {
  const nowMs = Date.now() - 1_000
  for (let number = 1; number <= USERS; number++) {
    const user = `u${number}`
    lockstep.spool({ kind: 'register', args: asAdmin(`D${number}`, user), takenAtMs: nowMs })
    lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: nowMs + 1 })
  }
}

async function everybodyIsLocked(): Promise<void> {
  for (const [login, view] of await lookAtAll(slapd)) {
    expect(view, login).toEqual({ lockedTime: OUR_TIME, descriptions: [`privacyIDEA:D${login.slice(1)}`] })
  }
  expect(lockstep.ldif('unlock')).toHaveLength(USERS)
}

/** By the journal: no change was planned on an account before the one before it was closed, and none twice. */
function nobodyWasWorkedOnTwice(): void {
  using store = openReadOnly(lockstep.storeFile)
  const rows = store
    .prepare(`select subject, kind, body from journal where kind in ('planned', 'applied', 'not-applied') order by seq`)
    .all()
  const told = new Map<string, string[]>()
  for (const row of rows) {
    const { change, kind } = JSON.parse(String(row['body'])) as { change: string; kind: string }
    const account = String(row['subject'])
    told.set(account, [...(told.get(account) ?? []), `${String(row['kind'])} ${kind} ${change}`])
  }
  expect(told.size).toBe(USERS)
  for (const [account, steps] of told) {
    const changes = steps.map((step) => step.split(' ')[2] ?? '')
    expect(steps, account).toHaveLength(4)
    expect([changes[0], changes[2]], account).toEqual([changes[1], changes[3]])
    expect(steps.map((step) => step.split(' ').slice(0, 2).join(' ')).toSorted(), account).toEqual([
      'applied lock',
      'applied register',
      'planned lock',
      'planned register',
    ])
  }
}

test('from cron, without a daemon, it does everything that waits and exits with 0', async () => {
  spoolDay()
  const ran = await lockstep.drain('--json')
  expect(ran.code).toBe(0)
  expect(ran.json<Report>()).toEqual({
    taken: 2 * USERS,
    filesWaiting: 0,
    eventsWaiting: 0,
    accountsWaiting: 0,
    reasons: [],
    isTimedOut: false,
    sourceUnread: null,
  })
  await everybodyIsLocked()
  nobodyWasWorkedOnTwice()
  const idle = await lockstep.drain()
  expect({ code: idle.code, stdout: idle.stdout }).toEqual({
    code: 0,
    stdout: '0 event files taken\nnothing waits any more\n',
  })
})

interface Status {
  readonly health: string
  readonly lastDrain: { readonly isRecent: boolean; readonly recentForMs: number } | null
}

/** As if the drains on record had ended so much earlier. */
function drainsWereEarlier(ms: number): void {
  const database = new DatabaseSync(lockstep.storeFile)
  const row = database.prepare(`select value from meta where key = 'drain'`).get()
  const value = JSON.parse(String(row?.['value'])) as { endsMs: number[] }
  const moved = { ...value, endsMs: value.endsMs.map((each) => each - ms) }
  database.prepare(`update meta set value = ? where key = 'drain'`).run(JSON.stringify(moved))
  database.close()
}

test('where cron drains and no daemon runs, status is ok while the last drain is recent, and healthcheck is not', async () => {
  expect(await lockstep.json<Status>('status')).toMatchObject({ health: 'down', lastDrain: null })
  expect((await lockstep.cli('status')).stdout).toMatch(/^down: no daemon serves this store, and no drain ever ran/)
  await lockstep.drain()
  expect(await lockstep.json<Status>('status')).toMatchObject({
    health: 'ok',
    daemon: null,
    lastDrain: { outcome: 'done', isRecent: true, text: '', recentForMs: 900_000 },
  })
  expect((await lockstep.cli('status')).stdout).toMatch(/^ok \(drain, \d+ s ago\)\n/)
  expect((await lockstep.cli('healthcheck')).code).toBe(69)
  drainsWereEarlier(180_000)
  expect((await lockstep.cli('status')).stdout).toMatch(/^ok \(drain, 3 min ago\)\n/)
  drainsWereEarlier(900_000)
  expect((await lockstep.cli('status')).stdout).toMatch(/^down: no daemon .* the last drain ended 18 min ago/)
})

test('a drain every hour is recent for three hours: what is recent follows the distances of the last drains', async () => {
  await lockstep.drain()
  drainsWereEarlier(3_600_000)
  await lockstep.drain()
  drainsWereEarlier(2 * 3_600_000)
  const { health, lastDrain } = await lockstep.json<Status>('status')
  expect([health, lastDrain?.isRecent]).toEqual(['ok', true])
  expect(Math.round((lastDrain?.recentForMs ?? 0) / 60_000)).toBe(180)
  drainsWereEarlier(2 * 3_600_000)
  expect((await lockstep.json<Status>('status')).health).toBe('down')
})

test('a drain that left something undone makes status attention, with the reason and the next step', async () => {
  lockstep.spool({ kind: 'lock', args: asNobody(null, 'mallory'), takenAtMs: Date.now() })
  expect((await lockstep.drain()).code).toBe(75)
  const status = await lockstep.json<Status>('status')
  expect(status).toMatchObject({
    health: 'attention',
    healthReasons: [{ code: 'events-waiting', params: { count: 1 } }],
    lastDrain: { outcome: 'waiting', isRecent: true, text: expect.stringMatching(/mallory/) },
  })
  expect((await lockstep.cli('status')).stdout).toMatch(/^attention \(drain, .*\nNext: check that the user exists/s)
})

test('several drains at once share the work: nothing twice, and nothing left', async () => {
  spoolDay()
  const ran = await Promise.all([1, 2, 3].map(() => lockstep.drain('--json')))
  expect(ran.map(({ code, stderr }) => ({ code, stderr }))).toEqual(ran.map(() => ({ code: 0, stderr: '' })))
  await everybodyIsLocked()
  nobodyWasWorkedOnTwice()
  expect((await lockstep.cli('journal', '--verify')).code).toBe(0)
})

test('beside the daemon: nothing twice, and nothing left', async () => {
  lockstep.startServing()
  spoolDay()
  const ran = await Promise.all([1, 2].map(() => lockstep.drain('--json')))
  expect(ran.map(({ code }) => code)).toEqual([0, 0])
  await lockstep.untilReady()
  await lockstep.settled()
  await everybodyIsLocked()
  nobodyWasWorkedOnTwice()
})

test('with the directory down it exits with 75 and says why; the next one does it', async () => {
  spoolDay()
  await slapd.stop()
  const ran = await lockstep.drain('--json')
  await slapd.start()
  expect(ran.code).toBe(75)
  expect(ran.document()).toMatchObject({
    error: { code: 'not-done-yet' },
    data: { taken: 2 * USERS, eventsWaiting: 2 * USERS },
  })
  const [reason] = ran.json<Report>().reasons
  expect(reason).toMatchObject({ code: 'directory-unreachable', text: expect.stringContaining(slapd.url) })
  expect((await lockstep.drain()).code).toBe(0)
  await everybodyIsLocked()
})

test('it lists the accounts that it counts, and no account that waits for nothing of ours', async () => {
  const theirs = `dn: ${slapd.userDn('u1')}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 20200101000000Z\n`
  expect((await slapd.ldapmodify(theirs)).code).toBe(0)
  await lockstep.json('lock', 'u1', '--reason', 'x')
  await lockstep.json('pause', '--reason', 'x')
  expect((await lockstep.cli('lock', 'u2', '--reason', 'x')).code).toBe(75)
  const ran = await lockstep.drain()
  expect(ran.code).toBe(75)
  expect(ran.stdout).toContain('still waiting: 0 events, 1 account\n')
  const listed = ran.stderr.split('\n').filter((line) => line.startsWith('  '))
  expect(listed).toEqual([expect.stringMatching(/^ {2}u2: /), '  lockstep status shows more, and what to do'])
  await lockstep.json('resume', '--reason', 'x')
  expect((await lockstep.drain()).stderr).not.toMatch(/^ {2}u\d/m)
})

test('in mode api with privacyIDEA away it exits with 75 and says so, after everything else was done', async () => {
  lockstep.editConfig((yaml) => {
    const file = `${lockstep.dir}/ldap-password`
    return `${yaml}\nprivacyidea: { url: 'http://127.0.0.1:9', user: x, passwordFile: ${file} }\n`
  })
  const ran = await lockstep.drain('--json')
  expect(ran.code).toBe(75)
  expect(ran.document()).toMatchObject({
    error: { code: 'not-done-yet' },
    data: { eventsWaiting: 0, accountsWaiting: 0, isTimedOut: false, reasons: [{ code: 'source-unread' }] },
  })
  expect(ran.json<Report>().sourceUnread).toContain('the connection was refused')
  const { healthReasons } = await lockstep.json<{ healthReasons: unknown[] }>('status')
  expect(healthReasons).toContainEqual(expect.objectContaining({ code: 'source-unread' }))
})

test('with a directory that hangs it ends in time with 75; the next one does it', async () => {
  lockstep.spool({ kind: 'lock', args: asNobody(null, 'u1'), takenAtMs: Date.now() })
  slapd.pause()
  const ran = await lockstep.drain('--timeout', '1s')
  slapd.resume()
  expect(ran.code).toBe(75)
  expect(ran.stderr).toContain(slapd.url)
  expect(ran.ms).toBeLessThan(20_000)
  expect((await lockstep.drain()).code).toBe(0)
  expect((await lookAtAll(slapd)).get('u1')?.lockedTime).toBe(OUR_TIME)
})

test('with an event that fits nobody it exits with 75 and names it, after everything else was done', async () => {
  spoolDay()
  lockstep.spool({ kind: 'lock', args: asNobody(null, 'nobody'), takenAtMs: Date.now() })
  const ran = await lockstep.drain()
  expect(ran.code).toBe(75)
  expect(ran.stdout).toContain('still waiting: 1 event, 0 accounts')
  expect(ran.stderr).toContain('lock nobody: ')
  await everybodyIsLocked()
})

test('with a file that cannot be read now it exits with 75 and names it, after everything else was done', async () => {
  spoolDay()
  lockstep.spool({ kind: 'unlock', args: asAdmin(null, 'u1'), takenAtMs: Date.now() })
  const inbox = join(lockstep.spoolDir, 'new')
  const held = readdirSync(inbox).find((name) => readFileSync(join(inbox, name), 'latin1').startsWith('unlock')) ?? ''
  await withLease(join(inbox, held), async () => {
    const ran = await lockstep.drain()
    expect(ran.code).toBe(75)
    expect(ran.stdout).toContain('still waiting: 0 events, 0 accounts, 1 file in the spool')
    expect(ran.stderr).toContain(`${inbox}/${held} cannot be read now: another program holds it (a lease)`)
    await everybodyIsLocked()
  })
  expect((await lockstep.drain()).code).toBe(0)
  expect((await lookAtAll(slapd)).get('u1')?.lockedTime).toBeNull()
})

test('one that was killed in the middle is finished by the next, and by a daemon beside it within seconds', async () => {
  await lockstep.serve()
  slapd.pause()
  spoolDay()
  const killed = await killedDrain()
  slapd.resume()
  expect(killed).toBe('killed')
  await lockstep.settled(30_000)
  await everybodyIsLocked()
})

/** A drain of its own, killed once it holds a lease, or once the daemon holds all of them. */
async function killedDrain(): Promise<string> {
  const other = lockstep.startBeside('drain')
  await eventually('it is at work', () => {
    using store = openReadOnly(lockstep.storeFile)
    return store.prepare("select key from meta where key like 'worker %'").all().length > 1
  })
  const ended = new Promise<string>((resolve) =>
    other.once('exit', (_, signal) => resolve(signal === null ? '' : 'killed')),
  )
  other.kill('SIGKILL')
  return ended
}
