import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { newUser, slapd, slapdTest as test, user } from '../../support/fixture.ts'
import { createLockstep, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Taking back what was done within a time. */

interface Step {
  readonly dn: string
  readonly action: string
  readonly holds: readonly string[]
  readonly skipped: { readonly code: string; readonly text: string } | null
}

interface Undone {
  readonly applied: boolean
  readonly steps: readonly Step[]
  readonly waiting: readonly { readonly dn: string }[]
}

interface Hold {
  readonly name: string
  readonly kind: string
  readonly serial: string | null
  readonly until: string | null
}

const AHEAD_MS = 4 * 60_000

test.override('slapdOptions', { users: 40 })

async function holdsOf(own: Lockstep, who: string): Promise<readonly Hold[]> {
  const { accounts } = await own.json<{ accounts: { account: { holds: Hold[] } }[] }>('show', slapd.userDn(who))
  return accounts[0]?.account.holds ?? []
}

/** Taken at once or not: a moment that lies between what was done before and what is done after. */
function now(): string {
  return new Date().toISOString()
}

function doable({ steps }: Undone): Step[] {
  return steps.filter((step) => step.skipped === null)
}

/** A second undo of the same time finds nothing to do. */
async function twiceIsEmpty(own: Lockstep, since: string): Promise<void> {
  expect(doable(await own.json<Undone>('undo', '--since', since, '--yes'))).toEqual([])
}

test('undo shows what it would take back, does it with --yes, and leaves alone what is no longer ours', async () => {
  await using own = await startLockstep(slapd)
  const [locked, unlocked, byHand] = [user, newUser(), newUser()]
  for (const [at, who] of [locked, unlocked, byHand].entries()) {
    await own.shim('register', asAdmin(`UNDO${at}`, who))
    await own.shim('lock', asNobody(`UNDO${at}`, who))
  }
  await own.settled()
  await own.shim('unlock', asAdmin('UNDO1', null))
  await own.settled()
  const free = `dn: ${slapd.userDn(byHand)}\nchangetype: modify\nreplace: pwdAccountLockedTime\n`
  expect((await slapd.ldapmodify(free)).code).toBe(0)
  await own.json('retry')
  await own.settled()

  const shown = await own.json<Undone>('undo', '--since', '1h')
  const of = (who: string): [string, string | null][] =>
    shown.steps
      .filter(({ dn }) => dn === slapd.userDn(who))
      .map(({ action, skipped }) => [action, skipped?.code ?? null])
  expect(shown.applied).toBe(false)
  expect(of(locked).toSorted()).toEqual([
    ['remove serial', null],
    ['unlock', null],
  ])
  expect(of(unlocked).toSorted()).toEqual([
    ['remove serial', null],
    ['unlock', 'not-locked-by-us'],
  ])
  expect((await look(slapd, locked)).canBind).toBe(false)
  expect(await own.cli('undo', '--since', '1h')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Nothing was changed. With --yes it is done.'),
  })

  await own.json('undo', '--since', '1h', '--yes')
  await own.settled()
  for (const who of [locked, unlocked, byHand]) {
    expect(await look(slapd, who), who).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
  }
  expect(own.ldif('unlock')).toEqual([])
  expect(own.ldif('unregister')).toEqual([])
})

test('undo of an unlock locks again, and of an unregistration puts the serial back', async () => {
  await using own = await startLockstep(slapd)
  await own.shim('register', asAdmin('BACK1', user))
  await own.shim('register', asAdmin('BACK2', user))
  await own.shim('lock', asNobody('BACK1', user))
  await own.settled()
  const sinceMs = Date.now()
  await own.shim('unlock', asAdmin('BACK1', user))
  await own.shim('unregister', asAdmin('BACK2', user))
  await own.settled()
  await own.json('undo', '--since', new Date(sinceMs).toISOString(), '--yes')
  await own.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(serialsOf(await look(slapd, user))).toEqual(['BACK1', 'BACK2'])
  await own.json('unlock', user, '--reason', 'enough')
})

test('undo of a time in which nothing happened says so, and a time that is none is refused', async () => {
  await using own = await createLockstep(slapd)
  expect(await own.json('undo', '--since', '1h')).toEqual({ applied: false, steps: [], waiting: [] })
  expect((await own.cli('undo', '--since', '1h')).stdout).toBe('nothing was changed within that time\n')
  for (const wrong of [
    ['--since', 'last week'],
    ['--since', '24:00'],
    ['--since', '2099-01-01'],
    ['--since', '1h', '--until', '2h'],
    [],
  ]) {
    expect((await own.cli('undo', ...wrong)).code, wrong.join(' ')).toBe(64)
  }
})

