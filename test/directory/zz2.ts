import { Attribute, Change, Client, EqualityFilter } from 'ldapts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { plan } from '../../src/core/plan.ts'
import { startSlapd } from '../servers/slapd.ts'
import { directorySettings } from './directory-settings.ts'
const N = 3000,
  RUNS = 3
await using s = await startSlapd({ users: N * RUNS * 2 + 10, dbNoSync: process.argv[2] === 'nosync' })
let next = 1
async function ours() {
  await using d = openDirectories({ directories: [directorySettings(s)], realms: {} }, systemClock)
  await d.findByLogin('u1' as never, null)
  const end = next + N
  const c0 = process.cpuUsage()
  const t0 = performance.now()
  const lane = async () => {
    while (next < end) {
      const login = `u${next++}`
      const f = await d.findByLogin(login as never, null)
      const o = await d.observe(f.key, [], 5000)
      const p = plan(
        {
          serials: [],
          gone: [],
          movedFrom: {},
          holds: [
            { name: 'T1', kind: 'token', serial: 'T1', sinceUs: 1, untilUs: null, reason: 'r', actor: '' } as never,
          ],
          nextExpiryUs: null,
        },
        o,
        { lock: null },
        { onForeignUnlock: 'respect' },
      )
      if (p.kind !== 'change') throw new Error(p.kind)
      await d.apply(p.change)
    }
  }
  await Promise.all(Array.from({ length: 32 }, lane))
  const ms = performance.now() - t0
  const c = process.cpuUsage(c0)
  console.log('ours', Math.round((N / ms) * 1000), '/s cpu us/op', Math.round((c.user + c.system) / N))
}
async function bare(conns: number) {
  const clients = await Promise.all(
    Array.from({ length: conns }, async () => {
      const c = new Client({ url: s.url })
      await c.bind(s.serviceDn, s.servicePassword)
      return c
    }),
  )
  const end = next + N
  const c0 = process.cpuUsage()
  const t0 = performance.now()
  const lane = async (_: unknown, i: number) => {
    const c = clients[i % conns]!
    while (next < end) {
      const login = `u${next++}`
      const r = await c.search(s.peopleDn, {
        scope: 'sub',
        filter: new EqualityFilter({ attribute: 'uid', value: login }),
        attributes: ['entryUUID', 'description', 'pwdAccountLockedTime'],
      })
      await c.modify(
        r.searchEntries[0]!.dn,
        new Change({
          operation: 'replace',
          modification: new Attribute({ type: 'pwdAccountLockedTime', values: ['000001010000Z'] }),
        }),
      )
    }
  }
  await Promise.all(Array.from({ length: 32 }, lane))
  const ms = performance.now() - t0
  const c = process.cpuUsage(c0)
  console.log('bare', conns, Math.round((N / ms) * 1000), '/s cpu us/op', Math.round((c.user + c.system) / N))
  await Promise.all(clients.map((c) => c.unbind()))
}
for (let r = 0; r < RUNS; r++) {
  await bare(2)
  await ours()
}
