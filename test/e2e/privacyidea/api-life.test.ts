import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../servers/free-port.ts'
import { asked, INSTALL_TIMEOUT_MS } from '../../servers/privacyidea/privacyidea.ts'
import {
  bind,
  clearTimeoutIsOver,
  createApiLockstep,
  serveSwept,
  startApiServers,
  type ApiServers,
  type Via,
} from '../../support/api-servers.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'
import { hotp, isChosen, isEveryReleaseChosen, PIN, releaseOfRun } from '../../support/privacyidea-world.ts'

/**
 * A token's life on a real privacyIDEA, brought by its event handlers alone (scans are an hour apart): in both modes, by the
 * shims and by the webhook.
 */

/** At least half of them, on a machine however busy: bench/api-latency.ts has what it takes. */
const EVENT_MS = 2_000
const LONG_MS = 180_000
const OTHER_PIN = '5678'

type Mode = 'api' | 'events'

/** Those of mode `events` are tried by themselves elsewhere, so that here they come with the long run alone. */
const WAYS: readonly (readonly [Mode, Via])[] = [
  ['api', 'script'],
  ['api', 'webhook'],
  ['events', 'script'],
  ['events', 'webhook'],
]

const release = releaseOfRun()

describe.skipIf(!isChosen(release))(`a token's life with privacyIDEA ${release}`, () => {
  let servers: ApiServers
  const instances = new Map<Mode, Lockstep>()
  const instanceOf = (mode: Mode): Lockstep => {
    const found = instances.get(mode)
    if (found === undefined) throw new Error(`no instance in mode ${mode}`)
    return found
  }
  beforeAll(async () => {
    servers = await startApiServers(release, { users: 80 })
    await servers.pi.ask('POST', '/system/setConfig', { failcounter_clear_timeout: 60 })
    // Where there is no token at all, nothing can be proven.
    await servers.newToken('Z1', servers.newUser())
    instances.set('api', await createApiLockstep(servers, { scan: '1h', httpPort: await freePort() }))
    instances.set('events', await createLockstep(servers.slapd, { httpPort: await freePort() }))
  }, INSTALL_TIMEOUT_MS)
  afterAll(async () => {
    for (const lockstep of instances.values()) await lockstep[Symbol.asyncDispose]()
    await servers?.[Symbol.asyncDispose]()
  })

  describe.each(WAYS.filter(([mode]) => mode === 'api' || isEveryReleaseChosen()))('mode %s, by %s', (mode, via) => {
    beforeAll(async () => {
      const lockstep = instanceOf(mode)
      await bind(servers, lockstep, via)
      await (mode === 'api' ? serveSwept(lockstep) : lockstep.serve())
    })
    afterAll(async () => {
      await instances.get(mode)?.stop()
    })
    livesTests(mode, `${mode.charAt(0)}${via.charAt(0)}`.toUpperCase(), () => servers)
  })
})

