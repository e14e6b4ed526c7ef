import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { look } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, newUser, slapd, user } from '../../support/fixture.ts'
import { createLockstep, startLockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The commands, as people and scripts see them. */

test.override('slapdOptions', { users: 60 })

interface AccountJson {
  readonly key: string
  readonly dn: string
  readonly login: string
  readonly lockedByUs: boolean
  readonly standing: string
  readonly holds: readonly { readonly name: string }[]
}
interface Accounts {
  readonly accounts: readonly AccountJson[]
}
interface Shown {
  readonly accounts: readonly {
    readonly account: AccountJson
    readonly serials: readonly string[]
    readonly timeline: readonly { readonly what: string }[]
  }[]
}

async function lockedToken(serial: string): Promise<void> {
  await lockstep.shim('register', asAdmin(serial, user))
  await lockstep.shim('lock', asNobody(serial, user))
  await lockstep.settled()
}

async function people(...args: readonly string[]): Promise<string> {
  const ran = await lockstep.cli(...args)
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
  // A pipe gets no colours.
  expect(ran.stdout).not.toContain('\u001b')
  return ran.stdout
}

test('status tells health, daemon, counts and who is locked', async () => {
  await lockedToken('STAT1')
  const status = await lockstep.json<{
    health: string
    daemon: { pid: number }
    counts: Record<string, number>
    locked: AccountJson[]
    waits: unknown[]
  }>('status')
  expect(status).toMatchObject({ health: 'ok', daemon: { pid: lockstep.pid }, waits: [] })
  expect(status.counts).toMatchObject({ accountsHeld: 1, accountsLockedByUs: 1, eventsWaiting: 0, queueDue: 0 })
  expect(status.locked.map(({ login, holds }) => [login, holds.map(({ name }) => name)])).toEqual([[user, ['STAT1']]])
  const text = await people('status')
  expect(text).toMatch(/^ok\n/)
  expect(text).toContain(`process ${lockstep.pid}, serving since `)
  // The picture in the README has the lines of today (npm run pictures); `review` is there while something waits.
  const picture = readFileSync(new URL('../../../docs/pictures/status.svg', import.meta.url), 'utf8')
  const labels = [...picture.matchAll(/<text x="16" [^>]*>([a-z]+)<\/text>/g)].map(([, label]) => label ?? '')
  const lines = [...(text.split('\n\n')[0] ?? '').matchAll(/^([a-z]+) {2,}\S/gm)].map(([, label]) => label ?? '')
  const first = labels.slice(labels.indexOf('daemon'), labels.indexOf('journal') + 1)
  expect(first.filter((label) => label !== 'review')).toEqual(lines)
  expect(text).toMatch(new RegExp(`^${user} +STAT1 +`, 'm'))
})

test('accounts lists who is on record, and with --locked who is held', async () => {
  await lockstep.shim('register', asAdmin('ACC1', user))
  await lockstep.settled()
  const all = await lockstep.json<Accounts>('accounts')
  expect(all.accounts.map(({ login }) => login)).toContain(user)
  const locked = await lockstep.json<Accounts>('accounts', '--locked')
  expect(locked.accounts.map(({ login }) => login)).not.toContain(user)
  expect(await people('accounts')).toContain(slapd.userDn(user))
})

test('show finds an account by login, serial, key and DN, and tells its timeline', async () => {
  await lockedToken('SHOW1')
  const {
    accounts: [byLogin],
  } = await lockstep.json<Shown>('show', user)
  expect(byLogin?.serials).toEqual(['SHOW1'])
  expect(byLogin?.account).toMatchObject({ login: user, lockedByUs: true, standing: 'in-step' })
  const steps = byLogin?.timeline.map(({ what }) => what) ?? []
  expect(steps.toSorted()).toEqual(['event lock', 'event register', 'lock applied', 'register applied'])
  for (const name of ['SHOW1', byLogin?.account.key ?? '', slapd.userDn(user)]) {
    expect((await lockstep.json<Shown>('show', name)).accounts[0]?.account.login, name).toBe(user)
  }
  const text = await people('show', 'SHOW1')
  expect(text).toContain('locked    by us')
  expect(text).toContain('token SHOW1 reached its max fail count')
  const unknown = await lockstep.cli('show', 'nobody-at-all')
  expect(unknown.code).toBe(67)
  expect(unknown.stderr).toBe(
    'lockstep: nothing is on record about nobody-at-all\n' +
      '  Lockstep has an account on record from its first event on; lockstep events shows what came in.\n',
  )
})

test('events lists what came in, newest first, with who and what became of it', async () => {
  await lockedToken('EV1')
  expect(await lockstep.json('events', '--limit', '2')).toMatchObject({
    events: [
      { kind: 'lock', serial: 'EV1', actor: '', source: 'shim', state: 'resolved' },
      { kind: 'register', serial: 'EV1', actor: 'admin@', source: 'shim', state: 'resolved' },
    ],
  })
  expect(await people('events', '--limit', '2')).toMatch(/register +EV1 +\S+@r1 +admin@ +shim +resolved/)
  expect((await lockstep.cli('events', '--state', 'nonsense')).code).toBe(64)
})

test('journal tells every step with its number, and --verify that the chain is whole', async () => {
  await lockedToken('JOUR1')
  const { records } = await lockstep.json<{ records: { seq: number; kind: string }[] }>('journal')
  expect(records.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['event', 'planned', 'applied']))
  const last = records.at(-1)?.seq ?? 0
  expect(records.map(({ seq }) => seq)).toEqual(records.map((_, at) => last - records.length + 1 + at))
  const from = await lockstep.json<{ records: { seq: number }[] }>('journal', '--from', '1', '--limit', '2')
  expect(from.records.map(({ seq }) => seq)).toEqual([1, 2])
  expect(await lockstep.json('journal', '--verify')).toEqual({ records: last, faults: [] })
  expect(await people('journal', '--verify')).toBe(`${last} records, the chain is whole\n`)
})

