import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { wantedBindings } from '../../../src/privacyidea/setup/bindings.ts'
import { startSimulator } from '../../privacyidea/simulator/simulator.ts'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { lookAtAll } from '../../support/account-view.ts'
import { createApiLockstep, serveSwept } from '../../support/api-servers.ts'
import { HOOK_SECRET, type Lockstep } from '../../support/lockstep.ts'

/** Mode `api`: the scan finds what no event told, and says how often that was so. */

const FULL = 3
/** The tokens are known for longer than a first reading takes. */
const KNOWN_MS = 60_000

interface Status {
  readonly findings: readonly { readonly code: string; readonly params: object; readonly fix: string }[]
}

async function found(lockstep: Lockstep): Promise<Status['findings']> {
  const { findings } = await lockstep.json<Status>('status')
  return findings.filter(({ code }) => code === 'locks-without-event')
}

test('locks without an event are a finding while the webhook is bound, and are none once events come again', async () => {
  await using slapd = await startSlapd({ users: 20, dbNoSync: true })
  await using simulator = await startSimulator()
  const { stock, admins } = simulator.world
  admins.set('lockstep', 'lockstep-secret')
  const ids = (await slapd.ldapsearch('-b', slapd.peopleDn, '(uid=*)', 'uid', 'entryUUID')).matchAll(
    /^uid: (\S+)\nentryUUID: (\S+)|^entryUUID: (\S+)\nuid: (\S+)/gm,
  )
  for (const [, login = '', id = '', idFirst, loginSecond] of ids) {
    const userId = idFirst ?? id
    stock.addUser(loginSecond ?? login, userId)
    // One is full before anybody listens: it counts for nothing.
    const token = stock.addToken(`S-${loginSecond ?? login}`, { userId })
    token.maxfail = FULL
    if ((loginSecond ?? login) === 'u20') token.failcount = FULL
  }
  const [bound] = wantedBindings({ via: 'script' })
  const handler = { handlermodule: 'Script', action: 'lockstep-lock', position: 'post', ordering: 0, active: true }
  simulator.world.events.set(1, { ...handler, id: 1, name: bound?.name, event: [], conditions: {}, options: {} })
  const httpPort = await freePort()
  await using lockstep = await createApiLockstep({ slapd, pi: simulator }, { httpPort })
  await serveSwept(lockstep)
  await lockstep.settled()
  using database = new DatabaseSync(lockstep.storeFile, { timeout: 5_000 })
  database.prepare('update event set received_ms = received_ms - ?').run(KNOWN_MS)
  const lock = async (login: string, withEvent: boolean): Promise<void> => {
    const [token] = stock.tokensOf(stock.userOf(login)?.userId ?? '')
    if (token === undefined) throw new Error(`no token of ${login}`)
    token.failcount = FULL
    const url = `http://127.0.0.1:${httpPort}/hooks/privacyidea/${HOOK_SECRET}/lock`
    if (withEvent) await fetch(url, { method: 'POST', body: `user=${login}&realm=r1&serial=S-${login}` })
    await eventually(`${login} is locked`, async () => (await lookAtAll(slapd)).get(login)?.lockedTime !== null)
  }
  for (const login of ['u1', 'u2', 'u3', 'u4']) await lock(login, false)
  const all = { unannounced: 4, locks: 4 }
  await eventually(
    'all four are counted',
    async () => JSON.stringify((await found(lockstep))[0]?.params) === JSON.stringify(all),
  )
  expect((await found(lockstep))[0]?.fix).toContain('lockstep shims test')
  await eventually('the log names it', () => /locks-without-event/.test(lockstep.log()))
  for (let number = 5; number <= 12; number++) await lock(`u${number}`, true)
  await eventually('it is over', async () => (await found(lockstep)).length === 0)
}, 600_000)
