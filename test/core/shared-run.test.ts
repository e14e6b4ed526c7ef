import { expect, test } from 'vitest'
import { sharedRun } from '../../src/core/shared-run.ts'

test('who asks while it is being answered shares the next answer, which begins after they asked', async () => {
  const gates: PromiseWithResolvers<number>[] = []
  const ask = sharedRun(() => {
    const gate = Promise.withResolvers<number>()
    gates.push(gate)
    return gate.promise
  })
  const first = ask()
  const [second, third] = [ask(), ask()]
  expect(gates).toHaveLength(1)
  gates[0]?.resolve(1)
  expect(await first).toBe(1)
  await Promise.resolve()
  gates[1]?.resolve(2)
  expect(await Promise.all([second, third])).toEqual([2, 2])
  expect(gates).toHaveLength(2)
})

test('a failure reaches those who share it, and the next question is asked anew', async () => {
  let asked = 0
  const ask = sharedRun(async () => {
    if (++asked === 1) throw new Error('away')
    return asked
  })
  const [first, second] = [ask(), ask()]
  await expect(first).rejects.toThrow('away')
  expect(await second).toBe(2)
  expect(await ask()).toBe(3)
})
