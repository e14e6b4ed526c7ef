import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plan } from '../../../src/core/account/plan.ts'
import type { ObservedState } from '../../../src/core/account/state.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { POOL_TIMES } from '../../../src/directory/pool/pool.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { eventually } from '../../servers/eventually.ts'
import { changeFor, desired, heldBy, loginOf, serialOf } from '../contract.ts'
import { sambaSettings } from './samba-world.ts'

/** Two controllers of one domain between which nothing is replicated: the worst that replication can be. */

const RESPECT = { onForeignUnlock: 'respect' } as const
const HELD = heldBy(serialOf('TOTP0001'))
let first: Samba
let second: Samba

beforeAll(async () => {
  ;[first, second] = await Promise.all([startSamba(), startSamba()])
}, SAMBA_TIMEOUT_MS)
afterAll(async () => {
  await first?.[Symbol.asyncDispose]()
  await second?.[Symbol.asyncDispose]()
})

describe('several domain controllers', () => {
  it('another one takes over, is given the lock that it lacks, and proves no unlock by anybody', async () => {
    const urls = [first.url, second.url]
    // Each has a certification authority of its own in the tests; one of them is enough for both.
    const settings = sambaSettings(first, { urls, caFile: await bothAuthorities(first, second) })
    await using port = openDirectories({ directories: [settings], realms: {} }, systemClock, null, {
      ...POOL_TIMES,
      backoffFirstMs: 10,
      backoffMaxMs: 50,
      failbackMs: 50,
    })
    const { key } = await port.findByLogin(loginOf('u1'), null)
    const look = (): Promise<ObservedState> => port.observe(key, [], 0)
    const change = changeFor(HELD, await look())
    expect(await port.apply(change)).toMatchObject({ server: first.url, lock: { state: 'as-ours' } })
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    expect(await first.values('u1', 'userAccountControl')).toEqual(['514'])
    expect(await second.values('u1', 'userAccountControl')).toEqual(['512'])

    await first.stop()
    const behind = await eventually('the second one answers', look)
    expect(behind).toMatchObject({ server: second.url, lock: { state: 'open' } })
    expect(await port.observeAt(key, [first.url])).toBeNull()
    // As the reconciling does where no server answers that had the lock.
    const again = plan(HELD, behind, ours, { onForeignUnlock: 'relock' })
    if (again.kind !== 'change') throw new Error(again.kind)
    expect(await port.apply(again.change)).toMatchObject({ server: second.url, lock: { state: 'as-ours' } })
    expect(await second.values('u1', 'userAccountControl')).toEqual(['514'])
    expect(plan(HELD, await look(), ours, RESPECT).kind).toBe('in-step')

    // On the controller that took the write, what is gone was taken away.
    await second.tool('user', 'enable', 'u1')
    expect(plan(HELD, await look(), ours, RESPECT).kind).toBe('foreign-unlock')

    await first.start()
    // Whoever was written there is read there for a while, whichever controller is back; everybody else is not.
    const other = await port.findByLogin(loginOf('u2'), null)
    await eventually('the first one is asked again', async () => {
      return (await port.observe(other.key, [], 0)).server === first.url
    })
    expect(await look()).toMatchObject({ server: second.url, lock: { state: 'open' } })
    const states = (await port.readLocks(settings.name, [key])).map(({ locks }) => locks.get(key)?.lock.state)
    expect(states).toEqual(['as-ours', 'open'])
    const back = await port.observeAt(key, [first.url])
    if (back === null) throw new Error('the first one does not answer')
    expect(plan(desired(), back, ours, RESPECT).kind).toBe('change')
  })
})

async function bothAuthorities(a: Samba, b: Samba): Promise<string> {
  const file = `${a.dir}/both.pem`
  await writeFile(file, (await Promise.all([a, b].map((each) => readFile(each.caFile, 'utf8')))).join('\n'))
  return file
}
