import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { lookAtAll } from '../../support/account-view.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { openReadOnly, startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/**
 * Somebody tries a few passwords on every account, so that all of them reach their max fail count at once. With
 * LOCKSTEP_SPRAY_USERS=10000 at the size of a company; the figures are then printed.
 */

const USERS = Number(process.env['LOCKSTEP_SPRAY_USERS'] ?? 300)
const IS_MEASURED = process.env['LOCKSTEP_SPRAY_USERS'] !== undefined
const LOCKS_MAX = 20
/** Of these one in so many is an administrator. */
const PROTECTED_SHARE = 20
const DEADLINE_MS = 300_000
/** A daemon that has done nothing yet takes about 90 MiB; what a spray adds does not grow with the number of users. */
const MEMORY_KIB_MAX = 400 * 1024

const PEOPLE = Array.from({ length: USERS }, (_, at) => `u${at + 1}`)
const PROTECTED = new Set(PEOPLE.filter((_, at) => at % PROTECTED_SHARE === 0))
const ADMINS = 'cn=admins,ou=groups,dc=example,dc=org'

test.override('slapdOptions', () => {
  const members = [...PROTECTED].map((user) => `member: uid=${user},ou=people,dc=example,dc=org\n`).join('')
  const extraLdif = `dn: ${ADMINS}\nobjectClass: groupOfNames\ncn: admins\n${members}`
  return { users: USERS, extraLdif }
})

async function lockedPeople(): Promise<string[]> {
  const all = [...(await lookAtAll(slapd))]
  return all.flatMap(([name, { lockedTime }]) => (lockedTime === null ? [] : [name]))
}

function countIn(lockstep: Lockstep, sql: string): number {
  using store = openReadOnly(lockstep.storeFile)
  return Number(store.prepare(`select count(*) as n from ${sql}`).get()?.['n'])
}

function memoryPeakKib(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

async function timed(what: string, count: number, work: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  if (IS_MEASURED)
    console.info(`${what}: ${count} in ${seconds.toFixed(1)} s, ${Math.round(count / seconds)} in a second`)
}

test(
  'a spray over everybody: the breaker holds at its limit, nobody protected is locked, unlocks flow, and what is approved is locked',
  async () => {
    const guards = `{ breaker: { maxLocks: ${LOCKS_MAX}, per: 1h }, protect: { groups: ['${ADMINS}'] } }`
    await using lockstep = await startLockstep(slapd, { guards })
    const targets = USERS - PROTECTED.size
    await timed('the spray taken, looked at and held back', USERS, async () => {
      for (const user of PEOPLE) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
      await lockstep.settled(DEADLINE_MS)
    })
    const locked = await lockedPeople()
    expect(locked).toHaveLength(LOCKS_MAX)
    expect(locked.filter((user) => PROTECTED.has(user))).toEqual([])
    expect(countIn(lockstep, "review where state = 'waiting'")).toBe(targets - LOCKS_MAX)

    const [first = ''] = locked
    await timed('an unlock meanwhile', 1, async () => {
      await lockstep.shim('unlock', asAdmin(null, first))
      await eventually('the unlock flows', async () => !(await lockedPeople()).includes(first))
    })
    const status = await lockstep.json<{ findings: { code: string }[] }>('status')
    expect(status.findings.map(({ code }) => code).toSorted()).toEqual(['breaker', 'protected'])

    await timed('approved and locked', targets - LOCKS_MAX, async () => {
      await lockstep.json('review', 'approve', '--all', '--reason', 'as a measurement')
      await eventually('nothing waits', () => countIn(lockstep, 'review') === 0, DEADLINE_MS)
    })
    const after = await lockedPeople()
    expect(after).toHaveLength(targets - 1)
    expect(after.filter((user) => PROTECTED.has(user))).toEqual([])
    expect(lockstep.ldif('unlock')).toHaveLength(targets - 1)

    const peakKib = memoryPeakKib(lockstep.pid)
    if (IS_MEASURED) console.info(`the daemon took ${Math.round(peakKib / 1024)} MiB at most`)
    expect(peakKib).toBeLessThan(MEMORY_KIB_MAX)
    await lockstep.stop()
    expect(lockstep.log().match(/^warn breaker /gm)).toHaveLength(1)
    expect(lockstep.log().match(/^warn protected /gm)).toHaveLength(1)
    expect(lockstep.log()).not.toContain('more log lines were left out')
  },
  2 * DEADLINE_MS,
)

test.runIf(IS_MEASURED)(
  'the same locks with no breaker, to compare',
  async () => {
    await using other = await startSlapd({ users: USERS, dbNoSync: true })
    await using lockstep = await startLockstep(other)
    await timed('taken and locked without a breaker', USERS, async () => {
      for (const user of PEOPLE) lockstep.spool({ kind: 'lock', args: asNobody(null, user), takenAtMs: Date.now() })
      await lockstep.settled(DEADLINE_MS)
    })
    const { counts } = await lockstep.json<{ counts: object }>('status')
    expect(counts).toMatchObject({ accountsHeld: USERS, accountsLockedByUs: USERS, queueLength: 0 })
    console.info(`the daemon took ${Math.round(memoryPeakKib(lockstep.pid) / 1024)} MiB at most`)
  },
  2 * DEADLINE_MS,
)
