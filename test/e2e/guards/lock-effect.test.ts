import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { lockstep, lockstepTest as test, slapd } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A directory whose password policy may not be read: locks are written, and nobody claims more than is known. */

const NOT_KNOWN = 'whether the lock locks its user out is not known; lockstep doctor shows what to do'

test.override('slapdOptions', { users: 5, configReadable: false })

interface AccountJson {
  readonly standing: string
  readonly effective: string | null
  readonly proof: { readonly at: string; readonly url: string } | null
}

interface StatusJson {
  readonly health: string
  readonly notes: readonly string[]
  readonly locked: readonly AccountJson[]
}

async function shown(login: string): Promise<AccountJson | undefined> {
  const { accounts } = await lockstep.json<{ accounts: { account: AccountJson }[] }>('show', login)
  return accounts[0]?.account
}

test('a lock of which nobody knows whether it bites is told as such by lock, show and status, and is no failure', async () => {
  await lockstep.shim('lock', asNobody(null, 'u1'))
  await lockstep.settled()
  expect(await shown('u1')).toMatchObject({ standing: 'in-step', effective: 'unknown', proof: null })
  expect((await lockstep.cli('show', 'u1')).stdout).toContain(`\n  effect    ${NOT_KNOWN}\n`)
  expect(await lockstep.cli('lock', 'u2', '--reason', 'x')).toMatchObject({
    code: 0,
    stdout: `${slapd.userDn('u2')}: locked\n  ${NOT_KNOWN}\n`,
    stderr: '',
  })
  const status = await lockstep.json<StatusJson>('status')
  expect(status.health).toBe('ok')
  expect(status.locked.map((account) => account.effective)).toEqual(['unknown', 'unknown'])
  const note =
    'directory corp: whether a lock locks its user out is not known (2 now); lockstep doctor shows what to do'
  expect(status.notes).toEqual([note])
  expect((await lockstep.cli('status')).stdout).toContain(`\nnote      ${note}\n`)
})

test('a trial that kept a test account out vouches for the locks, for a time', async () => {
  const env = { LOCKSTEP_PROBE_PASSWORD: slapd.userPassword }
  const doctor = await lockstep.cliWith(env, 'doctor', '--probe', 'u3', '--json')
  expect(doctor.json<{ findings: unknown[] }>().findings).toContainEqual(
    expect.objectContaining({ check: 'lock-proof', status: 'ok' }),
  )
  expect(await shown('u1')).toMatchObject({ effective: 'probed', proof: { url: slapd.url } })
  expect((await lockstep.cli('show', 'u1')).stdout).toMatch(
    /\n {2}effect {4}by a trial: a lock kept a test account out on/,
  )
  expect((await lockstep.json<StatusJson>('status')).notes).toEqual([])

  const database = new DatabaseSync(lockstep.storeFile)
  const atMs = Date.now() - 91 * 86_400_000
  database.prepare(`update meta set value = json_set(value, '$.atMs', ?) where key = 'lock-proof corp'`).run(atMs)
  database.close()
  expect(await shown('u1')).toMatchObject({ effective: 'unknown', proof: null })
  expect((await lockstep.json<StatusJson>('status')).notes).toHaveLength(1)
})

test('an account without a lock and without a hold has no effect to speak of', async () => {
  await lockstep.json('unlock', 'u2', '--reason', 'x')
  expect(await shown('u2')).toMatchObject({ effective: null, proof: null })
  expect((await lockstep.cli('show', 'u2')).stdout).not.toContain('effect')
})

test('where the policy can be read, a lock is known to keep its user out', async () => {
  await using open = await startSlapd({ users: 1, dbNoSync: true })
  await using own = await startLockstep(open)
  await own.json('lock', 'u1', '--reason', 'x')
  expect(await own.json('status')).toMatchObject({ notes: [], locked: [{ effective: 'yes' }] })
})