function livesTests(mode: Mode, prefix: string, servers: () => ApiServers): void {
  let serials = 0
  const tookMs: number[] = []
  const newSerial = (): string => `${prefix}${++serials}`
  const becomes = async (user: string, state: 'locked' | 'open'): Promise<void> => {
    tookMs.push(await servers().becomes(user, state))
  }
  const carries = async (user: string, ...wanted: readonly string[]): Promise<void> => {
    tookMs.push(await servers().carries(user, ...wanted))
  }
  const newOwner = async (count = 1): Promise<{ user: string; owned: string[] }> => {
    const user = servers().newUser()
    const owned = Array.from({ length: count }, newSerial)
    for (const [index, serial] of owned.entries()) {
      await servers().newToken(serial, user, index === 0 ? PIN : OTHER_PIN)
    }
    await carries(user, ...owned)
    return { user, owned }
  }
  const lockedOwner = async (): Promise<{ user: string; serial: string }> => {
    const { user, owned } = await newOwner()
    await servers().fail({ user, realm: 'r1' })
    await becomes(user, 'locked')
    return { user, serial: owned[0] ?? '' }
  }

  test('wrong OTPs by user lock, and a reset unlocks', async () => {
    const { user, serial } = await lockedOwner()
    await servers().pi.ask('POST', '/token/reset', { serial })
    await becomes(user, 'open')
  })

  test('wrong OTPs by serial lock, and a higher limit unlocks', async () => {
    const { user, owned } = await newOwner()
    const serial = owned[0] ?? ''
    await servers().fail({ serial })
    await becomes(user, 'locked')
    await servers().pi.ask('POST', '/token/set', { serial, max_failcount: 10 })
    await becomes(user, 'open')
  })

  test('wrong PINs lock, and a good login after the clear timeout unlocks', async () => {
    const { user, owned } = await newOwner()
    await servers().fail({ user, realm: 'r1' }, `0000${hotp(1)}`)
    await becomes(user, 'locked')
    clearTimeoutIsOver(servers().pi, owned[0] ?? '')
    const params = { user, realm: 'r1', pass: `${PIN}${hotp(2)}` }
    expect(await asked(servers().pi.url, 'POST', '/validate/check', params)).toBe(true)
    await becomes(user, 'open')
  })

  test('one full token of two locks, and its reset unlocks', async () => {
    const { user, owned } = await newOwner(2)
    await servers().fail({ user, realm: 'r1' }, `${OTHER_PIN}999999`)
    await becomes(user, 'locked')
    expect(await servers().failCountOf(owned[0] ?? '')).toBe(0)
    await servers().pi.ask('POST', '/token/reset', { serial: owned[1] })
    await becomes(user, 'open')
  })

  test('two tokens are full by wrong PINs: the account opens once nothing holds it', async () => {
    const { user, owned } = await newOwner(2)
    await servers().fail({ user, realm: 'r1' }, `0000${hotp(1)}`)
    await becomes(user, 'locked')
    await servers().pi.ask('POST', '/token/reset', { serial: owned[0] })
    if (mode === 'api') {
      await servers().pi.ask('POST', '/token/set', { serial: owned[0], max_failcount: 9 })
      expect(await servers().state(user)).toMatch(/^locked/)
    }
    await servers().pi.ask('POST', '/token/reset', { serial: owned[1] })
    await becomes(user, 'open')
  })

  test.each(['unassign', 'delete'] as const)('%s takes the serial and the lock away', async (what) => {
    const { user, serial } = await lockedOwner()
    if (what === 'delete') await servers().pi.ask('DELETE', `/token/${serial}`)
    else await servers().pi.ask('POST', '/token/unassign', { serial })
    await carries(user)
    await becomes(user, 'open')
  })

  test('many at once, unassigned and deleted, leave no serial and no lock', { timeout: LONG_MS }, async () => {
    const locked = [await lockedOwner(), await lockedOwner(), await lockedOwner(), await lockedOwner()]
    const all = locked.map(({ serial }) => serial)
    const { release, pi } = servers()
    // 3.11 has no call for several.
    for (const group of release === '3.11' ? all.map((serial) => [serial]) : [all.slice(0, 2)]) {
      await pi.ask('POST', '/token/unassign', release === '3.11' ? { serial: group[0] } : { serials: group })
    }
    if (release !== '3.11') await pi.ask('DELETE', '/token/', { serials: all.slice(2) })
    for (const { user } of locked) {
      await carries(user)
      await becomes(user, 'open')
    }
  })

  test(
    'a token that is given to somebody else takes its serial along, and leaves no lock',
    { timeout: LONG_MS },
    async () => {
      const { user, serial } = await lockedOwner()
      const other = servers().newUser()
      await servers().pi.ask('POST', '/token/unassign', { serial })
      await servers().pi.ask('POST', '/token/assign', { serial, user: other, realm: 'r1', pin: PIN })
      await carries(other, serial)
      await carries(user)
      expect([await servers().state(user), await servers().state(other)]).toEqual(['open', `open ${serial}`])
      await servers().fail({ user: other, realm: 'r1' })
      await becomes(other, 'locked')
      expect(await servers().state(user)).toBe('open')
      await servers().pi.ask('POST', '/token/reset', { serial })
      await becomes(other, 'open')
    },
  )

  test('it usually came within two seconds', () => {
    const sorted = tookMs.toSorted((a, b) => a - b)
    expect(sorted[Math.floor(sorted.length / 2)], sorted.join(' ')).toBeLessThanOrEqual(EVENT_MS)
  })
}
