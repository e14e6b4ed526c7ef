import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runProgram } from './run-cli.ts'

const BUNDLE = fileURLToPath(new URL('../../dist/lockstep.js', import.meta.url))
/** Makes this Node.js report another version, before the program runs. */
const AS_NODE_20 =
  "data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })"

test('the program itself refuses a Node.js that is too old, in one line and by an exit code', async () => {
  const { code, stdout, stderr } = await runProgram(process.execPath, ['--import', AS_NODE_20, BUNDLE, 'status'])
  expect({ code, stdout }).toEqual({ code: 69, stdout: '' })
  expect(stderr).toMatch(
    /^lockstep: Node\.js 24 or newer is needed, \S+ is v20\.20\.2; start it by bin\/lockstep, which takes [^\n]+\n$/,
  )
})

test('an old Node.js gets as far as that: what it imports before is in each of them', () => {
  const imports = readFileSync(BUNDLE, 'utf8').match(/^(?:import|export)\b.*$/gm) ?? []
  expect(imports.map((line) => line.replace(/;.*$/, '').replaceAll('"', "'"))).toEqual([
    "import { createRequire as lockstepRequire } from 'node:module'",
    "import { fileURLToPath } from 'node:url'",
  ])
})
