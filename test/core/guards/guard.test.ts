import { expect, test } from 'vitest'
import { guard, type GuardInput } from '../../../src/core/guards/guard.ts'

const NOTHING: GuardInput = { pause: null, dryRun: null, unread: null }
const PAUSED: GuardInput = { ...NOTHING, pause: { directory: null, sinceMs: 1, by: 'anna', reason: 'stop' } }
const DRY: GuardInput = { ...NOTHING, dryRun: { of: 'everything', name: '' } }
const UNREAD: GuardInput = {
  ...NOTHING,
  unread: { code: 'directory-unreachable', reason: 'the groups cannot be read' },
}

const KINDS = ['lock', 'unlock', 'register', 'unregister'] as const

test.each([...KINDS.map((kind) => ({ kind })), null])('a pause and a dry run stop every write: %j', (change) => {
  expect(guard(change, NOTHING)).toEqual({ kind: 'go' })
  expect(guard(change, PAUSED)).toMatchObject({ kind: 'paused', isDryRun: false })
  expect(guard(change, DRY)).toMatchObject({ kind: 'dry-run' })
  expect(guard(change, { ...PAUSED, dryRun: DRY.dryRun })).toMatchObject({ kind: 'paused', isDryRun: true })
})

test('of an account of which nobody knows whether it is protected, the lock alone is held back', () => {
  expect(KINDS.map((kind) => guard({ kind }, UNREAD).kind)).toEqual(['unread', 'go', 'go', 'go'])
  expect(guard(null, UNREAD)).toEqual({ kind: 'go' })
})
