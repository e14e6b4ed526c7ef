import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { parseLogin, parseRealm, parseResolverName, parseSerial, parseUserId } from '../../src/core/names.ts'
import type { UnplacedToken } from '../../src/core/reasons/unplaced.ts'
import { must } from '../simulation/world.ts'
import { openTestStore } from './test-store.ts'

/** Tokens whose owners have no account, noted over and over. */

function strangerOf(number: number): UnplacedToken {
  return {
    serial: must(parseSerial(`S${number}`)),
    cause: 'no-account',
    login: must(parseLogin(`u${number}`)),
    realm: must(parseRealm('r1')),
    resolver: must(parseResolverName('ldap1')),
    userId: must(parseUserId(`id-${number}`)),
    isFull: true,
  }
}

const UNKNOWN = Array.from({ length: 1_200 }, (_, at) => strangerOf(at))

test('noting the same tokens again writes nothing; one that differs is written', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await store.unplaced.note(UNKNOWN)
  using other = new DatabaseSync(opened.file)
  // Another number after each commit of somebody else's that changed something.
  const version = () => other.prepare('pragma data_version').get()?.['data_version']
  const before = version()
  await store.unplaced.note(UNKNOWN)
  expect(version()).toBe(before)
  await store.unplaced.note([...UNKNOWN.slice(1), { ...strangerOf(0), isFull: false }])
  expect(version()).not.toBe(before)
  expect(await store.unplaced.groups()).toMatchObject([{ tokens: 1_200, full: 1_199 }])
})

test('what a run that died has put on record is told by whoever notes it next', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await store.unplaced.stage(0, UNKNOWN)
  expect(await store.findings.open()).toEqual([])
  await store.unplaced.note(UNKNOWN)
  expect((await store.findings.open()).map(({ kind, subject }) => [kind, subject])).toEqual([
    ['owners-unplaced-full', 'no-account'],
  ])
})

test('what was noted while a full resync runs is not taken for gone at its end', async () => {
  await using opened = await openTestStore()
  const { store } = opened
  await store.unplaced.note(UNKNOWN)
  const run = await store.resync.begin()
  await store.unplaced.note(UNKNOWN)
  await store.unplaced.finish(run)
  expect(await store.unplaced.groups()).toMatchObject([{ tokens: 1_200 }])
})