test('journal --verify names a record that was changed past Lockstep, and exits with 65', async () => {
  await using own = await createLockstep(slapd)
  await own.json('lock', user, '--reason', 'to be hidden')
  const database = new DatabaseSync(own.storeFile)
  database.exec("update journal set body = replace(body, 'hidden', 'denied') where seq = 1")
  database.close()
  const ran = await own.cli('journal', '--verify')
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 65, stderr: '  record 1 was changed\n' })
  expect(ran.stdout).toContain('the chain is broken in 1 place')
  const json = await own.cli('journal', '--verify', '--json')
  expect(json.document()).toMatchObject({
    error: { code: 'chain-broken' },
    data: { faults: [{ seq: 1, what: 'record 1 was changed' }] },
  })
  await own.json('unlock', user, '--reason', 'enough')
})

test('lock holds an account with its reason, and unlock releases it', async () => {
  const locked = await lockstep.json<{ lock: string; account: AccountJson }>('lock', user, '--reason', 'on leave')
  expect(locked.lock).toBe('ours')
  const reason = { code: 'manual', params: { text: 'on leave' }, text: 'on leave' }
  expect(locked.account.holds).toMatchObject([{ kind: 'manual', reason, until: null }])
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(lockstep.ldif('unlock')).toContain(`${locked.account.holds[0]?.name}.ldif`)
  const released = await people('unlock', user, '--reason', 'back')
  expect(released).toContain(`${slapd.userDn(user)}: unlocked\n  ended: held by `)
  expect(released).toContain('until lockstep unlock: on leave\n  the lock in the directory was removed\n')
  expect((await look(slapd, user)).canBind).toBe(true)
  expect(await people('lock', user, '--reason', 'again')).toBe(`${slapd.userDn(user)}: locked\n`)
  await lockstep.json('unlock', user, '--reason', 'back')
})

/** As the server does after too many failures: somebody else's lock. */
async function lockByOthers(): Promise<void> {
  const line = 'pwdAccountLockedTime: 20260101000000Z'
  const text = `dn: ${slapd.userDn(user)}\nchangetype: modify\nadd: pwdAccountLockedTime\n${line}\n`
  expect((await slapd.ldapmodify(text)).code).toBe(0)
}

test.each([
  ['with a daemon', true],
  ['without one', false],
])('%s, lock and unlock under somebody else’s lock say so, once, and unlock exits with 69', async (_name, isServed) => {
  await using own = isServed ? null : await createLockstep(slapd)
  const instance = own ?? lockstep
  await lockByOthers()
  expect(await instance.cli('lock', user, '--reason', 'x')).toMatchObject({
    code: 0,
    stdout: `${slapd.userDn(user)}: held, and locked already by somebody else; that lock is left alone, and ours follows when it goes\n`,
    stderr: '',
  })
  const ran = await instance.cli('unlock', user, '--reason', 'x')
  expect(ran).toMatchObject({
    code: 69,
    stdout: expect.stringMatching(
      /: no hold of ours is left, but somebody else’s lock is there: the person who set it has to remove it\n {2}ended: held by .*: x\n {2}no lock of ours had been written in the directory\n {2}somebody else’s lock stands there: .*pwdAccountLockedTime.*\n$/,
    ),
    stderr: '',
  })
  expect((await look(slapd, user)).canBind).toBe(false)
  const json = await instance.cli('unlock', user, '--reason', 'x', '--json')
  expect(json.code).toBe(69)
  expect(json.document()).toMatchObject({ error: { code: 'still-locked' }, data: { lock: 'others' } })
})

