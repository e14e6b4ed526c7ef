import { chmodSync, chownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { createLockstep, openReadOnly, type Lockstep } from '../../support/lockstep.ts'

/** The scripts, run as the user that privacyIDEA runs as: here nobody, whose group the folder has. */

const NOBODY = 65_534

interface Trial {
  readonly user: string | null
  readonly scripts: readonly { readonly name: string; readonly is: string; readonly trouble: string }[]
}

async function installed(lockstep: Lockstep): Promise<void> {
  const ran = await lockstep.cli('shims', 'install', lockstep.shimDir, '--group', String(NOBODY))
  expect(ran.code).toBe(0)
  chownSync(lockstep.shimDir, 0, NOBODY)
}

const states = ({ scripts }: Trial): string[] => scripts.map(({ is }) => is)

test('each script hands its event over, to a daemon or into the spool, and changes nothing', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  await installed(lockstep)
  const alone = await lockstep.json<Trial>('shims', 'test', lockstep.shimDir)
  expect([alone.user, states(alone)]).toEqual(['nobody', Array(4).fill('spooled')])
  expect(readdirSync(join(lockstep.spoolDir, 'new'))).toEqual([])
  await lockstep.serve()
  const served = await lockstep.json<Trial>('shims', 'test', lockstep.shimDir)
  expect(states(served)).toEqual(Array(4).fill('arrived'))
  await lockstep.settled()
  using store = openReadOnly(lockstep.storeFile)
  expect(store.prepare(`select state, account_key from event`).all()).toEqual(
    Array.from({ length: 4 }, () => ({ state: 'ended', account_key: null })),
  )
  const doctor = await lockstep.cli('doctor', '--scripts-dir', lockstep.shimDir)
  expect(doctor.stdout).toMatch(/ok {4}run as nobody, 4 scripts handed over their events, now on record/)
})

test.each<[string, RegExp, (lockstep: Lockstep) => void]>([
  [
    'a script that may not be executed',
    /lockstep-lock.*[Pp]ermission denied/,
    ({ shimDir }) => chmodSync(join(shimDir, 'lockstep-lock'), 0o644),
  ],
  ['a folder that is closed', /[Pp]ermission denied/, ({ shimDir }) => chmodSync(shimDir, 0o700)],
  ['a spool that is closed', /lockstep-lock.*no permission to write/, ({ spoolDir }) => chmodSync(spoolDir, 0o700)],
])('%s shows, by hand and by the doctor, and nothing is as it should be', async (_name, trouble, breakIt) => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  await installed(lockstep)
  breakIt(lockstep)
  const ran = await lockstep.cli('shims', 'test', lockstep.shimDir)
  expect([ran.code, ran.stdout]).toEqual([78, expect.stringMatching(/lockstep-lock +failed/)])
  expect(ran.stdout.replaceAll('\n', ' ')).toMatch(trouble)
  const doctor = await lockstep.cli('doctor', '--scripts-dir', lockstep.shimDir)
  expect(doctor.code).not.toBe(0)
  expect(doctor.stdout).toMatch(/FAIL {2}.*lockstep-lock, run as nobody/)
  expect(doctor.stdout).not.toMatch(/as (?:it|they) should be/)
})

test('where the user is not known, or is not there, the way out is named', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  const unknown = await lockstep.cli('shims', 'test', lockstep.shimDir)
  expect([unknown.code, unknown.stdout]).toEqual([77, expect.stringContaining('name it with --pi-user USER')])
  const wrong = await lockstep.cli('shims', 'test', lockstep.shimDir, '--pi-user', 'no-such-user')
  expect([wrong.code, wrong.stderr]).toEqual([64, expect.stringContaining('no-such-user')])
})
