import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../servers/free-port.ts'
import { startMariaDb } from '../../servers/privacyidea/mariadb.ts'
import { INSTALL_TIMEOUT_MS } from '../../servers/privacyidea/privacyidea.ts'
import { bind, createApiLockstep, serveSwept, startApiServers, type ApiServers } from '../../support/api-servers.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import { isChosen } from '../../support/privacyidea-world.ts'

/**
 * privacyIDEA on MariaDB with its default collation, as most sites have it: a serial is found in any case, and the event
 * handlers hand over the spelling of the request. Everything comes by the shims alone (scans are an hour apart).
 */
describe.skipIf(!isChosen('3.14'))('privacyIDEA 3.14 on MariaDB', () => {
  let stack: AsyncDisposableStack
  let servers: ApiServers

  beforeAll(async () => {
    stack = new AsyncDisposableStack()
    const database = stack.use(await startMariaDb())
    servers = stack.use(await startApiServers('3.14', {}, { databaseUri: database.uri }))
    // Where there is no token at all, nothing can be proven.
    await servers.newToken('Z1', servers.newUser())
  }, INSTALL_TIMEOUT_MS)
  afterAll(() => stack.disposeAsync())

  describe.each(['events', 'api'] as const)('mode %s', (mode) => {
    let lockstep: Lockstep

    beforeAll(async () => {
      const httpPort = await freePort()
      lockstep = await (mode === 'api'
        ? createApiLockstep(servers, { scan: '1h', httpPort })
        : createLockstep(servers.slapd, { httpPort }))
      await bind(servers, lockstep, 'script')
      await (mode === 'api' ? serveSwept(lockstep) : lockstep.serve())
    })
    afterAll(() => lockstep?.[Symbol.asyncDispose]())

    async function lockedBySpelling(name: string): Promise<{ user: string; serial: string }> {
      const user = servers.newUser()
      const serial = `${name}-${mode}`.toUpperCase()
      await servers.newToken(serial, user)
      await servers.carries(user, serial)
      // Nobody logs in for this: whoever reaches privacyIDEA may try.
      await servers.fail({ serial: serial.toLowerCase() }, 'wrong')
      await servers.becomes(user, 'locked')
      return { user, serial }
    }

    test('attempts that spell a serial in another case lock by the token’s own hold, and its reset unlocks', async () => {
      const { user, serial } = await lockedBySpelling('reset')
      expect(lockstep.ldif('unlock')).toEqual([`${serial}.ldif`])
      const shown = await lockstep.cli('show', serial.toLowerCase(), '--json')
      expect(shown.json<object>()).toMatchObject({
        accounts: [{ account: { login: user, holds: [{ name: serial, serial }] } }],
      })
      await servers.pi.ask('POST', '/token/reset', { serial })
      await servers.becomes(user, 'open')
      expect(await servers.state(user)).toBe(`open ${serial}`)
      await lockstep.settled()
      expect(lockstep.ldif('unlock')).toEqual([])
    })

    test('a reset in another case unlocks as well', async () => {
      const { user, serial } = await lockedBySpelling('again')
      await servers.pi.ask('POST', '/token/reset', { serial: serial.toLowerCase() })
      await servers.becomes(user, 'open')
    })

    test('the deletion of the token takes its serial out and unlocks', async () => {
      const { user, serial } = await lockedBySpelling('deleted')
      await servers.pi.ask('DELETE', `/token/${serial}`)
      await servers.carries(user)
      await servers.becomes(user, 'open')
      await lockstep.settled()
      expect(lockstep.ldif('unregister')).not.toContain(`${serial}.ldif`)
      const status = await lockstep.cli('status', '--json')
      expect(status.stdout).not.toContain('serials-differ-by-case')
    })
  })
})
