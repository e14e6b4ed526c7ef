import { expect, test } from 'vitest'
import { verifyFor } from '../../src/daemon/verifications.ts'
import type { Log } from '../../src/app/log.ts'
import { ApiWorld, MAX_FAILURES } from '../reconcile/source/api-world.ts'

const QUIET: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A lock of ours that is due to be looked at and was told as missing on a server. */
function told(key: string) {
  const [directory = ''] = key.split('/')
  const problem = JSON.stringify({ kind: 'missing', reason: 'the lock does not stand at ldap://b', fix: '' })
  const seen = { tries: 3, checked_ms: 1, verdict: null, problem, problem_ms: 1 }
  return { account_key: key, directory, wanted: 'locked' as const, writer: null, written_ms: 1, due_ms: 1, ...seen }
}

test('what was wrong on servers that the configuration no longer names is nobody’s trouble, and stops no other look', async () => {
  await using world = await ApiWorld.open()
  const alice = world.addUser('alice')
  world.addToken('A1', alice, { failcount: MAX_FAILURES })
  await world.resync()
  const { db, reports } = world.store
  const gone = { key: 'gone/1', directory: 'gone', dn: 'uid=1', owned_lock: '{"slots":[],"dn":"uid=1","holds":[]}' }
  const rest = { standing: 'in-step', standing_reason: '', hold_count: 1, seen_ms: 1, updated_ms: 1, known_ms: 1 }
  await db
    .insertInto('account')
    .values({ ...gone, ...rest })
    .execute()
  await db
    .insertInto('verification')
    .values([told(alice), told('gone/1')])
    .execute()
  expect((await reports.lockFindings(10)).troubles).toMatchObject([{ count: 2 }])
  await verifyFor(world, QUIET, 0)
  expect(await reports.lockFindings(10)).toEqual({ findings: [], troubles: [] })
  expect(await world.store.verification.nextDueMs()).toBeNull()
})
