import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { HOOK_SECRET, startLockstep, type Lockstep } from '../../support/lockstep.ts'

/** What the webhook refuses is told by cause, and never with the path, which may hold the secret but for a letter. */

interface Status {
  readonly health: string
  readonly findings: readonly {
    readonly code: string
    readonly params: { count: number; cause?: string }
  }[]
}

const nearly = `${HOOK_SECRET.slice(0, -1)}X`

async function post(port: number, path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: 'serial=S1' })).status
}

async function status(lockstep: Lockstep): Promise<Status> {
  return lockstep.json<Status>('status')
}

test('a wrong secret and a wrong path are counted, in the log and in status, without the secret', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  const httpPort = await freePort()
  await using lockstep = await startLockstep(slapd, { httpPort })
  for (let each = 0; each < 3; each++) expect(await post(httpPort, `/hooks/privacyidea/${nearly}/lock`)).toBe(404)
  for (const path of ['/', `/hooks/privacyidea/${HOOK_SECRET}/locked`]) expect(await post(httpPort, path)).toBe(404)
  await eventually('both are in the log', () => {
    const log = lockstep.log()
    return (
      /^warn .*webhook refused cause=wrong-secret count=\d+ from=127\.0\.0\.1$/m.test(log) &&
      /cause=wrong-path/.test(log)
    )
  })
  const { health, findings } = await status(lockstep)
  expect(health).toBe('attention')
  expect(findings.map(({ code }) => code).toSorted()).toEqual(['webhook-refused', 'webhook-secret-wrong'])
  expect((await lockstep.cli('status')).stdout).toMatch(/the webhook refused \d requests? with a wrong secret since/)
  for (const secret of [HOOK_SECRET, nearly]) {
    expect(lockstep.log() + JSON.stringify(findings)).not.toContain(secret)
  }
  const counted = (of: Status): number | undefined =>
    of.findings.find(({ code }) => code === 'webhook-secret-wrong')?.params.count
  await lockstep.restart()
  // A daemon that starts has looked at them.
  expect(await post(httpPort, `/hooks/privacyidea/${nearly}/lock`)).toBe(404)
  await eventually('a new daemon goes on counting', async () => counted(await status(lockstep)) === 4)
  expect((await status(lockstep)).health).toBe('attention')
})

test('a network that may not call is counted, and leaves all else as it is', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  const httpPort = await freePort()
  await using lockstep = await startLockstep(slapd, { httpPort })
  lockstep.editConfig((yaml) => yaml.replace(/( +http: \{.*)\}/, "$1, allow: ['192.0.2.0/24'] }"))
  await lockstep.restart()
  expect(await post(httpPort, `/hooks/privacyidea/${HOOK_SECRET}/lock`)).toBe(404)
  await eventually('it is in status', async () => (await status(lockstep)).findings.length > 0)
  const { health, findings } = await status(lockstep)
  expect(health).toBe('ok')
  expect(findings).toMatchObject([{ code: 'webhook-refused', params: { count: 1, cause: 'refused-network' } }])
})
