import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** The daemon and two domain controllers between which nothing is replicated: the worst that replication can be. */

const EVENTUALLY_MS = 20_000

let stack: AsyncDisposableStack
let first: Samba
let second: Samba
let lockstep: Lockstep

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  ;[first, second] = await Promise.all([startSamba(), startSamba()])
  stack.use(first)
  stack.use(second)
  const caFile = join(first.dir, 'both.pem')
  await writeFile(caFile, (await Promise.all([first, second].map((each) => readFile(each.caFile, 'utf8')))).join('\n'))
  const server = { ...first, directoryLines: ['type: active-directory', `ca: ${caFile}`] }
  const urls = [first.url, second.url]
  lockstep = stack.use(
    await createLockstep(server, { urls, directory: 'connectTimeout: 1s\n    operationTimeout: 2s' }),
  )
}, SAMBA_TIMEOUT_MS)
afterAll(() => stack.disposeAsync())

interface Account {
  readonly standing: string
  readonly lockedByUs: boolean
  readonly holds: readonly unknown[]
  readonly verification: { readonly verified: number; readonly of: number } | null
}

const shown = async (login: string): Promise<Account | undefined> =>
  (await lockstep.json<{ accounts: { account: Account }[] }>('show', login)).accounts[0]?.account
const controls = async (login: string): Promise<(string | undefined)[]> =>
  Promise.all([first, second].map(async (each) => (await each.values(login, 'userAccountControl'))[0]))

test('a lock is proven on each controller, and both are the directory on record', async () => {
  await lockstep.serve()
  await lockstep.shim('lock', asNobody('C1', 'u1'))
  await eventually('locked', async () => (await shown('u1'))?.lockedByUs, EVENTUALLY_MS)
  expect(await controls('u1')).toEqual(['514', '512'])
  await eventually(
    'one of two has it',
    async () => {
      const verification = (await shown('u1'))?.verification
      return verification?.verified === 1 && verification.of === 2
    },
    EVENTUALLY_MS,
  )
  // As replication does.
  await second.tool('user', 'disable', 'u1')
  await eventually('both have it', async () => (await shown('u1'))?.verification?.verified === 2, EVENTUALLY_MS)
  expect((await lockstep.cli('doctor')).code).toBe(0)
  const told = (await lockstep.cli('directory', 'show')).stdout
  for (const { url } of [first, second]) expect(told).toMatch(new RegExp(`${url} .*the same`))
  expect((await lockstep.cli('status')).stdout).toMatch(/^u1 .* 2 of 2 /m)
})

test('where the one that has the lock dies another takes it over, and what the dead one still has is shown once it is back', async () => {
  await lockstep.shim('lock', asNobody('C2', 'u2'))
  await eventually('locked', async () => (await shown('u2'))?.lockedByUs, EVENTUALLY_MS)
  expect(await controls('u2')).toEqual(['514', '512'])
  await first.stop()
  await lockstep.shim('lock', asNobody('C3', 'u2'))
  const second514 = async () => (await second.values('u2', 'userAccountControl'))[0] === '514'
  await eventually('the second one has it', second514, EVENTUALLY_MS)
  expect((await shown('u2'))?.holds).toHaveLength(2)
  for (const serial of ['C2', 'C3']) await lockstep.shim('unlock', asAdmin(serial, 'u2'))
  await eventually('ours is given back', async () => (await shown('u2'))?.lockedByUs === false, EVENTUALLY_MS)
  expect(await second.values('u2', 'userAccountControl')).toEqual(['512'])
  await lockstep.kill9()
  await lockstep.serve()
  await first.start()
  const left = { verified: 1, of: 2, servers: [{ url: first.url, text: 'the lock is still there' }, {}] }
  await eventually(
    'the lock that is left there is shown',
    async () => {
      expect((await shown('u2'))?.verification).toMatchObject(left)
      return true
    },
    EVENTUALLY_MS,
  )
  expect(await controls('u2')).toEqual(['514', '512'])
  // As replication does.
  await first.tool('user', 'enable', 'u2')
  await eventually('both are open', async () => (await shown('u2'))?.verification === null, EVENTUALLY_MS)
}, 120_000)
