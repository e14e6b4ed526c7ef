import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkMutants } from '../../scripts/mutants/check.ts'
import { CORE_MUTANTS } from '../../scripts/mutants/core.ts'
import { mutatedText, type Mutant } from '../../scripts/mutants/mutant.ts'
import { RECONCILE_MUTANTS } from '../../scripts/mutants/reconcile.ts'
import { STORE_MUTANTS } from '../../scripts/mutants/store.ts'
import { makeTempDir, type TempDir } from '../servers/temp-dir.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ALL = [...CORE_MUTANTS, ...RECONCILE_MUTANTS, ...STORE_MUTANTS]

test('the list of faults fits the program: each has a name of its own, one place, and tests that are there', () => {
  expect(new Set(ALL.map(({ id }) => id)).size).toBe(ALL.length)
  for (const mutant of ALL) {
    const text = readFileSync(join(ROOT, mutant.file), 'utf8')
    expect(mutatedText(mutant, text)).not.toBe(text)
    expect(mutant.tests.length, mutant.id).toBeGreaterThan(0)
    for (const file of mutant.tests) expect(existsSync(join(ROOT, file)), file).toBe(true)
  }
})

const SUM: Mutant = {
  id: 'sum-is-a-difference',
  file: 'src/sum.ts',
  find: 'a + b',
  replace: 'a - b',
  tests: ['test/sum.test.ts'],
}
const UNNOTICED: Mutant = { ...SUM, id: 'limit-is-higher', find: 'LIMIT = 10', replace: 'LIMIT = 11' }
const BROKEN: Mutant = { ...SUM, id: 'no-program', find: 'a + b', replace: 'a +* b' }

/** A project of one function and one test. */
async function project(expected: number): Promise<TempDir> {
  const temp = await makeTempDir('mutants')
  for (const folder of ['src', 'test']) mkdirSync(join(temp.path, folder))
  writeFileSync(join(temp.path, 'package.json'), '{ "type": "module" }')
  writeFileSync(
    join(temp.path, 'src/sum.ts'),
    'const LIMIT = 10\nexport const sum = (a: number, b: number): number => Math.min(LIMIT, a + b)\n',
  )
  writeFileSync(
    join(temp.path, 'test/sum.test.ts'),
    `import { expect, test } from 'vitest'\nimport { sum } from '../src/sum.ts'\ntest('sum', () => expect(sum(1, 2)).toBe(${expected}))\n`,
  )
  symlinkSync(join(ROOT, 'node_modules'), join(temp.path, 'node_modules'))
  return temp
}

test('a fault that a test notices has died, one that none does has survived, and one that is no program proves nothing', async () => {
  await using temp = await project(3)
  const verdicts = await checkMutants([SUM, UNNOTICED, BROKEN, SUM], { root: temp.path, copies: 2 })
  expect(verdicts.map(({ fate }) => fate)).toEqual(['died', 'survived', 'broken', 'died'])
  expect(readFileSync(join(temp.path, 'src/sum.ts'), 'utf8')).toContain('a + b')
})

test('nothing is tried where the tests fail without any fault', async () => {
  await using temp = await project(4)
  await expect(checkMutants([SUM], { root: temp.path, copies: 1 })).rejects.toThrow(
    /^the tests fail without any fault \(died\):[^]*expected 3 to be 4/,
  )
})

test.each([
  [
    'is gone',
    { find: 'a * b' },
    /^mutant sum-is-a-difference: src\/sum\.ts no longer holds the text to replace: a \* b$/,
  ],
  ['is there twice', { find: 'number' }, /^mutant sum-is-a-difference: src\/sum\.ts holds the text to replace twice/],
  ['stays as it is', { replace: 'a + b' }, /^mutant sum-is-a-difference: it changes nothing$/],
])('nothing is tried where the text to replace %s', async (_name, change, expected) => {
  await using temp = await project(3)
  await expect(checkMutants([{ ...SUM, ...change }], { root: temp.path, copies: 1 })).rejects.toThrow(expected)
})
