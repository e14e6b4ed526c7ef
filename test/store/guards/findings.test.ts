import { expect, test } from 'vitest'
import { openTestStore } from '../test-store.ts'

const text = (words: string) => ({ code: 'plain-text', params: { text: words } }) as const

test('a finding is reported once, and shows its newest parameters', async () => {
  await using opened = await openTestStore()
  const { findings } = opened.store
  await findings.raise({ subject: 'corp', reason: text('first') })
  await findings.reported(await findings.untold())
  await findings.raise({ subject: 'corp', reason: text('second') })
  expect(await findings.untold()).toEqual([])
  expect(await findings.open()).toMatchObject([
    { kind: 'plain-text', subject: 'corp', reason: 'second', fix: '', params: { text: 'second' }, isAttention: false },
  ])
})

test('sync opens what is new, keeps what lasts and ends what is gone', async () => {
  await using opened = await openTestStore()
  const { findings } = opened.store
  await findings.sync('plain-text', [
    { subject: 'a', reason: text('of a') },
    { subject: 'b', reason: text('of b') },
  ])
  await findings.sync('plain-text', [
    { subject: 'b', reason: text('of b') },
    { subject: 'c', reason: text('of c') },
  ])
  expect((await findings.open()).map(({ subject }) => subject).toSorted()).toEqual(['b', 'c'])
  await findings.end('plain-text', 'b')
  expect((await findings.open()).map(({ subject }) => subject)).toEqual(['c'])
})

test('a finding of a newer version is shown by the sentence that it wrote', async () => {
  await using opened = await openTestStore()
  const { findings } = opened.store
  await findings.raise({ subject: 'corp', reason: text('kept') })
  await opened.store.db.updateTable('finding').set({ kind: 'of-a-newer-version' }).execute()
  expect(await findings.open()).toMatchObject([{ kind: 'of-a-newer-version', reason: 'kept' }])
})