test('undo of an unlock brings the token’s hold back, and privacyIDEA’s next unlock of that token ends it', async () => {
  await using own = await startLockstep(slapd)
  await own.shim('register', asAdmin('HOLD1', user))
  await own.shim('lock', asNobody('HOLD1', user))
  await own.settled()
  const since = now()
  await own.shim('unlock', asAdmin('HOLD1', user))
  await own.settled()
  const undone = await own.json<Undone>('undo', '--since', since, '--yes')
  expect(undone).toMatchObject({
    applied: true,
    steps: [{ action: 'lock', holds: ['HOLD1'], skipped: null }],
    waiting: [],
  })
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(await holdsOf(own, user)).toMatchObject([{ name: 'HOLD1', kind: 'token', serial: 'HOLD1' }])
  expect(own.ldif('unlock')).toEqual(['HOLD1.ldif'])
  await twiceIsEmpty(own, since)
  await own.shim('unlock', asAdmin('HOLD1', null))
  await own.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('undo of a person’s unlock brings every hold back: of two tokens, of the account, of a person, with its end', async () => {
  await using own = await startLockstep(slapd)
  for (const serial of ['ALL1', 'ALL2']) await own.shim('register', asAdmin(serial, user))
  await own.shim('lock', asNobody(null, user))
  await own.shim('lock', asNobody('ALL1', user))
  await own.settled()
  await own.json('lock', user, '--reason', 'for a while', '--for', '1h')
  const before = await holdsOf(own, user)
  expect(before.map(({ kind }) => kind).toSorted()).toEqual(['account', 'manual', 'token'])
  const since = now()
  await own.json('unlock', user, '--reason', 'a mistake')
  expect((await look(slapd, user)).canBind).toBe(true)
  await own.json('undo', '--since', since, '--yes')
  expect((await look(slapd, user)).canBind).toBe(false)
  const names = (holds: readonly Hold[]): unknown =>
    holds
      .map(({ name, kind, serial, until }) => ({ name, kind, serial, until }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  expect(names(await holdsOf(own, user))).toEqual(names(before))
  const manual = before.find(({ kind }) => kind === 'manual')
  const file = readFileSync(join(own.ldifDir, 'unlock', `${manual?.name}.ldif`), 'utf8')
  expect(file).toContain(`# until: ${manual?.until}\n`)
  await twiceIsEmpty(own, since)
  await own.shim('unlock', asAdmin('ALL1', user))
  await own.settled()
  expect((await holdsOf(own, user)).map(({ kind }) => kind)).toEqual(['manual'])
})

test('a hold of a person that undo brought back ends when it was to end, and one that is over is left alone', async () => {
  await using own = await startLockstep(slapd)
  const since = now()
  const { account } = await own.json<{ account: { holds: Hold[] } }>('lock', user, '--reason', 'short', '--for', '20s')
  const [short] = account.holds
  const unlocked = now()
  await own.json('unlock', user, '--reason', 'a mistake')
  await own.json('undo', '--since', unlocked, '--yes')
  expect(await holdsOf(own, user)).toMatchObject([{ name: short?.name, until: short?.until }])
  const untilMs = Date.parse(short?.until ?? '')
  await eventually('it has ended', async () => (await look(slapd, user)).canBind, untilMs - Date.now() + 10_000)
  await own.settled()
  const undone = await own.json<Undone>('undo', '--since', unlocked)
  expect(undone.steps).toMatchObject([{ action: 'lock', skipped: { code: 'hold-ended' } }])
  expect((await own.cli('undo', '--since', since)).stdout).toMatch(/There is nothing to revert\.\n$/)
})

test('undo of a registration says that it unlocks as well, or ends the token’s hold, and does just that', async () => {
  await using own = await startLockstep(slapd)
  const other = newUser()
  await own.json('lock', other, '--reason', 'stays')
  // Locked before the time, so that the registration alone is undone.
  for (const who of [user, other]) await own.shim('lock', asNobody(`REG${who}`, who))
  await own.settled()
  const since = now()
  for (const who of [user, other]) await own.shim('register', asAdmin(`REG${who}`, who))
  await own.settled()
  const shown = await own.json<Undone>('undo', '--since', since)
  expect(shown.steps.map(({ dn, action, holds }) => [dn, action, holds]).toSorted()).toEqual(
    [
      [slapd.userDn(user), 'remove serial, and unlock', [`REG${user}`]],
      [slapd.userDn(other), 'remove serial, and end its hold', [`REG${other}`]],
    ].toSorted(),
  )
  const text = (await own.cli('undo', '--since', since)).stdout
  expect(text).toContain('remove serial, and unlock\n')
  expect(await own.json('undo', '--since', since, '--yes')).toMatchObject({ applied: true })
  expect(await look(slapd, user)).toMatchObject({ canBind: true, descriptions: [] })
  expect(await look(slapd, other)).toMatchObject({ canBind: false, descriptions: [] })
  expect((await holdsOf(own, other)).map(({ kind }) => kind)).toEqual(['manual'])
  await twiceIsEmpty(own, since)
})

test('undo of an unlock is left alone where the token is gone or somebody else’s by now', async () => {
  await using own = await startLockstep(slapd)
  const [gone, moved, next] = [user, newUser(), newUser()]
  for (const who of [gone, moved]) {
    await own.shim('register', asAdmin(`GONE${who}`, who))
    await own.shim('lock', asNobody(`GONE${who}`, who))
  }
  await own.settled()
  const since = now()
  for (const who of [gone, moved]) await own.shim('unlock', asAdmin(`GONE${who}`, who))
  await own.settled()
  const until = now()
  await own.shim('unregister', asAdmin(`GONE${gone}`, gone))
  await own.shim('register', asAdmin(`GONE${moved}`, next))
  await own.settled()
  const undone = await own.json<Undone>('undo', '--since', since, '--until', until, '--yes')
  expect(Object.fromEntries(undone.steps.map(({ dn, skipped }) => [dn, skipped?.text]))).toEqual({
    [slapd.userDn(gone)]: `token GONE${gone} is no longer there, so that nothing would end its hold`,
    [slapd.userDn(moved)]: `token GONE${moved} belongs to another account now`,
  })
  for (const who of [gone, moved]) expect((await look(slapd, who)).canBind, who).toBe(true)
})

test('undo of a token’s move to another user gives it back, with its hold, and no other account is touched', async () => {
  await using own = await startLockstep(slapd)
  const other = newUser()
  await own.shim('register', asAdmin('MOVE1', user))
  await own.shim('lock', asNobody('MOVE1', user))
  await own.settled()
  const since = now()
  await own.shim('register', asAdmin('MOVE1', other))
  await own.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
  expect(serialsOf(await look(slapd, other))).toEqual(['MOVE1'])
  await own.json('undo', '--since', since, '--yes')
  await own.settled()
  expect(await look(slapd, user)).toMatchObject({ canBind: false, descriptions: ['privacyIDEA:MOVE1'] })
  expect(await look(slapd, other)).toMatchObject({ canBind: true, descriptions: [] })
  expect(own.ldif('unlock')).toEqual(['MOVE1.ldif'])
  expect(own.ldif('unregister')).toEqual(['MOVE1.ldif'])
  await twiceIsEmpty(own, since)
})

test('an undo that is given twice at once and again after a restart is done once, and does not undo what came later', async () => {
  await using own = await startLockstep(slapd)
  const other = newUser()
  await own.shim('lock', asNobody(null, user))
  await own.shim('register', asAdmin('TWICE1', other))
  await own.shim('lock', asNobody('TWICE1', other))
  await own.settled()
  const since = now()
  await own.shim('unlock', asAdmin(null, user))
  await own.shim('unlock', asAdmin('TWICE1', null))
  await own.settled()
  const until = now()
  const undo = ['undo', '--since', since, '--until', until, '--yes']
  const both = await Promise.all([own.cli(...undo), own.cli(...undo)])
  expect(both.map(({ code }) => code)).toEqual([0, 0])
  await own.settled()
  const written = async (): Promise<number> => {
    const { records } = await own.json<{ records: { kind: string }[] }>('journal', '--limit', '1000')
    return records.filter(({ kind }) => kind === 'applied').length
  }
  const before = await written()
  // Registered, and each locked, unlocked, and locked again.
  expect(before).toBe(1 + 2 * 3)
  for (const who of [user, other]) expect(await holdsOf(own, who), who).toHaveLength(1)
  await own.restart()
  expect(doable(await own.json<Undone>(...undo))).toEqual([])
  await own.shim('unlock', asAdmin('TWICE1', null))
  await own.settled()
  expect(doable(await own.json<Undone>(...undo))).toEqual([])
  await own.settled()
  expect((await look(slapd, other)).canBind).toBe(true)
  expect(await written()).toBe(before + 1)
  await own.json('unlock', user, '--reason', 'enough')
})

test('undo wins over a lock whose time is ahead', async () => {
  await using own = await startLockstep(slapd)
  const since = now()
  own.spool({ kind: 'lock', args: asNobody('AHEAD1', user), takenAtMs: Date.now() + AHEAD_MS })
  await own.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(await own.json('undo', '--since', since, '--yes')).toMatchObject({ applied: true })
  expect((await look(slapd, user)).canBind).toBe(true)
})

test('an undo that is held back says so, ends with 75, and is not said a second time', async () => {
  await using own = await startLockstep(slapd)
  const since = now()
  await own.shim('lock', asNobody(null, user))
  await own.settled()
  await own.json('pause', '--reason', 'a look')
  const ran = await own.cli('undo', '--since', since, '--yes')
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({
    code: 75,
    stderr: expect.stringContaining(`${slapd.userDn(user)}: on record, not yet carried out (changes are paused`),
  })
  expect((await own.json<Undone>('undo', '--since', since)).steps).toMatchObject([
    { action: 'unlock', skipped: { code: 'released-already' } },
  ])
  await own.json('resume', '--reason', 'over')
  await own.settled()
  expect((await look(slapd, user)).canBind).toBe(true)
})
