import { expect, test } from 'vitest'
import { folderCircles } from '../../scripts/folder-circles.ts'

/** As dependency-cruiser has it: `a/b.ts > c/d.ts` for each import. */
function cruised(...imports: readonly string[]) {
  const pairs = imports.map((each) => each.split(' > ') as [string, string])
  return { modules: pairs.map(([source, resolved]) => ({ source, dependencies: [{ resolved }] })) }
}

test('two folders that import each other are named, with the files that do so', () => {
  const cruise = cruised('src/core/fold.ts > src/core/time/now.ts', 'src/core/time/now.ts > src/core/serials/key.ts')
  expect(folderCircles(cruise)).toEqual([])
  const circle = cruised(
    'src/core/time/now.ts > src/core/serials/key.ts',
    'src/core/serials/deep/word.ts > src/core/time/span.ts',
    'src/core/serials/key.ts > src/core/names.ts',
  )
  expect(folderCircles(circle)).toEqual([
    'src/core/time → src/core/serials → src/core/time',
    '  src/core/time/now.ts → src/core/serials/key.ts',
    '  src/core/serials/deep/word.ts → src/core/time/span.ts',
  ])
})

test('a circle over a third folder is named once, with every step', () => {
  const circle = cruised('src/a/1.ts > src/b/1.ts', 'src/b/2.ts > src/c/1.ts', 'src/c/2.ts > src/a/2.ts')
  expect(folderCircles(circle)).toEqual([
    'src/a → src/b → src/c → src/a',
    '  src/a/1.ts → src/b/1.ts',
    '  src/b/2.ts → src/c/1.ts',
    '  src/c/2.ts → src/a/2.ts',
  ])
})

test('a folder and what is within it are one', () => {
  expect(folderCircles(cruised('src/a/1.ts > src/a/in/1.ts', 'src/a/in/1.ts > src/a/2.ts'))).toEqual([])
})