test('lock --for ends by itself', async () => {
  await lockstep.json('lock', user, '--reason', 'a moment', '--for', '1500ms')
  expect((await look(slapd, user)).canBind).toBe(false)
  await eventually('the account is open again', async () => (await look(slapd, user)).canBind)
  await lockstep.settled()
  expect((await lockstep.json<Shown>('show', user)).accounts[0]?.account.holds).toEqual([])
})

test('unlock by a person releases every hold, and a reset of the token afterwards changes nothing', async () => {
  await lockedToken('PERS1')
  await lockstep.json('lock', user, '--reason', 'as well')
  await lockstep.json('unlock', user, '--reason', 'called in')
  expect((await look(slapd, user)).canBind).toBe(true)
  await lockstep.shim('unlock', asAdmin('PERS1', user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('a token’s reset does not release what a person holds', async () => {
  await lockedToken('PERS2')
  await lockstep.json('lock', user, '--reason', 'suspended')
  await lockstep.shim('unlock', asAdmin('PERS2', user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  await lockstep.json('unlock', user, '--reason', 'cleared')
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('lock and unlock of a user who is not there, and without a reason, say what is wrong', async () => {
  const unknown = await lockstep.cli('lock', 'nobody-at-all', '--reason', 'x')
  expect(unknown.code).toBe(67)
  expect(unknown.stderr).toContain('nobody-at-all')
  const unlock = await lockstep.cli('unlock', 'nobody-at-all', '--reason', 'x')
  expect(unlock.code).toBe(67)
  expect((await lockstep.cli('lock', user)).code).toBe(64)
  expect((await lockstep.cli('lock', user, '--reason', 'x', '--for', 'a while')).code).toBe(64)
  const realm = await lockstep.cli('lock', user, '--reason', 'x', '--realm', 'elsewhere')
  expect(realm.code).toBe(78)
})

test('pause stops every change, events are still taken, and resume lets them go on', async () => {
  expect(await lockstep.json('pause', '--reason', 'maintenance')).toEqual({
    paused: true,
    changed: true,
    directory: null,
    before: null,
  })
  await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
  const status = await lockstep.json<{ waits: { code: string }[] }>('status')
  expect(status).toMatchObject({ health: 'attention', paused: { comment: 'maintenance' } })
  expect(status.waits).toContainEqual(expect.objectContaining({ name: user, code: 'paused' }))
  const held = await lockstep.cli('lock', newUser(), '--reason', 'while paused')
  expect({ code: held.code, stdout: held.stdout }).toMatchObject({
    code: 75,
    stdout: expect.stringContaining('on record, not yet carried out\n  changes are paused'),
  })
  expect(await people('status')).toContain('PAUSED since ')
  expect(await people('resume', '--reason', 'over')).toMatch(
    /^resumed: 2 accounts had waited\nit was paused since .*: maintenance\n$/,
  )
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  await lockstep.json('unlock', user, '--reason', 'done')
})

test('without a daemon lock, unlock and retry do it themselves, or say what does it', async () => {
  await using own = await createLockstep(slapd)
  expect(await own.json('lock', user, '--reason', 'no daemon')).toMatchObject({ lock: 'ours' })
  expect((await look(slapd, user)).canBind).toBe(false)
  const retry = await own.cli('retry')
  expect({ code: retry.code, stdout: retry.stdout }).toEqual({
    code: 0,
    stdout: 'due again: 0 events, 1 account; run lockstep drain\n',
  })
  expect((await own.drain()).code).toBe(0)
  expect(await own.json('unlock', user, '--reason', 'done')).toMatchObject({ lock: 'open' })
  expect((await look(slapd, user)).canBind).toBe(true)
  const status = await own.json<{ health: string; daemon: null }>('status')
  expect(status).toMatchObject({ health: 'ok', daemon: null, lastDrain: { outcome: 'done' } })
})

test('healthcheck exits with 0 while the daemon serves, else with 69; with --wait it waits for it', async () => {
  await using own = await createLockstep(slapd)
  expect(await own.cli('healthcheck')).toMatchObject({ code: 69, stdout: 'no daemon serves this store\n' })
  const waiting = own.cli('healthcheck', '--wait', '20s', '--json')
  await own.serve()
  const ran = await waiting
  expect(ran.code).toBe(0)
  expect(ran.json()).toEqual({ serving: true, pid: own.pid, reasons: [] })
  await own.kill9()
  expect((await own.cli('healthcheck')).code).toBe(69)
})

test('a lock while the directory is down says so and exits with 75', async () => {
  await using other = await startSlapd({ users: 1, dbNoSync: true })
  await using own = await startLockstep(other)
  await other.stop()
  const ran = await own.cli('lock', 'u1', '--reason', 'x')
  expect(ran.code).toBe(75)
  expect(ran.stderr).toContain(other.url)
})
