import { existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runTool } from '../servers/run-tool.ts'

const MODULE = fileURLToPath(new URL('../servers/temp-dir.ts', import.meta.url))
const SCRIPT = `const { makeTempDir } = await import(process.argv[1])
const temp = await makeTempDir('kept')
console.log(temp.path)
await temp[Symbol.asyncDispose]()
`

test('the folder of a test goes with it, and stays with LOCKSTEP_KEEP=1, which prints its path', async () => {
  const run = async (keep: string) => {
    const { stdout } = await runTool(process.execPath, ['--input-type=module', '-e', SCRIPT, MODULE], {
      env: { LOCKSTEP_KEEP: keep },
    })
    const [path = '', ...others] = stdout.trim().split('\n')
    return { path, others, isThere: existsSync(path) }
  }
  expect(await run('')).toMatchObject({ others: [], isThere: false })
  const kept = await run('1')
  try {
    expect(kept).toMatchObject({ others: [`LOCKSTEP_KEEP: ${kept.path}`], isThere: true })
  } finally {
    rmSync(kept.path, { recursive: true, force: true })
  }
})
