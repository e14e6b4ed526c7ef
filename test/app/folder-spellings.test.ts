import { readdirSync, renameSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asDn, parseHoldName, type HoldName } from '../../src/core/names.ts'
import { recoverUnlocks } from '../../src/app/evidence/recover-folders.ts'
import { openLdifFolders } from '../../src/ldif/folders.ts'
import { writePending } from '../../src/reconcile/ledger/ledger.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { openTestStore, START_MS, testKey } from '../store/test-store.ts'

/** Waiting files whose names differ from the record, or from each other, by case only. */

const KEY = testKey(1)

function holdOf(text: string): HoldName {
  const name = parseHoldName(text)
  if (name === null) throw new Error(`no hold: ${text}`)
  return name
}

async function open(recorded: readonly string[], filed: readonly string[]) {
  const stack = new AsyncDisposableStack()
  const opened = stack.use(await openTestStore())
  const temp = stack.use(await makeTempDir('spellings'))
  const ldif = stack.use(await openLdifFolders({ dir: temp.path }))
  const dn = asDn('uid=alice,dc=example,dc=org')
  const slot = { dn, attribute: 'pwdAccountLockedTime', mode: 'whole', before: [], after: ['000001010000Z'] } as const
  const owned = { slots: [slot], dn, holds: recorded.map(holdOf) }
  await opened.store.restore.restore({ key: KEY, dn, login: null, events: [], owned, hasSource: false })
  await writePending(ldif, { key: KEY }, { ...owned, holds: filed.map(holdOf) }, START_MS, true)
  const files = (): string[] =>
    readdirSync(`${temp.path}/unlock`)
      .filter((name) => name.endsWith('.ldif'))
      .toSorted()
  const recover = () => recoverUnlocks({ store: opened.store, ldif, clock: opened.clock, source: null })
  return { dir: temp.path, files, recover, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('two files of one account that differ by case are both kept, as long as the record names both', async () => {
  await using world = await open(['ALICE1', 'alice1'], ['ALICE1', 'alice1'])
  expect(await world.recover()).toMatchObject({ removed: 0, written: 0, unknownFiles: [] })
  expect(world.files()).toEqual(['ALICE1.ldif', 'alice1.ldif'])
})

test('a file that came back in another case is found, and has the name on record again', async () => {
  await using world = await open(['ALICE1'], ['ALICE1'])
  renameSync(`${world.dir}/unlock/ALICE1.ldif`, `${world.dir}/unlock/alice1.ldif`)
  await world.recover()
  expect(world.files()).toEqual(['ALICE1.ldif'])
  expect(await world.recover()).toMatchObject({ removed: 0, written: 0, unknownFiles: [] })
})
