import { expect } from 'vitest'
import type { AccountKey } from '../../src/core/names.ts'
import { READING_AGE_MAX_MS } from '../../src/reconcile/account/turn.ts'
import type { World } from './world.ts'

/**
 * A lock of ours without an outcome on record (a crash, a lost answer, a late write), in an entry that somebody else wrote to
 * before anybody looked. A directory names the last writer of an entry, not of an attribute: such a lock cannot be
 * distinguished from one that they set, so it counts as theirs and `late-lock-unclear` is raised
 * (docs/adr/0016-writes-that-arrive-late.md). Whose it is then is a person's decision.
 */

interface Unclear {
  readonly key: AccountKey
  readonly plannedMs: number
}

/**
 * Plays the person: where others left no lock it was ours, and is adopted; where they left a part of it they put the entry
 * right by hand. What is checked afterwards is what holds for any account.
 *
 * @param leftByOthers how much of a lock others left at an account: the whole of it is theirs by right, and stays
 * @param restore the entry as others left it
 */
export async function decideUnclearLocks(
  world: World,
  leftByOthers: (key: AccountKey) => 'nothing' | 'a part' | 'the whole',
  restore: (key: AccountKey) => void,
): Promise<void> {
  const isDecided = ({ key }: Unclear): boolean => leftByOthers(key) !== 'the whole'
  for (const unclear of (await unclearLocks(world)).filter(isDecided)) {
    const { key } = unclear
    expect(hasGround(world, unclear), 'a lock of ours counts as theirs only where others wrote beside it').toBe(true)
    await checkReported(world, key)
    if (leftByOthers(key) === 'nothing') await adopt(world, key)
    else restore(key)
    await world.markAll()
    await world.quiesce()
    world.unclearLocks++
  }
  expect((await unclearLocks(world)).filter(isDecided), 'what was decided is no longer unclear').toEqual([])
}

/** As `resync --adopt` does it; where a part of the lock is ours on record, as `unlock --adopt`, which ends the holds as well. */
async function adopt(world: World, key: AccountKey): Promise<void> {
  const [record] = await world.store.reports.find(key, 1)
  const { holds } = await world.store.desired.of(key, world.nowMs)
  if (record?.lockedByUs === true) await world.release(key)
  else if (holds.length > 0)
    expect(record?.standing, 'a hold without a lock of ours is not in step').not.toBe('in-step')
  await world.store.records.orderAdoption(key, { actor: 'tester', reason: 'nobody else locked it' })
}

async function unclearLocks({ store, people }: World): Promise<Unclear[]> {
  const keys = people.map(({ key }) => key)
  const rows = await store.db
    .selectFrom('change')
    .select(['account_key', 'planned_ms'])
    .where('account_key', 'in', keys)
    .where('is_others', '=', 1)
    .where('may_arrive_until_ms', 'is not', null)
    .execute()
  const first = new Map(rows.toReversed().map((row) => [row.account_key, row.planned_ms]))
  return keys.flatMap((key) => {
    const plannedMs = first.get(key)
    return plannedMs === undefined ? [] : [{ key, plannedMs }]
  })
}

/** Somebody wrote beside our lock since the reading that its change was planned on. */
function hasGround({ besideOurLock }: World, { key, plannedMs }: Unclear): boolean {
  return besideOurLock.some((edit) => edit.key === key && edit.atMs >= plannedMs - READING_AGE_MAX_MS)
}

async function checkReported({ store, people }: World, key: AccountKey): Promise<void> {
  const person = people.find((each) => each.key === key)
  const findings = (await store.findings.open()).filter(({ kind }) => kind === 'late-lock-unclear')
  const names = findings.flatMap(({ params }) => JSON.stringify(params))
  expect(names.join(), 'the administrator is notified of the account').toContain(`"${person?.login}"`)
}
